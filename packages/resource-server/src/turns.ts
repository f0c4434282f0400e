import { UnavailableError } from './errors.js'
import type { Platform } from './platform.js'

/** Lets some work at once, and some wait: a flood of made-up credentials must not become one at the server. */
export interface Turns {
  /**
   * @param source whose work it is: of those that wait, each source has a turn after the other, however many a source has
   *   waiting; and where no more can wait, the last of the source that has the most has waited in vain
   * @throws {UnavailableError} where too many wait, or it took too long
   */
  readonly take: <Value>(work: () => Promise<Value>, source?: string) => Promise<Value>
}

/** Milliseconds that somebody waits for their turn. */
const patience = 2_000

interface Waiter {
  readonly begin: () => void
  readonly refuse: () => void
}

export function createTurns(
  platform: Pick<Platform, 'setTimer'>,
  { atOnce, waiting }: { readonly atOnce: number; readonly waiting: number },
): Turns {
  let working = 0
  let queued = 0
  /** What waits, by its source, in order; of the sources, the one whose turn is next first. None is empty. */
  const queues = new Map<string, Set<Waiter>>()

  function leave(source: string, waiter: Waiter): void {
    const queue = queues.get(source)
    if (!queue?.delete(waiter)) return
    queued--
    if (queue.size === 0) queues.delete(source)
  }

  /** @returns false where whoever waits has no more waiting than this source */
  function makeRoom(source: string): boolean {
    const own = queues.get(source)?.size ?? 0
    let longest: readonly [string, Set<Waiter>] | undefined
    for (const entry of queues) if (entry[1].size > (longest?.[1].size ?? own + 1)) longest = entry
    const last = longest && [...longest[1]].at(-1)
    if (!longest || !last) return false
    leave(longest[0], last)
    last.refuse()
    return true
  }

  function wait(source: string): Promise<void> {
    const tooMany = () => new UnavailableError('Too many ask at once')
    if (queued >= waiting && !makeRoom(source)) return Promise.reject(tooMany())
    return new Promise((resolve, reject) => {
      const cancel = platform.setTimer(() => {
        leave(source, waiter)
        reject(new UnavailableError('There was no turn in time'))
      }, patience)
      const waiter: Waiter = {
        begin() {
          cancel()
          resolve()
        },
        refuse() {
          cancel()
          reject(tooMany())
        },
      }
      const queue = queues.get(source) ?? new Set()
      queues.set(source, queue.add(waiter))
      queued++
    })
  }

  /** @returns false where nobody waits */
  function handOn(): boolean {
    const [next] = queues
    if (!next) return false
    const [source, queue] = next
    const [waiter] = queue
    // Behind the others, with whatever else it has.
    queues.delete(source)
    queues.set(source, queue)
    leave(source, waiter!)
    waiter!.begin()
    return true
  }

  return {
    async take(work, source = '') {
      // Whoever gives a turn up hands it on: it is counted all the while.
      if (working >= atOnce) await wait(source)
      else working++
      try {
        return await work()
      } finally {
        if (!handOn()) working--
      }
    },
  }
}
