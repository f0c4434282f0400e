import { decodeBase64url } from './base64url.js'
import { type JsonObject, parseObjectBytes } from './json.js'
import { type VerificationKey, verifyBytes } from './verification-key.js'

/** A JWS in compact form, read and not yet verified. RFC 7515 §3.1. */
export interface Jws {
  readonly header: JsonObject
  readonly payload: Uint8Array
  readonly signature: Uint8Array<ArrayBuffer>
  readonly signingInput: Uint8Array<ArrayBuffer>
}

/** Characters of a token: what is longer is not read at all (attack 81). */
export const longestToken = 16_384

const encoder = new TextEncoder()

/** Why it is no JWS that anybody here would read. */
export type JwsProblem = 'token_malformed' | 'header_malformed' | 'header_critical'

/**
 * Reads the three parts in their one spelling. Nothing in it is believed: no `jwk`, no `jku`, no `x5c` is looked at.
 *
 * @param limit characters; documents that we asked for may be longer than tokens
 */
export function readJws(token: string, limit: number = longestToken): Jws | JwsProblem {
  if (token.length > limit) return 'token_malformed'
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first <= 0 || second < 0 || token.indexOf('.', second + 1) >= 0) return 'token_malformed'
  const encodedHeader = decodeBase64url(token.slice(0, first))
  const payload = decodeBase64url(token.slice(first + 1, second))
  const signature = decodeBase64url(token.slice(second + 1))
  if (!encodedHeader || !payload || !signature || signature.length === 0) return 'token_malformed'
  const header = parseObjectBytes(encodedHeader)
  if (!header) return 'header_malformed'
  // No extension is known here, so none that must be understood can be (RFC 7515 §4.1.11); `b64` is one (RFC 7797 §6).
  if ('crit' in header || 'b64' in header) return 'header_critical'
  return { header, payload, signature, signingInput: encoder.encode(token.slice(0, second)) }
}

/** Whether the key signed this, by the key's own algorithm, which the header must name. */
export async function verifyJws({ header, signature, signingInput }: Jws, key: VerificationKey): Promise<boolean> {
  return header['alg'] === key.alg && verifyBytes(key, signingInput, signature)
}
