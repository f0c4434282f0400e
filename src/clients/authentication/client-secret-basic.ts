import { InvalidClientError, parseBasicCredentials } from '../../oauth/index.js'
import type { AuthenticationMethod } from './method.js'

/** Both halves are form-urlencoded before they are joined. RFC 6749 §2.3.1. */
export const clientSecretBasic: AuthenticationMethod = {
  name: 'client_secret_basic',
  read(authorization) {
    if (authorization === undefined) return undefined
    const credentials = parseBasicCredentials(authorization)
    if (!credentials) {
      throw new InvalidClientError('The Authorization header is not well-formed Basic authentication.', {
        reason: 'basic_malformed',
      })
    }
    return credentials
  },
}
