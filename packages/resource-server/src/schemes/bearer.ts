import type { AccessToken } from '../access-token.js'
import { hasTokenInQuery, headerValues, type RequestLike } from '../request.js'
import type { Scheme, Shown } from './scheme.js'

/** Whoever has the token may use it. RFC 6750 §2.1: in the header, and nowhere else. */
export const bearer = {
  name: 'bearer',
  challenge: 'Bearer',
  noun: 'access token',

  read(request: RequestLike): Shown | undefined {
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
  confirm: ({ claims }: AccessToken) => (claims['cnf'] === undefined ? undefined : 'token_bound'),
} satisfies Scheme

/** `b64token`. RFC 6750 §2.1. */
function isToken(text: string): boolean {
  return /^[\w.~+/-]+=*$/.test(text)
}
