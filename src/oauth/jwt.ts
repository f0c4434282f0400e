import { type JsonObject, readJsonObject } from './json-object.js'

/** A JWT that somebody else made, read and not verified: nothing in it is believed yet. RFC 7519 §7.2. */
export interface UnverifiedJwt {
  /** `alg` is a text. No `jwk`, `jku`, `x5u` or `x5c` in it is ever looked at (RFC 8725 §3.10). */
  readonly header: JsonObject & { readonly alg: string }
  readonly claims: JsonObject
  readonly compact: string
  /** Empty where `alg` is `none`, and there alone. */
  readonly signature: string
}

/** Why it is no JWT that is read here: for log and audit, behind a word for what it was. */
export type JwtProblem = 'malformed' | 'header_malformed' | 'header_critical' | 'claims_malformed'

/**
 * Reads the compact form in the one spelling that it has (attack 77). An encrypted JWT is none here: it has five parts.
 *
 * @param compact of a length that was bounded before
 */
export function readJwt(compact: string): UnverifiedJwt | JwtProblem {
  const parts = compact.split('.', 4)
  const [encodedHeader = '', payload = '', signature = ''] = parts
  const [headerBytes, payloadBytes] = [decodeBase64url(encodedHeader), decodeBase64url(payload)]
  if (parts.length !== 3 || !headerBytes || !payloadBytes || !decodeBase64url(signature)) return 'malformed'
  const header = readJsonObject(headerBytes)
  if (!header || typeof header['alg'] !== 'string') return 'header_malformed'
  // No extension is known here, so none that must be understood can be (RFC 7515 §4.1.11); `b64` is one (RFC 7797 §6).
  if ('crit' in header || 'b64' in header) return 'header_critical'
  if ((header['alg'] === 'none') !== (signature === '')) return 'malformed'
  const claims = readJsonObject(payloadBytes)
  if (!claims) return 'claims_malformed'
  return { header: { ...header, alg: header['alg'] }, claims, compact, signature }
}

/** Decoders let padding, other alphabets and unused bits through: what is written anew must be what was read. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/**
 * The type that a header says, in small letters and without `application/`, which may be left out.
 *
 * @returns undefined where it says none, and '' where what it says is no text
 */
export function jwtType({ header: { typ } }: UnverifiedJwt): string | undefined {
  if (typ === undefined) return undefined
  return typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : ''
}

/** Seconds that the clocks of others may differ from ours. */
export const jwtSkew = 60

/** Why a JWT does not hold now, likewise. */
export type JwtTimeProblem =
  | 'exp_missing'
  | 'exp_too_far'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'
  | 'time_malformed'

/**
 * RFC 7519 §4.1.4 to §4.1.6.
 *
 * @param now in seconds
 * @param longest seconds that it may still live, where it says until when
 */
export function jwtTimeProblem(
  { exp, nbf, iat }: JsonObject,
  { now, longest, needsEnd }: { readonly now: number; readonly longest: number; readonly needsEnd: boolean },
): JwtTimeProblem | undefined {
  if (exp === undefined && needsEnd) return 'exp_missing'
  if ([exp, nbf, iat].some((time) => time !== undefined && !Number.isFinite(time))) return 'time_malformed'
  if (exp !== undefined && Number(exp) <= now - jwtSkew) return 'expired'
  if (exp !== undefined && Number(exp) > now + longest + jwtSkew) return 'exp_too_far'
  if (nbf !== undefined && Number(nbf) > now + jwtSkew) return 'not_yet_valid'
  if (iat !== undefined && Number(iat) > now + jwtSkew) return 'issued_in_future'
  return undefined
}
