// Owns the signing keys: made, kept encrypted, published before they sign, kept until the last token has expired.

export { isSigningAlg, type SigningAlg, signingAlgs } from './algorithms.js'
export { createKeyRing, type KeyRing, type SigningKey } from './key-ring.js'
