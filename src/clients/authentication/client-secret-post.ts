import type { AuthenticationMethod } from './method.js'

/** `client_id` and `client_secret` in the body. RFC 6749 §2.3.1. */
export const clientSecretPost: AuthenticationMethod = {
  name: 'client_secret_post',
  read(_authorization, { client_id, client_secret }) {
    if (typeof client_id !== 'string' || typeof client_secret !== 'string') return undefined
    return { clientId: client_id, clientSecret: client_secret }
  },
}
