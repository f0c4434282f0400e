interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/**
 * Computes all that arrives in one turn of the event loop in one run. A signature that stands alone between parsing and
 * writing costs three times as much: its code and tables are cold (`performance.md`).
 *
 * @param size the most of one run: longer, other requests would wait
 */
export function createCryptoBatch<Item, Result>(
  compute: (item: Item) => Result,
  size: number,
): (item: Item) => Promise<Result> {
  let queue: Waiting<Item, Result>[] = []

  function run(): void {
    const items = queue.length <= size ? queue : queue.slice(0, size)
    queue = queue.length <= size ? [] : queue.slice(size)
    for (const { item, resolve, reject } of items) {
      try {
        resolve(compute(item))
      } catch (error) {
        reject(error)
      }
    }
    if (queue.length > 0) setImmediate(run)
  }

  return (item) =>
    new Promise((resolve, reject) => {
      queue.push({ item, resolve, reject })
      if (queue.length === 1) setImmediate(run)
    })
}
