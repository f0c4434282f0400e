import { monotonicMilliseconds } from '../platform/monotonic.js'
import { type ClientWithSecrets, clients, type Database } from '../store/index.js'

/** A client as every request of it needs it. */
export type Client = ClientWithSecrets

/**
 * Clients in memory: bounded, dropped when a process says that they changed, and aged out within seconds, so that a lost
 * notification heals.
 */
export interface ClientDirectory {
  /**
   * @param since of `monotonicMilliseconds`: a copy that was read before is not good enough
   * @returns undefined when there is no such client; a disabled one is found
   */
  readonly find: (clientId: string, since?: number) => Promise<Client | undefined>
  /** Whether any client's pages at this origin may call us. Remembered like clients. */
  readonly isAllowedOrigin: (origin: string) => Promise<boolean>
  readonly drop: (clientId: string) => void
  readonly dropAll: () => void
}

/** Milliseconds of real time: how old a copy may be when every notification is lost. */
const maxAge = 5_000
const capacity = 20_000

/** @param milliseconds the clock that ages are taken by: no clock change moves it */
export function createClientDirectory(db: Database, milliseconds = monotonicMilliseconds): ClientDirectory {
  const clientsById = createAgingCache<Client>((clientId) => clients.find(db, clientId), milliseconds)
  const origins = createAgingCache<boolean>((origin) => clients.isAllowedOrigin(db, origin), milliseconds)
  return {
    find: clientsById.find,
    isAllowedOrigin: async (origin) => (await origins.find(origin)) ?? false,
    drop(clientId) {
      clientsById.drop(clientId)
      origins.dropAll()
    },
    dropAll() {
      clientsById.dropAll()
      origins.dropAll()
    },
  }
}

interface Entry<Value> {
  readonly value: Value
  readonly readAt: number
}

/** What was not found is not remembered: names that nobody registered must not push out those that are used. */
function createAgingCache<Value>(read: (key: string) => Promise<Value | undefined>, milliseconds: () => number) {
  const entries = new Map<string, Entry<Value>>()
  const reading = new Map<string, Promise<Value | undefined>>()

  async function load(key: string): Promise<Value | undefined> {
    const readAt = milliseconds()
    const promise = read(key)
    reading.set(key, promise)
    try {
      const value = await promise
      // Dropped while it was read: what came back may be from before the change.
      if (reading.get(key) !== promise) return value
      if (value === undefined || value === false) return value
      entries.delete(key)
      entries.set(key, { value, readAt })
      if (entries.size > capacity) entries.delete(entries.keys().next().value!)
      return value
    } finally {
      if (reading.get(key) === promise) reading.delete(key)
    }
  }

  return {
    async find(key: string, since = milliseconds() - maxAge): Promise<Value | undefined> {
      const entry = entries.get(key)
      if (entry && entry.readAt > since) return entry.value
      return reading.get(key) ?? load(key)
    },
    drop(key: string): void {
      entries.delete(key)
      reading.delete(key)
    },
    dropAll(): void {
      entries.clear()
      reading.clear()
    },
  }
}
