import type { AuthenticationMethod } from './method.js'

/** A public client names itself: it can keep no secret. RFC 6749 §2.1, §3.2.1. */
export const none: AuthenticationMethod = {
  name: 'none',
  read(authorization, { client_id, client_secret, client_assertion, client_assertion_type }) {
    const isProof = [authorization, client_secret, client_assertion, client_assertion_type].some(
      (each) => each !== undefined,
    )
    return isProof || typeof client_id !== 'string' ? undefined : { clientId: client_id }
  },
}
