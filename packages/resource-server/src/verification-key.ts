import { type CryptoKey, importJWK, type JWK } from 'jose'
import { type Algorithm, curves, isAlgorithm, parametersOf } from './algorithms.js'
import { decodeBase64url } from './base64url.js'
import { isObject, isStrings, type JsonObject } from './json.js'
import { type NativeVerification, nativeVerification } from './native-verification.js'
import { isRoca } from './roca.js'

/** A public key with the one algorithm that it is for. */
export interface VerificationKey {
  readonly kid: string | undefined
  readonly alg: Algorithm
  readonly key: CryptoKey
  readonly parameters: ReturnType<typeof parametersOf>
  /** Bytes of its signatures. */
  readonly signatureBytes: number
  /** Undefined where WebCrypto does it. */
  readonly native: NativeVerification | undefined
}

/** Bits of an RSA modulus. RFC 7518 §3.3; more would cost much to verify with (attack 81). */
const modulusBits = { least: 2048, most: 4096 }

/**
 * Imports a JWK that is for verifying signatures and says by which algorithm.
 *
 * @returns why it cannot be used, where it cannot: others of the set still can (RFC 7517 §5)
 */
export async function importVerificationKey(jwk: unknown): Promise<VerificationKey | string> {
  if (!isObject(jwk)) return 'it is no object'
  const shape = describe(jwk)
  if (typeof shape === 'string') return shape
  const { alg, members, signatureBytes } = shape
  try {
    const key = await importJWK(members, alg)
    if (key instanceof Uint8Array) return 'it is no public key'
    const kid = typeof jwk['kid'] === 'string' ? jwk['kid'] : undefined
    const native = nativeVerification(alg, members)
    return { kid, alg, key, parameters: parametersOf(alg), signatureBytes, native }
  } catch {
    // A point that is not on its curve, say.
    return 'it is no valid key'
  }
}

/** Whether the key signed this, by its one algorithm. */
export async function verifyBytes(
  { key, parameters, signatureBytes, native }: VerificationKey,
  data: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== signatureBytes) return false
  return native ? native(data, signature) : crypto.subtle.verify(parameters, key, signature, data)
}

/** RFC 7518 §6.2.2, §6.3.2, §6.4.1. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

interface Shape {
  readonly alg: Algorithm
  readonly members: JWK
  readonly signatureBytes: number
}

function describe(jwk: JsonObject): Shape | string {
  const { kty, use, key_ops, kid } = jwk
  if (use !== undefined && use !== 'sig') return 'it is not for signatures'
  // RFC 7517 §4.3: no operation twice.
  if (key_ops !== undefined) {
    if (!isStrings(key_ops) || new Set(key_ops).size !== key_ops.length) return 'its key_ops are malformed'
    if (!key_ops.includes('verify')) return 'it is not for verifying'
  }
  if (kid !== undefined && typeof kid !== 'string') return 'its kid is no text'
  if (privateMembers.some((member) => member in jwk)) return 'it is secret, and was given away'
  switch (kty) {
    case 'EC':
    case 'OKP':
      return describeCurve(jwk, kty)
    case 'RSA':
      return describeRsa(jwk)
    default:
      return 'its kty is unknown'
  }
}

function describeCurve(jwk: JsonObject, kty: 'EC' | 'OKP'): Shape | string {
  const { crv, x, y, alg } = jwk
  if (typeof crv !== 'string' || !Object.hasOwn(curves, crv) || (kty === 'OKP') !== (crv === 'Ed25519')) {
    return 'its curve is unknown'
  }
  const curve = curves[crv]!
  // A curve has one algorithm, whatever it is called.
  const algorithm = alg === undefined ? curve.algorithms[0] : curve.algorithms.find((each) => each === alg)
  if (algorithm === undefined) return 'its alg is not that of its curve'
  const signatureBytes = 2 * curve.bytes
  if (typeof x !== 'string' || decodeBase64url(x)?.length !== curve.bytes) return 'its x is malformed'
  if (kty === 'OKP') return { alg: algorithm, signatureBytes: 64, members: { kty, crv, x } }
  if (typeof y !== 'string' || decodeBase64url(y)?.length !== curve.bytes) return 'its y is malformed'
  return { alg: algorithm, signatureBytes, members: { kty, crv, x, y } }
}

function describeRsa({ n, e, alg }: JsonObject): Shape | string {
  // Without it one key could be used by two algorithms. RFC 8725 §3.1.
  if (!isAlgorithm(alg) || !/^[PR]S/.test(alg)) return 'its alg is not one for RSA'
  if (typeof n !== 'string' || typeof e !== 'string') return 'its n or e is malformed'
  const [modulus, exponent] = [decodeBase64url(n), decodeBase64url(e)]
  // RFC 7518 §6.3.1: no leading zeros.
  if (!modulus?.[0] || !exponent?.[0]) return 'its n or e is malformed'
  const bits = modulus.length * 8 - Math.clz32(modulus[0]) + 24
  if (bits < modulusBits.least || bits > modulusBits.most) return `it has ${bits} bits`
  if ((modulus.at(-1)! & 1) === 0) return 'its n is even'
  if (isRoca(modulus)) return 'its private key can be computed'
  // A large exponent costs; 1 proves nothing, and an even one is none.
  const value = exponent.reduce((sum, byte) => sum * 256 + byte, 0)
  if (exponent.length > 4 || value < 3 || value % 2 === 0) return 'its e is out of bounds'
  return { alg, signatureBytes: modulus.length, members: { kty: 'RSA', n, e } }
}
