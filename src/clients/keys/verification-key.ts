import { createPublicKey, type KeyObject } from 'node:crypto'
import { decodeBase64url, isJsonObject, type JsonObject } from '../../oauth/index.js'
import { ed25519Problem } from '../../platform/crypto/ed25519.js'
import { privateMembers } from '../metadata-fields.js'
import type { OpenIdSigningAlg } from '../openid-metadata.js'
import { isRoca } from './roca.js'

/** A public key of a client, for verifying alone. */
export interface ClientKey {
  readonly kid: string | undefined
  /** By which it may have signed: two for an RSA key that names none. */
  readonly algs: readonly OpenIdSigningAlg[]
  readonly key: KeyObject
}

/** Bits of an RSA modulus. RFC 7518 §3.3; more would cost much to verify with (attack 81). */
const modulusBits = { least: 2048, most: 4096 }

/**
 * Reads a JWK that is for verifying signatures by an algorithm that we know: its own word alone says by which, never that of
 * what it signed (RFC 8725 §3.1).
 *
 * @returns why it cannot be used, where it cannot: others of the set still can (RFC 7517 §5)
 */
export function readClientKey(jwk: unknown): ClientKey | string {
  if (!isJsonObject(jwk)) return 'it is no object'
  const { kid, use, key_ops } = jwk
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return 'it is secret, and was given away'
  if (kid !== undefined && typeof kid !== 'string') return 'its kid is no text'
  if (use !== undefined && use !== 'sig') return 'it is not for signatures'
  if (key_ops !== undefined) {
    // RFC 7517 §4.3: no operation twice.
    const areTexts = Array.isArray(key_ops) && key_ops.every((each) => typeof each === 'string')
    if (!areTexts || new Set(key_ops).size !== key_ops.length) return 'its key_ops are malformed'
    if (!key_ops.includes('verify')) return 'it is not for verifying'
  }
  const shape = shapeOf(jwk)
  if (typeof shape === 'string') return shape
  const { algs, members } = shape
  const alg = jwk['alg']
  const usable = alg === undefined ? algs : algs.filter((each) => each === alg)
  if (usable.length === 0) return 'its alg is none of those that its kind has here'
  try {
    return { kid, algs: usable, key: createPublicKey({ key: members, format: 'jwk' }) }
  } catch {
    // A point that is not on its curve, say.
    return 'it is no valid key'
  }
}

interface Shape {
  readonly algs: readonly OpenIdSigningAlg[]
  readonly members: Record<string, string>
}

function shapeOf(jwk: JsonObject): Shape | string {
  const { kty, crv, x, y } = jwk
  if (kty === 'RSA') return shapeOfRsa(jwk)
  if (kty === 'EC' && crv === 'P-256') {
    if (!hasBytes(x, 32) || !hasBytes(y, 32)) return 'its x or y is malformed'
    return { algs: ['ES256'], members: { kty, crv, x, y } }
  }
  if (kty === 'OKP' && crv === 'Ed25519') {
    if (!hasBytes(x, 32)) return 'its x is malformed'
    if (ed25519Problem(decodeBase64url(x)!) !== undefined) return 'anybody could make up signatures for it'
    return { algs: ['EdDSA'], members: { kty, crv, x } }
  }
  return 'its kty and crv are none of RSA, P-256 and Ed25519'
}

function shapeOfRsa({ n, e }: JsonObject): Shape | string {
  if (typeof n !== 'string' || typeof e !== 'string') return 'its n or e is malformed'
  const [modulus, exponent] = [decodeBase64url(n), decodeBase64url(e)]
  // RFC 7518 §6.3.1: no leading zeros.
  if (!modulus?.[0] || !exponent?.[0]) return 'its n or e is malformed'
  const bits = modulus.length * 8 - Math.clz32(modulus[0]) + 24
  if (bits < modulusBits.least || bits > modulusBits.most) return `it has ${bits} bits`
  if ((modulus.at(-1)! & 1) === 0) return 'its n is even'
  if (isRoca(modulus)) return 'its private key can be computed'
  // A large exponent costs; 1 proves nothing, and an even one is none.
  if (exponent.length > 4) return 'its e is out of bounds'
  const value = exponent.readUIntBE(0, exponent.length)
  if (value < 3 || value % 2 === 0) return 'its e is out of bounds'
  return { algs: ['RS256', 'PS256'], members: { kty: 'RSA', n, e } }
}

function hasBytes(text: unknown, length: number): text is string {
  return typeof text === 'string' && decodeBase64url(text)?.length === length
}
