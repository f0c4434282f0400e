import type { Context } from '../context.js'
import type { Logger } from '../platform/log.js'
import { networkOf } from '../platform/network.js'
import { type ApiKey, type ApiKeyUse, apiKeys, type Database } from '../store/index.js'
import { isUse } from '../usage/index.js'

/** When keys were last used, and from which network: kept in memory, written behind in batches. */
export interface ApiKeyUseTrail {
  readonly record: (use: ApiKeyUse) => void
  readonly flush: () => Promise<void>
}

export function createApiKeyUseTrail(db: Database, log: Logger): ApiKeyUseTrail {
  let pending = new Map<string, ApiKeyUse>()

  /**
   * An API that asks about a key does not say who uses it: then the network before stands. One that reports uses does so
   * later, so the last to come need not be the last use.
   */
  function keep(uses: Map<string, ApiKeyUse>, { id, at, from }: ApiKeyUse): void {
    const known = uses.get(id)
    if (known && known.at > at) uses.set(id, { ...known, from: known.from ?? from })
    else uses.set(id, { id, at, from: from ?? known?.from })
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

/** What came of a use. `introspected`: an API asked, and has not said what came of it. */
export type ApiKeyOutcome =
  | 'accepted'
  | 'exchanged'
  | 'introspected'
  | 'insufficient_scope'
  | 'network'
  | 'origin'
  | 'rate_limited'
  | 'ended'
  | 'refused'

export interface KeyUse {
  /** The identifier of the API; empty where none was named yet. */
  readonly api: string
  /** What it was for. */
  readonly scope: readonly string[]
  readonly outcome: ApiKeyOutcome
  readonly ip?: string | undefined
}

/**
 * Counts a use of a key by whoever has proved to have it: what somebody only names is nobody's use. Of what was let through
 * it is remembered when that was, and from where.
 */
export function countUse(ctx: Context, { id, rotatedAt }: ApiKey, { api, scope, outcome, ip }: KeyUse): void {
  const at = ctx.clock.now()
  const from = ip === undefined ? undefined : networkOf(ip)
  const superseded = rotatedAt !== undefined
  ctx.usage.record({ kind: 'api_key', credential: id, api, scope: scope.join(' '), outcome, superseded, at, from })
  if (isUse(outcome) || outcome === 'introspected') ctx.apiKeyUse.record({ id, at, from })
}
