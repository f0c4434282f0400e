import type { Logger } from '../platform/log.js'
import { type ApiKeyUse, apiKeys, type Database } from '../store/index.js'

/** When keys were last used, and from which network: kept in memory, written behind in batches. */
export interface ApiKeyUseTrail {
  readonly record: (use: ApiKeyUse) => void
  readonly flush: () => Promise<void>
}

export function createApiKeyUseTrail(db: Database, log: Logger): ApiKeyUseTrail {
  let pending = new Map<string, ApiKeyUse>()

  /** An API that asks about a key does not say who uses it: then the network before stands. */
  function keep(uses: Map<string, ApiKeyUse>, { id, at, from }: ApiKeyUse): void {
    uses.set(id, { id, at, from: from ?? uses.get(id)?.from })
  }

  return {
    record(use) {
      keep(pending, use)
    },
    async flush() {
      if (pending.size === 0) return
      const taken = pending
      pending = new Map()
      try {
        await apiKeys.recordUse(db, [...taken.values()])
      } catch (error) {
        // No more than there are keys: they wait for the next run.
        for (const use of pending.values()) keep(taken, use)
        pending = taken
        log.warn({ err: error }, 'the last use of API keys waits for the database')
      }
    },
  }
}
