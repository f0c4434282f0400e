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
      const uses = [...pending.values()]
      pending = new Map()
      try {
        await clients.recordUse(db, uses)
      } catch (error) {
        log.warn({ err: error }, 'the last use of clients was not written')
      }
    },
  }
}
