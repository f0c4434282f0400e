import { timingSafeEqual as equal, hash, hkdfSync } from 'node:crypto'

/** SHA-256: for what was drawn with full entropy (codes, tokens); nothing a person chose. */
export function sha256(data: string | Uint8Array): Buffer {
  // A Buffer that native code makes costs more than the hash.
  return Buffer.from(sha256Text(data), 'binary')
}

/** The same as a text with a character for each byte: what a map is asked by. */
export function sha256Text(data: string | Uint8Array): string {
  return hash('sha256', data, 'binary')
}

/** Bytes of a block of SHA-256. */
const block = 64

/** Bytes of what is mostly hashed: secrets and keys are shorter. */
const room = 512

/** A key with each of the two pads: behind the inner one the place of the data, behind the outer one that of the inner hash. */
interface PaddedKey {
  readonly inner: Buffer
  readonly outer: Buffer
}

/** By the key: the few that a process derives stay the same. */
const paddedKeys = new WeakMap<Uint8Array, PaddedKey>()

/**
 * HMAC-SHA-256 (RFC 2104 §2) under a key that is not in the database, nor changed afterwards. Made of two plain hashes:
 * `createHmac` makes a stream for each, which costs three times as much.
 */
export function hmacSha256(key: Uint8Array, data: string | Uint8Array): Buffer {
  const { inner, outer } = paddedKeys.get(key) ?? pad(key)
  // A character takes three bytes at most.
  const text = data.length * 3 > room ? Buffer.concat([inner.subarray(0, block), toBytes(data)]) : inner
  const end = text === inner ? block + put(inner, data) : text.length
  outer.write(sha256Text(text.subarray(0, end)), block, 'binary')
  // It lies in memory that is used again, or handed on to others.
  text.fill(0, block, end)
  return sha256(outer)
}

function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? Buffer.from(data) : data
}

/** Behind the pad. @returns its bytes */
function put(inner: Buffer, data: string | Uint8Array): number {
  if (typeof data === 'string') return inner.write(data, block)
  inner.set(data, block)
  return data.length
}

function pad(key: Uint8Array): PaddedKey {
  const short = key.length > block ? sha256(key) : key
  const padded = { inner: Buffer.alloc(block + room, 0x36), outer: Buffer.alloc(block + 32, 0x5c) }
  padded.inner.fill(0, block)
  for (const [index, byte] of short.entries()) {
    padded.inner[index]! ^= byte
    padded.outer[index]! ^= byte
  }
  paddedKeys.set(key, padded)
  return padded
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
