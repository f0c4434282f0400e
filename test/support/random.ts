import { createHash } from 'node:crypto'
import type { Random } from '../../src/platform/random.js'

/**
 * The same bytes for the same seed, so that a failing test fails again: SHA-256 over seed and a counter.
 * Two instances with different seeds never give the same value.
 */
export class SeededRandom implements Random {
  readonly #seed: Buffer
  #counter = 0n
  #rest = Buffer.alloc(0)

  constructor(seed = 'ostiary') {
    this.#seed = createHash('sha256').update(seed).digest()
  }

  bytes(n: number): Buffer {
    const parts = [this.#rest]
    let have = this.#rest.length
    while (have < n) {
      const counter = Buffer.alloc(8)
      counter.writeBigUInt64BE(this.#counter++)
      const block = createHash('sha256').update(this.#seed).update(counter).digest()
      parts.push(block)
      have += block.length
    }
    const all = Buffer.concat(parts)
    this.#rest = all.subarray(n)
    return Buffer.from(all.subarray(0, n))
  }

  /** RFC 9562 §5.4: version 4 and the variant bits over 16 bytes of the stream. */
  uuid(): string {
    const bytes = this.bytes(16)
    bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
    bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
    const hex = bytes.toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
}
