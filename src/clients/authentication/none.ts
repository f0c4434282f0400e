import type { AuthenticationMethod } from './method.js'

/** A public client names itself: it can keep no secret. RFC 6749 §2.1, §3.2.1. */
export const none: AuthenticationMethod = {
  name: 'none',
  read(authorization, { client_id, client_secret }) {
    if (authorization !== undefined || client_secret !== undefined || typeof client_id !== 'string') return undefined
    return { clientId: client_id }
  },
}
