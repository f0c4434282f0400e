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
  /** Milliseconds after which a caller gets `DeadlineError` instead of silence. What it asked for may still happen. */
  readonly deadline: number
  /**
   * Whether the error proves that nothing of the run happened. Only then is a batch split and tried again: after a lost
   * connection the commit may have happened, and our own second try would look like a replay.
   */
  readonly provesRollback?: (error: unknown) => boolean
}

/** The answer did not come in time; whether the work was done is unknown. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** @throws {DeadlineError} by the returned function, when its result did not come in time */
export function createBatch<Item, Result>(options: BatchOptions<Item, Result>): (item: Item) => Promise<Result> {
  let queue: Waiting<Item, Result>[] = []
  let running = 0
  let scheduled = false
  const overdue = createDeadlines(options.deadline)

  function schedule(): void {
    if (scheduled || running >= options.inFlight || queue.length === 0) return
    scheduled = true
    setImmediate(flush)
  }

  function flush(): void {
    scheduled = false
    while (queue.length > 0 && running < options.inFlight) {
      const items = queue.length <= options.size ? queue : queue.slice(0, options.size)
      queue = queue.length <= options.size ? [] : queue.slice(options.size)
      running++
      runAll(items).finally(() => {
        running--
        schedule()
      })
    }
  }

  async function runAll(items: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await options.run(items.map((waiting) => waiting.item))
      items.forEach((waiting, index) => {
        waiting.resolve(results[index] as Result)
      })
    } catch (error) {
      if (items.length > 1 && options.provesRollback?.(error)) {
        const half = items.length >> 1
        await runAll(items.slice(0, half))
        await runAll(items.slice(half))
        return
      }
      for (const waiting of items) waiting.reject(error)
    }
  }

  return (item) =>
    overdue(
      new Promise<Result>((resolve, reject) => {
        queue.push({ item, resolve, reject })
        schedule()
      }),
    )
}

/** One timer for all callers: the deadline is the same for each, so they fall due in the order in which they came. */
function createDeadlines(milliseconds: number): <Result>(promise: Promise<Result>) => Promise<Result> {
  interface Pending {
    readonly due: number
    readonly expire: () => void
    settled: boolean
  }
  let pending: Pending[] = []
  let timer: NodeJS.Timeout | undefined

  function check(): void {
    timer = undefined
    const now = performance.now()
    let index = 0
    for (; index < pending.length; index++) {
      const entry = pending[index]!
      if (entry.settled) continue
      if (entry.due > now) break
      entry.expire()
    }
    pending = pending.slice(index)
    if (pending.length > 0) arm(pending[0]!.due - now)
  }

  function arm(delay: number): void {
    timer = setTimeout(check, Math.max(1, delay))
    timer.unref()
  }

  return (promise) =>
    new Promise((resolve, reject) => {
      const entry: Pending = {
        due: performance.now() + milliseconds,
        expire: () => reject(new DeadlineError('no answer in time')),
        settled: false,
      }
      pending.push(entry)
      if (!timer) arm(milliseconds)
      promise.then(
        (result) => {
          entry.settled = true
          resolve(result)
        },
        (error) => {
          entry.settled = true
          reject(error)
        },
      )
    })
}
