import { InvalidClientError, readJwt } from '../../oauth/index.js'
import type { AuthenticationMethod } from './method.js'

/** RFC 7523 §2.2. */
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Any text that could be a client_id: more is not looked up. */
const nameable = /^[\x21-\x7e]{1,2048}$/

/**
 * `client_assertion`, signed by a key that the client has registered. OIDC Core §9, RFC 7523 §2.2. The client need not name
 * itself beside it (RFC 7521 §4.2): then it is whom the assertion is about.
 */
export const privateKeyJwt: AuthenticationMethod = {
  name: 'private_key_jwt',
  read(_authorization, { client_id, client_assertion, client_assertion_type }) {
    if (client_assertion === undefined && client_assertion_type === undefined) return undefined
    if (client_assertion_type !== assertionType) {
      throw new InvalidClientError(`The only client_assertion_type is ${assertionType}.`, {
        reason: 'assertion_type_unknown',
      })
    }
    const assertion = typeof client_assertion === 'string' ? readJwt(client_assertion) : 'malformed'
    const named = client_id ?? (typeof assertion === 'string' ? undefined : assertion.claims['sub'])
    if (typeof named === 'string' && nameable.test(named)) return { clientId: named, assertion }
    const problem = typeof assertion === 'string' ? assertion : 'sub_malformed'
    throw new InvalidClientError('The client_assertion names no client.', { reason: `assertion_${problem}` })
  },
}
