import { isUtf8 } from 'node:buffer'
import { decodeFormComponent } from './form-encoding.js'

export type BasicCredentials = {
  readonly clientId: string
  readonly clientSecret: string
}

/** The scheme, in any case, and a token68 with its padding. RFC 9110 §11.4, RFC 7617 §2. */
const basic = /^basic +([A-Za-z0-9+/]+={0,2})$/i

/**
 * Reads the `Authorization` header of `client_secret_basic`. Both halves are form-urlencoded, so a `+` is a space.
 * RFC 7617 §2, RFC 6749 §2.3.1.
 *
 * @returns undefined for another scheme, for base64 that is not canonical, for malformed UTF-8 or percent-encoding, for
 *   a control character, and where the colon or the client's id is missing (attack 68)
 */
export function parseBasicCredentials(header: string): BasicCredentials | undefined {
  const token = basic.exec(header)?.[1]
  if (token === undefined) return undefined
  const bytes = Buffer.from(token, 'base64')
  // Node decodes what is not base64 as far as it can: only what encodes to the same text again was base64.
  if (bytes.toString('base64') !== token || !isUtf8(bytes)) return undefined

  const text = bytes.toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return undefined
  const clientId = decodeFormComponent(text.slice(0, colon))
  const clientSecret = decodeFormComponent(text.slice(colon + 1))
  if (clientId === undefined || clientSecret === undefined) return undefined
  return { clientId, clientSecret }
}

/** The `WWW-Authenticate` header of a 401 that answers Basic credentials. RFC 7617 §2.1, RFC 6749 §5.2. */
export function basicChallenge(realm: string): string {
  // Only quotes and backslashes have a meaning inside a quoted-string; what is not printable ASCII has no place there.
  const quoted = realm.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')
  return `Basic realm="${quoted}", charset="UTF-8"`
}
