// Owns the public keys of clients: which of them can be used, where they come from, and whether a client signed something.

export { type ClientKeys, createClientKeys } from './client-keys.js'
export { ClientKeysAwayError } from './jwks-uris.js'
export { signatureProblem } from './signature.js'
export { type ClientKey, readClientKey } from './verification-key.js'
