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
  isAnswered: boolean
}

/** @throws {DeadlineError} by the returned function, when its result did not come in time */
export function createBatch<Item, Result>(options: BatchOptions<Item, Result>): (item: Item) => Promise<Result> {
  let queue: Waiting<Item, Result>[] = []
  /**
   * What is run now, at most `inFlight` of them. Who waits is in one of these or in the queue, and in no set of all: a set that
   * changes with each item is made anew again and again, and those before hold what they held until V8 collects everything.
   */
  const runs: (readonly Waiting<Item, Result>[])[] = []
  let scheduled = false
  let timer: NodeJS.Timeout | undefined

  function schedule(): void {
    if (scheduled || runs.length >= options.inFlight || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    while (queue.length > 0 && runs.length < options.inFlight) {
      const run = queue.splice(0, options.size)
      runs.push(run)
      runAll(run).finally(() => {
        runs.splice(runs.indexOf(run), 1)
        schedule()
      })
    }
  }

  async function runAll(all: readonly Waiting<Item, Result>[]): Promise<void> {
    const items = all.filter(({ isAnswered }) => !isAnswered)
    if (items.length === 0) return
    try {
      const results = await options.run(items.map(({ item }) => item))
      items.forEach((waiting, index) => {
        waiting.isAnswered = true
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
    waiting.isAnswered = true
    waiting.reject(error)
  }

  function arm(delay: number): void {
    timer = setTimeout(expire, Math.max(1, delay))
    timer.unref()
  }

  function expire(): void {
    timer = undefined
    const now = monotonicMilliseconds()
    let next = Number.POSITIVE_INFINITY
    for (const waiting of [...runs.flat(), ...queue]) {
      if (waiting.isAnswered) continue
      if (waiting.due > now) next = Math.min(next, waiting.due)
      else refuse(waiting, new DeadlineError('no answer in time'))
    }
    queue = queue.filter(({ isAnswered }) => !isAnswered)
    if (Number.isFinite(next)) arm(next - now)
  }

  return (item) =>
    new Promise<Result>((resolve, reject) => {
      queue.push({ item, due: monotonicMilliseconds() + options.deadline, resolve, reject, isAnswered: false })
      if (!timer) arm(options.deadline)
      schedule()
    })
}
