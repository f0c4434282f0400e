import type { Database, Presence, RateGrant, RateLease } from '../store/index.js'
import { rateLimits } from '../store/index.js'

/** What all processes lease from. */
export interface LimitStore {
  readonly lease: (ask: RateLease) => Promise<RateGrant>
  readonly announce: (presence: Presence) => Promise<number>
  readonly leave: (presence: Presence) => Promise<void>
  readonly close: () => Promise<void>
}

export function databaseStore(db: Database): LimitStore {
  return {
    lease: (ask) => rateLimits.lease(db, ask),
    announce: (presence) => rateLimits.announce(db, presence),
    leave: (presence) => rateLimits.leave(db, presence),
    close: async () => undefined,
  }
}
