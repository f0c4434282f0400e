import { UnavailableError } from '../errors.js'
import { type JsonObject, parseObjectBytes } from '../json.js'
import type { Jwks } from '../jwks.js'
import { readJws, verifyJws } from '../jws.js'
import type { Revocations } from './entries.js'

/** How a document that the server signed is told from any other. */
export interface DocumentKind {
  readonly typ: string
  /** Characters. */
  readonly limit: number
}

/**
 * The claims of a document that one of the server's keys signed.
 *
 * @throws {UnavailableError} for any other
 */
export async function readSigned(
  text: string,
  { typ, limit }: DocumentKind,
  jwks: Jwks,
  revocations: Revocations,
): Promise<JsonObject> {
  const jws = readJws(text, limit)
  if (typeof jws === 'string') throw new UnavailableError(`A ${typ} is malformed`)
  const { kid, typ: type } = jws.header
  if (type !== typ || typeof kid !== 'string') throw new UnavailableError(`A ${typ} is of another type`)
  const key = await jwks.find(kid)
  // A key that was taken back vouches for nothing, least of all for what is revoked.
  const ended = revocations.ends([{ kind: 'key', id: kid }], 0)
  if (!key || ended || !(await verifyJws(jws, key))) throw new UnavailableError(`A ${typ} is not signed by the server`)
  const claims = parseObjectBytes(jws.payload)
  if (!claims) throw new UnavailableError(`A ${typ} is malformed`)
  return claims
}

/** Whether an instant, in seconds, lies in what these claims say of time. */
export function isCurrent({ iat, exp, nbf }: JsonObject, now: number, skew: number): boolean {
  return (
    typeof iat === 'number' &&
    iat <= now + skew &&
    (exp === undefined || (typeof exp === 'number' && now < exp + skew)) &&
    (nbf === undefined || (typeof nbf === 'number' && nbf <= now + skew))
  )
}
