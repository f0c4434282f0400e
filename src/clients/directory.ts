import { createAgingCache } from '../platform/aging-cache.js'
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
   * @param since of `monotonicMilliseconds`: what was read before is not good enough, nor what is being read since before
   * @returns undefined when there is no such client; a disabled one is found
   */
  readonly find: (clientId: string, since?: number) => Promise<Client | undefined>
  /** Whether any client's pages at this origin may call us. Remembered like clients. */
  readonly isAllowedOrigin: (origin: string) => Promise<boolean>
  readonly drop: (clientId: string) => void
  readonly dropAll: () => void
}

const capacity = 20_000

/** @param milliseconds the clock that ages are taken by: no clock change moves it */
export function createClientDirectory(db: Database, milliseconds = monotonicMilliseconds): ClientDirectory {
  const bounds = { capacity, milliseconds }
  const clientsById = createAgingCache((clientId) => clients.find(db, clientId), bounds)
  const origins = createAgingCache((origin) => clients.isAllowedOrigin(db, origin), bounds)
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
