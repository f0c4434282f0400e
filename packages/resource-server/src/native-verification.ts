import type { Algorithm } from './algorithms.js'

/** Verifies at once, without the way to another thread and back. */
export type NativeVerification = (data: Uint8Array, signature: Uint8Array) => boolean

/** What is used of node:crypto. */
interface NodeCrypto {
  createPublicKey(input: { readonly key: object; readonly format: 'jwk' }): object
  verify(hash: string | null, data: Uint8Array, key: object, signature: Uint8Array): boolean
}

/** RSA_PKCS1_PSS_PADDING, and a salt as long as the hash. RFC 7518 §3.5. */
const pss = { padding: 6, saltLength: -1 }

/** Those that take less than a tenth of a millisecond: longer, other requests would wait. */
const quick: Partial<Record<Algorithm, { readonly hash: string | null; readonly options: object }>> = {
  ES256: { hash: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  EdDSA: { hash: null, options: {} },
  Ed25519: { hash: null, options: {} },
  RS256: { hash: 'sha256', options: { padding: 1 } },
  PS256: { hash: 'sha256', options: pss },
}

/**
 * By Node.js's own cryptography, which costs a third of the CPU that the same by WebCrypto does: most of that is the thread.
 *
 * @param jwk checked before
 * @returns undefined elsewhere, and for what takes longer: WebCrypto does it
 */
export function nativeVerification(alg: Algorithm, jwk: object): NativeVerification | undefined {
  const how = quick[alg]
  const crypto = nodeCrypto()
  if (!how || !crypto) return undefined
  const key = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), ...how.options }
  return (data, signature) => crypto.verify(how.hash, data, key, signature)
}

/** Asked for and not imported: a bundle for another runtime must not want it. */
function nodeCrypto(): NodeCrypto | undefined {
  const { process } = globalThis as { readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } }
  const found = process?.getBuiltinModule?.('node:crypto')
  return isNodeCrypto(found) ? found : undefined
}

function isNodeCrypto(value: unknown): value is NodeCrypto {
  return typeof value === 'object' && value !== null && 'verify' in value && 'createPublicKey' in value
}
