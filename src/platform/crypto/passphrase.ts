import { hashRaw } from '@node-rs/argon2'
import { normalisePassword } from './password.js'

/** What a key costs to be derived from a passphrase; stands beside what the key protects. */
export interface PassphraseCost {
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
}

/** The second recommendation of RFC 9106 §4: 64 MiB, three passes, four lanes. A file can be guessed at without a limit. */
export const passphraseCost: PassphraseCost = { memory: 65_536, passes: 3, lanes: 4 }

/** A file says its cost by itself: one that would take the memory of the machine is none of ours. */
export const dearestPassphrase: PassphraseCost = { memory: 1_048_576, passes: 16, lanes: 16 }

/** Characters. */
export const shortestPassphrase = 12

/** 32 bytes, by argon2id (the library's default algorithm). */
export function derivePassphraseKey(passphrase: string, salt: Uint8Array, cost: PassphraseCost): Promise<Buffer> {
  return hashRaw(normalisePassword(passphrase), {
    salt,
    memoryCost: cost.memory,
    timeCost: cost.passes,
    parallelism: cost.lanes,
    outputLen: 32,
  })
}
