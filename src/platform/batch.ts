import { monotonicMilliseconds } from './monotonic.js'

/**
 * What arrives together is done together: items that come in one turn of the event loop are run as one batch, and each
 * caller awaits its own result. The callers read as if they were alone.
 */
export interface BatchOptions<Item, Result> {
  /** Runs the items; gives one result for each, in their order. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>
  /** The most items of one run. */
  readonly size: number
  /** The most runs at once; further items wait and form the next, larger batch. */
  readonly inFlight: number
  /**
   * Milliseconds after which a caller gets `DeadlineError` instead of silence. What has begun by then may still happen;
   * what has not is dropped, so that a stalled run leaves neither a growing queue nor work that nobody waits for.
   */
  readonly deadline: number
  /**
   * Whether the error proves that nothing of the run happened. Only then is a batch split and tried again: after a lost
   * connection the commit may have happened, and our own second try would look like a replay.
   */
  readonly provesRollback?: (error: unknown) => boolean
  /**
   * Whether a run that failed had waited for what somebody else holds, such as a locked row. To search for it by halves
   * would wait once more at each step: such a batch is run again item by item, so that it stalls whom it concerns alone.
   */
  readonly hasWaited?: (error: unknown) => boolean
}

/** Items of a batch that waited are run again this many at a time. */
const lanes = 4

/** The answer did not come in time; whether the work was done is unknown. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

interface Waiting<Item, Result> {
  readonly item: Item
  /** By the monotonic clock. */
  readonly due: number
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** @throws {DeadlineError} by the returned function, when its result did not come in time */
export function createBatch<Item, Result>(options: BatchOptions<Item, Result>): (item: Item) => Promise<Result> {
  let queue: Waiting<Item, Result>[] = []
  /** Who has no answer yet, in the order in which they came: with one deadline for all, they fall due in that order. */
  const unanswered = new Set<Waiting<Item, Result>>()
  let running = 0
  let scheduled = false
  let timer: NodeJS.Timeout | undefined

  function schedule(): void {
    if (scheduled || running >= options.inFlight || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    while (queue.length > 0 && running < options.inFlight) {
      running++
      runAll(queue.splice(0, options.size)).finally(() => {
        running--
        schedule()
      })
    }
  }

  async function runAll(all: readonly Waiting<Item, Result>[]): Promise<void> {
    const items = all.filter((waiting) => unanswered.has(waiting))
    if (items.length === 0) return
    try {
      const results = await options.run(items.map(({ item }) => item))
      items.forEach((waiting, index) => {
        unanswered.delete(waiting)
        waiting.resolve(results[index] as Result)
      })
    } catch (error) {
      if (items.length > 1 && options.hasWaited?.(error)) {
        await runEach([...items])
        return
      }
      if (items.length > 1 && options.provesRollback?.(error)) {
        const half = items.length >> 1
        await runAll(items.slice(0, half))
        await runAll(items.slice(half))
        return
      }
      for (const waiting of items) refuse(waiting, error)
    }
  }

  async function runEach(items: Waiting<Item, Result>[]): Promise<void> {
    const lane = async (): Promise<void> => {
      for (let next = items.shift(); next; next = items.shift()) await runAll([next])
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }

  function refuse(waiting: Waiting<Item, Result>, error: unknown): void {
    unanswered.delete(waiting)
    waiting.reject(error)
  }

  function arm(delay: number): void {
    timer = setTimeout(expire, Math.max(1, delay))
    timer.unref()
  }

  function expire(): void {
    timer = undefined
    const now = monotonicMilliseconds()
    for (const waiting of unanswered) {
      if (waiting.due > now) {
        arm(waiting.due - now)
        break
      }
      refuse(waiting, new DeadlineError('no answer in time'))
    }
    queue = queue.filter((waiting) => unanswered.has(waiting))
  }

  return (item) =>
    new Promise<Result>((resolve, reject) => {
      const waiting = { item, due: monotonicMilliseconds() + options.deadline, resolve, reject }
      queue.push(waiting)
      unanswered.add(waiting)
      if (!timer) arm(options.deadline)
      schedule()
    })
}
