import type { Random } from '../random.js'
import { sha256 } from './hash.js'

/** What we hand out that is not a JWT. The prefix tells people and secret scanners what it is. */
export type OpaquePrefix = 'oac' | 'ort' | 'oat' | 'oss' | 'oin' | 'ori' | 'ora'

export interface Opaque {
  /** Given away; never kept. */
  readonly value: string
  /** Kept: SHA-256 is enough for 256 bits that we drew. */
  readonly hash: Buffer
  readonly bucket: number
}

/**
 * Draws a code (`oac`), refresh token (`ort`), opaque access token (`oat`), session (`oss`) or interaction (`oin`). It says
 * the bucket of its row: `<prefix>_<bucket in base 36>_<43 characters>`. Tokens to register by (`ori`), and to change a
 * registration by (`ora`), lie in no bucket: 0.
 */
export function drawOpaque({ random }: { readonly random: Random }, prefix: OpaquePrefix, bucket: number): Opaque {
  const value = `${prefix}_${bucket.toString(36)}_${random.bytes(32).toString('base64url')}`
  return { value, hash: sha256(value), bucket }
}

const pattern = /^(o[a-z]{2})_([0-9a-z]{1,6})_[A-Za-z0-9_-]{43}$/

/** @returns undefined for what we cannot have drawn: refused before any lookup */
export function readOpaque(prefix: OpaquePrefix, value: string): Opaque | undefined {
  const match = value.length <= 64 ? pattern.exec(value) : null
  if (match?.[1] !== prefix) return undefined
  const bucket = Number.parseInt(match[2]!, 36)
  return bucket <= 2_147_483_646 ? { value, hash: sha256(value), bucket } : undefined
}
