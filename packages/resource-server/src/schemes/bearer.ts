import { hasTokenInQuery, headerValues } from '../request.js'
import type { Scheme } from './scheme.js'

/** Whoever has the token may use it. RFC 6750 §2.1: in the header, and nowhere else. */
export const bearer: Scheme = {
  name: 'Bearer',

  read(request) {
    if (hasTokenInQuery(request)) return { problem: 'credentials_in_query' }
    const values = headerValues(request, 'authorization')
    const [value] = values
    if (value === undefined) return undefined
    if (values.length > 1) return { problem: 'request_malformed' }
    if (!/^bearer(?: |$)/i.test(value)) return undefined
    const token = value.slice('bearer'.length).trim()
    return isToken(token) ? { token } : { problem: 'request_malformed' }
  },

  // Bound to a key or certificate (RFC 7800): not for whoever has nothing but the token (attacks 72, 75).
  confirm: ({ claims }) => (claims['cnf'] === undefined ? undefined : 'token_bound'),
}

/** `b64token`. RFC 6750 §2.1. */
function isToken(text: string): boolean {
  return /^[\w.~+/-]+=*$/.test(text)
}
