import type { Clock } from '../platform/clock.js'
import type { Config } from '../platform/config/index.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { within } from '../platform/deadline.js'
import type { Logger } from '../platform/log.js'
import type { Random } from '../platform/random.js'
import type { SecretKeys } from '../secrets/index.js'
import type { Database, RateGrant } from '../store/index.js'
import type { Policy } from './gcra.js'
import { createLeases, type Verdict } from './leases.js'
import { namedTiers } from './named-tiers.js'
import { redisStore } from './redis-store.js'
import { databaseStore } from './store.js'
import { createTierCatalogue, type TierCatalogue } from './tier-catalogue.js'

/** Limits on requests that succeed, by tier, over all processes. Those on failures are in `http/failure-limits.ts`. */
export interface RateLimits {
  /**
   * Counts a request of somebody. `leases.ts` says how exact that is.
   *
   * @returns undefined where there is no such tier
   */
  readonly take: (key: string, tier: string) => Verdict | undefined | Promise<Verdict | undefined>
  /**
   * Leases for somebody else, who counts by himself.
   *
   * @returns undefined where there is no such tier
   * @throws where the store is away
   */
  readonly lease: (key: string, tier: string, units: number) => Promise<Lease | undefined>
  /** Says that somebody leases from this scope. @returns how many do. @throws where the store is away */
  readonly announce: (scope: string, id: string) => Promise<number>
  readonly tiers: TierCatalogue
  /** `share`: the store is away, and each process goes on by itself. */
  readonly state: () => 'shared' | 'share'
  readonly close: () => Promise<void>
}

export interface Lease extends RateGrant {
  readonly policy: Policy
}

export interface RateLimitsOptions {
  readonly db: Database
  readonly clock: Clock
  readonly random: Random
  readonly secrets: SecretKeys
  readonly log: Logger
  readonly config: Pick<Config, 'limits' | 'server'>
}

/**
 * Milliseconds that a request waits for the store, which is then away. Only those that come before the first has waited
 * so long: later ones wait for nothing.
 */
const patience = 2_000
/** Milliseconds between two times that a process says that it is there. */
const announcement = 5_000

export function createRateLimits({ db, clock, random, secrets, log, config }: RateLimitsOptions): RateLimits {
  const { redisUrl } = config.limits
  const store = redisUrl === undefined ? databaseStore(db) : redisStore(redisUrl)
  const named = namedTiers(config)
  const tiers = createTierCatalogue(db, (tier) => {
    for (const { setting } of named.filter((each) => each.tier === tier)) {
      log.warn({ setting, tier }, 'the tier of a setting was deleted: nothing is limited by it')
    }
  })
  const scope = 'server'
  let id: string | undefined
  let announcedAt = Number.NEGATIVE_INFINITY
  /** Where the store is away from the beginning: those of this host, at least. */
  let { processes } = config.server
  /** Until it is known how many there are, nobody leases a larger block than the first. */
  let announcing: Promise<void> | undefined

  const now = (): number => clock.now().getTime()

  /** Beside what is asked for: only the first waits for it. */
  function announceSelf(): void {
    const at = now()
    if (Math.abs(at - announcedAt) < announcement) return
    announcedAt = at
    id ??= random.uuid()
    const announced = announce(scope, id).then(
      (count) => {
        processes = count
      },
      () => {
        announcedAt = Number.NEGATIVE_INFINITY
      },
    )
    announcing ??= announced
  }

  function announce(of: string, holder: string): Promise<number> {
    return within(patience, store.announce({ scope: of, id: holder, now: clock.now() }))
  }

  async function find(name: string): Promise<Policy | undefined> {
    const known = tiers.find(name)
    if (known) return known
    // It may be new. Where the database is away it is not found, and nobody stops for that.
    await within(patience, tiers.refresh()).catch(() => undefined)
    return tiers.find(name)
  }

  async function lease(key: string, tier: string, units: number): Promise<Lease | undefined> {
    const policy = tiers.find(tier) ?? (await find(tier))
    if (!policy) return undefined
    const { limit, window, burst } = policy
    const hash = hmacSha256(secrets.current.derive('rate limit'), key)
    const asked = store.lease({ key: hash, units, limit, window, burst, now: clock.now() })
    return { ...(await within(patience, asked)), policy }
  }

  const leases = createLeases({
    now,
    policyOf: tiers.find,
    async ask(key, tier, units) {
      announceSelf()
      const [leased] = await Promise.all([lease(key, tier, units), announcing])
      return leased
    },
    processes: () => processes,
    onAway: (error) => log.warn({ err: error, processes }, 'rate limits go on by shares: their store is away'),
    onBack: () => log.warn('rate limits hold over all processes again: their store is back'),
  })

  return {
    take: leases.take,
    lease,
    announce,
    tiers,
    state: () => (leases.isAway() ? 'share' : 'shared'),
    async close() {
      if (id !== undefined) await within(patience, store.leave({ scope, id, now: clock.now() })).catch(() => undefined)
      await store.close()
    },
  }
}
