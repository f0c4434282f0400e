// Owns the signing keys: made, kept encrypted, published before they sign, kept until the last token has expired.

export { isSigningAlg, type SigningAlg, signingAlgs } from './algorithms.js'
export { createKeyRing, type KeyRing } from './key-ring.js'
export type { SigningKey } from './signing-key.js'
