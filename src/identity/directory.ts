import { createAgingCache } from '../platform/aging-cache.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { type Database, type ToldUser, users } from '../store/index.js'

/** What is told of users, in memory: a client that polls UserInfo asks for the same one again and again. */
export interface UserDirectory {
  /** @returns undefined when there is no such user; a disabled one is found */
  readonly find: (userId: string) => Promise<ToldUser | undefined>
  readonly drop: (userId: string) => void
  readonly dropAll: () => void
}

/** With all that may stand in a profile it is 20 KB each. */
const capacity = 2_000

/** @param milliseconds the clock that ages are taken by: no clock change moves it */
export function createUserDirectory(db: Database, milliseconds = monotonicMilliseconds): UserDirectory {
  return createAgingCache((userId) => users.tell(db, userId), { capacity, milliseconds })
}
