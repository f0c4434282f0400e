/**
 * What may sign an access token: asymmetric, and nothing that has been broken. What a token says of itself is compared with
 * the algorithm of its key, never followed (RFC 8725 §3.1).
 */
export const algorithms = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const

export type Algorithm = (typeof algorithms)[number]

export function isAlgorithm(value: unknown): value is Algorithm {
  return algorithms.some((algorithm) => algorithm === value)
}

/** Spelt out, so that a program without the types of a browser can read this declaration. */
interface Parameters {
  readonly name: string
  readonly hash?: string
  readonly saltLength?: number
}

/** For `subtle.verify`. RFC 7518 §3.3 to §3.5, RFC 8037 §3.1: PSS has a salt as long as the hash. */
export function parametersOf(algorithm: Algorithm): Parameters {
  const bits = Number(algorithm.slice(2))
  switch (algorithm.slice(0, 2)) {
    case 'ES':
      return { name: 'ECDSA', hash: `SHA-${bits}` }
    case 'PS':
      return { name: 'RSA-PSS', saltLength: bits / 8 }
    case 'RS':
      return { name: 'RSASSA-PKCS1-v1_5' }
    default:
      return { name: 'Ed25519' }
  }
}

/** The curve of a key, and how many bytes a coordinate has. RFC 7518 §6.2.1, RFC 8037 §2. */
export const curves: Readonly<Record<string, { readonly bytes: number; readonly algorithms: readonly Algorithm[] }>> = {
  'P-256': { bytes: 32, algorithms: ['ES256'] },
  'P-384': { bytes: 48, algorithms: ['ES384'] },
  'P-521': { bytes: 66, algorithms: ['ES512'] },
  Ed25519: { bytes: 32, algorithms: ['EdDSA', 'Ed25519'] },
}
