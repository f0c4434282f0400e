/** Milliseconds of real time: how old a copy may be when every notification is lost. */
const maxAge = 5_000

interface Entry<Value> {
  readonly value: Value
  readonly readAt: number
}

interface Reading<Value> {
  readonly promise: Promise<Value | undefined>
  readonly began: number
}

export interface AgingCacheBounds {
  readonly capacity: number
  /** The clock that ages are taken by: no clock change moves it. */
  readonly milliseconds: () => number
}

export interface AgingCache<Value> {
  /** @param since of the clock: what was read before is not good enough, nor what is being read since before */
  readonly find: (key: string, since?: number) => Promise<Value | undefined>
  readonly drop: (key: string) => void
  readonly dropAll: () => void
}

/**
 * Rows in memory: bounded, dropped when a process says that they changed, and aged out within seconds, so that a lost
 * notification heals. What was not found is not remembered: names that nobody has must not push out those that are used.
 */
export function createAgingCache<Value>(
  read: (key: string) => Promise<Value | undefined>,
  { capacity, milliseconds }: AgingCacheBounds,
): AgingCache<Value> {
  const entries = new Map<string, Entry<Value>>()
  const reading = new Map<string, Reading<Value>>()

  async function load(key: string): Promise<Value | undefined> {
    const readAt = milliseconds()
    const promise = read(key)
    reading.set(key, { promise, began: readAt })
    try {
      const value = await promise
      // Dropped while it was read: what came back may be from before the change.
      if (reading.get(key)?.promise !== promise) return value
      if (value === undefined || value === false) return value
      entries.delete(key)
      entries.set(key, { value, readAt })
      if (entries.size > capacity) entries.delete(entries.keys().next().value!)
      return value
    } finally {
      if (reading.get(key)?.promise === promise) reading.delete(key)
    }
  }

  return {
    async find(key, since = milliseconds() - maxAge) {
      const entry = entries.get(key)
      if (entry && entry.readAt > since) return entry.value
      // One that began before may say what was so before.
      const underWay = reading.get(key)
      return underWay && underWay.began >= since ? underWay.promise : load(key)
    },
    drop(key) {
      entries.delete(key)
      reading.delete(key)
    },
    dropAll() {
      entries.clear()
      reading.clear()
    },
  }
}
