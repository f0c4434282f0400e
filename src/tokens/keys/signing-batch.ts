import type { KeyObject } from 'node:crypto'
import { type SigningAlg, signAtOnce } from './algorithms.js'

interface Waiting {
  readonly alg: SigningAlg
  readonly key: KeyObject
  readonly data: Buffer
  readonly resolve: (signature: Buffer) => void
  readonly reject: (error: unknown) => void
}

/** 64 signatures take about 2 ms: longer, other requests would wait. */
const size = 64

/**
 * Signs all that arrives in one turn of the event loop in one run. A signature that stands alone between parsing and
 * writing costs three times as much: its code and tables are cold (`performance.md`).
 */
export function createSigningBatch(): (alg: SigningAlg, key: KeyObject, data: Buffer) => Promise<Buffer> {
  let queue: Waiting[] = []

  function run(): void {
    const items = queue.length <= size ? queue : queue.slice(0, size)
    queue = queue.length <= size ? [] : queue.slice(size)
    for (const { alg, key, data, resolve, reject } of items) {
      try {
        resolve(signAtOnce(alg, key, data))
      } catch (error) {
        reject(error)
      }
    }
    if (queue.length > 0) setImmediate(run)
  }

  return (alg, key, data) =>
    new Promise((resolve, reject) => {
      queue.push({ alg, key, data, resolve, reject })
      if (queue.length === 1) setImmediate(run)
    })
}
