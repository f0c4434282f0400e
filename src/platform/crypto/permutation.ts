import { createCipheriv } from 'node:crypto'

/** A bijection of the numbers from 0 to 2^20 - 1. */
export type Permutation = (value: number) => number

const halfBits = 10
const half = 1 << halfBits
const mask = half - 1

/** As many as FF1 has (NIST SP 800-38G): with so small halves, few rounds can be told from chance. */
const rounds = 10

/**
 * A Feistel network over 20 bits, whose round functions are tables of random numbers from the key: what a function of a key
 * would give for all of its 1,024 inputs, so that a number costs ten lookups. Without the key, what is known of some
 * numbers tells nothing of others.
 *
 * @param key 32 bytes, of one list alone
 */
export function createPermutation(key: Uint8Array): Permutation {
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(rounds * half * 2))
  const tables = new Uint16Array(rounds * half)
  for (let index = 0; index < tables.length; index++) tables[index] = stream.readUInt16LE(index * 2) & mask
  return (value) => {
    let left = value >>> halfBits
    let right = value & mask
    for (let round = 0; round < tables.length; round += half) {
      const next = left ^ (tables[round + right] ?? 0)
      left = right
      right = next
    }
    return (left << halfBits) | right
  }
}
