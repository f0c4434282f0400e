import { createHmac, timingSafeEqual as equal, hash, hkdfSync } from 'node:crypto'

/** SHA-256: for what was drawn with full entropy (codes, tokens); nothing a person chose. */
export function sha256(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer')
}

/** HMAC-SHA-256 under a key that is not in the database. */
export function hmacSha256(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

/** Constant time for equal lengths. Different lengths are simply different. */
export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && equal(a, b)
}

/** A 32 byte key for one purpose from a secret of full entropy. RFC 5869. */
export function deriveKey(secret: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, 32))
}

/** The four bytes of the counter of the first, and here only, block. */
const firstBlock = '\0\0\0\u0001'

/**
 * The same from a secret that is an ASCII text, where one is needed for each request: the one-step derivation of NIST
 * SP 800-56C, which is one hash. HKDF costs more than the encryption that its key is for.
 */
export function deriveKeyOnce(secret: string, purpose: string): Buffer {
  return sha256(`${firstBlock}${secret}${purpose}`)
}
