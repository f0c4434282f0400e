import type { Logger } from '../platform/log.js'
import { type ClientUse, clients, type Database } from '../store/index.js'

/** When clients and their secrets were last used: kept in memory, written behind in batches. */
export interface ClientUseTrail {
  readonly record: (use: ClientUse) => void
  readonly flush: () => Promise<void>
}

export function createClientUseTrail(db: Database, log: Logger): ClientUseTrail {
  let pending = new Map<string, ClientUse>()
  return {
    record(use) {
      pending.set(use.secretId ?? use.clientId, use)
    },
    async flush() {
      if (pending.size === 0) return
      const taken = pending
      pending = new Map()
      try {
        await clients.recordUse(db, [...taken.values()])
      } catch (error) {
        // No more than there are clients and secrets: they wait for the next run.
        pending = new Map([...taken, ...pending])
        log.warn({ err: error }, 'the last use of clients waits for the database')
      }
    },
  }
}
