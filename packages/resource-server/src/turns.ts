import { UnavailableError } from './errors.js'
import type { Platform } from './platform.js'

/** Lets some work at once, and some wait: a flood of made-up credentials must not become one at the server. */
export interface Turns {
  /** @throws {UnavailableError} where too many wait, or it took too long */
  readonly take: <Value>(work: () => Promise<Value>) => Promise<Value>
}

/** Milliseconds that somebody waits for their turn. */
const patience = 2_000

export function createTurns(
  platform: Pick<Platform, 'setTimer'>,
  { atOnce, waiting }: { readonly atOnce: number; readonly waiting: number },
): Turns {
  let working = 0
  const queue = new Set<() => void>()

  function wait(): Promise<void> {
    if (queue.size >= waiting) return Promise.reject(new UnavailableError('Too many ask at once'))
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        cancel()
        queue.delete(begin)
        resolve()
      }
      const cancel = platform.setTimer(() => {
        queue.delete(begin)
        reject(new UnavailableError('There was no turn in time'))
      }, patience)
      queue.add(begin)
    })
  }

  return {
    async take(work) {
      // Whoever gives a turn up hands it on: it is counted all the while.
      if (working >= atOnce) await wait()
      else working++
      try {
        return await work()
      } finally {
        const [next] = queue
        if (next) next()
        else working--
      }
    },
  }
}
