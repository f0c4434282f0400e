import { conform, conforming, emissionOf, type Policy, shareOf, waitOf } from './gcra.js'

/**
 * Limits over several processes, without asking for each request: a process leases requests in blocks from a store that all
 * share, before it needs them, and spends them by itself.
 *
 * What it holds unspent is at most a twentieth of the burst, divided by the processes. So over all processes, in any window:
 *
 * - at most `limit + burst`, and a twentieth of the burst more, is accepted;
 * - what the policy would accept and they do not is at most a tenth of the burst: what is held at the end, and what was held
 *   a whole window unspent and is over with it.
 *
 * With a burst below twenty, or twenty for each process, nothing is held: each decision asks, and is exact. Who comes while
 * a question is under way shares the next one with all others, and who is refused causes none until one has come back: so a
 * window costs as many questions as it accepts requests, at most, and one for each that comes back too late. To hold one
 * would spare none of these, and to hold two half of them, for two more of the small burst at each process.
 *
 * What differs between the clocks of processes comes on top, by as much as comes back in that time. When the number of
 * processes changes, what they know of it is true again after five seconds.
 *
 * Where the store is away a process goes on with its share, the policy divided by the processes that it knew last (at first by
 * `PROCESSES`, so that several hosts which start without the store allow as much each), from where each key stood. When the store
 * is back it knows nothing of what was accepted meanwhile: a burst more, once, and at each process the one by which it asked.
 */
export interface Leases {
  /** Counts a request. @returns undefined where there is no such tier: then nothing is limited */
  readonly take: (key: string, tier: string) => Verdict | undefined | Promise<Verdict | undefined>
  /** Whether the store was away when it was last asked. */
  readonly isAway: () => boolean
}

export interface Verdict {
  readonly policy: Policy
  readonly accepted: boolean
  /** Requests that would be accepted now. */
  readonly remaining: number
  /** Seconds until the whole burst is there again. */
  readonly reset: number
  /** Seconds after which the next is accepted, where this one was not. */
  readonly retryAfter: number
}

export interface LeasesOptions {
  /** Milliseconds. */
  readonly now: () => number
  /** Undefined where it is not known, or not known yet: then the store is asked for one request. */
  readonly policyOf: (tier: string) => Policy | undefined
  /**
   * Leases from the store.
   *
   * @returns undefined where it knows no such tier
   * @throws {unknown} where the store is away; it decides how long it is waited for
   */
  readonly ask: (key: string, tier: string, units: number) => Promise<Grant | undefined>
  /** How many lease from it, this one too. */
  readonly processes: () => number
  readonly onAway: (error: unknown) => void
  readonly onBack: () => void
}

export interface Grant {
  readonly granted: number
  /** Milliseconds that the theoretical arrival time lies ahead. */
  readonly debt: number
}

interface Entry {
  policy: Policy | undefined
  /** Leased and not spent. */
  held: number
  leasedAt: number
  heldUntil: number
  /** The theoretical arrival time, as the store said last. */
  tat: number
  /** Requests of the next block. */
  size: number
  /** Between the two the store is not asked: it said no. */
  refusedAt: number
  refusedUntil: number
  asking: Promise<boolean> | undefined
  waiting: number
  /** The theoretical arrival time of the share, and when the store went away that it is for. */
  own: number
  absence: number
}

/** Keys that are remembered; the oldest go first, with what is held of them. */
const capacity = 50_000
/** Of the burst, what all processes hold together. */
const heldShare = 20
/** Milliseconds in which a block that is used up was too small, and after which it was too large. */
const wanted = { least: 1_000, most: 10_000 }
/** Milliseconds between two questions of a process about a key that is used up, where blocks are held. */
const pause = 20
/** Milliseconds between two attempts to reach a store that is away. */
const probeInterval = 1_000

export function createLeases(options: LeasesOptions): Leases {
  const { now, policyOf, ask, processes, onAway, onBack } = options
  const entries = new Map<string, Entry>()
  let away = false
  let absences = 0
  let probedAt = 0

  function entryOf(key: string): Entry {
    const known = entries.get(key)
    if (known) return known
    const times = { leasedAt: 0, heldUntil: 0, tat: 0, refusedAt: 0, refusedUntil: 0, own: 0 }
    const entry = { ...times, policy: undefined, held: 0, size: 1, asking: undefined, waiting: 0, absence: 0 }
    entries.set(key, entry)
    if (entries.size > capacity) entries.delete(entries.keys().next().value!)
    return entry
  }

  /** What was leased under another policy is not spent under this one. */
  function follow(entry: Entry, policy: Policy): void {
    if (entry.policy === policy) return
    entry.policy = policy
    entry.held = 0
    entry.refusedUntil = 0
  }

  function mostHeld({ burst }: Policy): number {
    return Math.floor(burst / (heldShare * Math.max(1, processes())))
  }

  /** Spends one of those that are held. A clock that was set back may have made them anybody's. */
  function spend(entry: Entry, at: number): boolean {
    if (entry.held === 0) return false
    if (at < entry.leasedAt || at >= entry.heldUntil) {
      entry.held = 0
      return false
    }
    entry.held--
    return true
  }

  const isRefused = ({ refusedAt, refusedUntil }: Entry, at: number): boolean => at >= refusedAt && at < refusedUntil

  function verdict(entry: Entry, policy: Policy, at: number, accepted: boolean): Verdict {
    const debt = Math.max(0, entry.tat - at)
    return {
      policy,
      accepted,
      remaining: accepted ? entry.held + conforming(policy, debt) : 0,
      reset: Math.ceil(debt / 1000),
      retryAfter: accepted ? 0 : secondsUntil(entry.refusedUntil - at),
    }
  }

  /** @returns whether the store answered */
  async function lease(key: string, tier: string, entry: Entry): Promise<boolean> {
    const policy = policyOf(tier)
    const most = policy ? mostHeld(policy) : 0
    const at = now()
    const used = at - entry.leasedAt
    if (entry.leasedAt > 0 && used >= 0 && used < wanted.least) entry.size = Math.min(entry.size * 2, Math.max(1, most))
    else if (used > wanted.most) entry.size = Math.max(1, entry.size >> 1)
    const held = at >= entry.leasedAt && at < entry.heldUntil ? entry.held : 0
    const units = entry.waiting + Math.max(0, Math.min(entry.size, most - held))
    if (units === 0) return true
    try {
      const grant = await ask(key, tier, units)
      if (away) {
        away = false
        onBack()
      }
      if (grant) receive(entry, policyOf(tier), units, grant)
      return true
    } catch (error) {
      probedAt = now()
      if (!away) {
        away = true
        absences++
        onAway(error)
      }
      return false
    }
  }

  function receive(entry: Entry, policy: Policy | undefined, units: number, { granted, debt }: Grant): void {
    if (!policy) return
    follow(entry, policy)
    const at = now()
    entry.tat = at + debt
    if (granted > 0) {
      if (at >= entry.heldUntil || at < entry.leasedAt) entry.held = 0
      entry.held += granted
      entry.leasedAt = at
      entry.heldUntil = at + policy.window * 1000
    }
    if (granted === units) return
    // Who holds blocks waits for some to come back, and so asks now and then, however fast they do.
    const block = Math.min(pause, mostHeld(policy) * emissionOf(policy))
    entry.refusedAt = at
    entry.refusedUntil = at + Math.max(1, waitOf(policy, debt), block)
  }

  function refill(key: string, tier: string, entry: Entry): Promise<boolean> {
    entry.asking ??= lease(key, tier, entry).finally(() => {
      entry.asking = undefined
    })
    return entry.asking
  }

  async function wait(key: string, tier: string, entry: Entry): Promise<Verdict | undefined> {
    entry.waiting++
    try {
      for (;;) {
        const answered = await refill(key, tier, entry)
        const policy = policyOf(tier)
        if (!policy) return undefined
        if (!answered) return bySelf(entry, policy)
        follow(entry, policy)
        const at = now()
        if (spend(entry, at)) return verdict(entry, policy, at, true)
        if (isRefused(entry, at)) return verdict(entry, policy, at, false)
      }
    } finally {
      entry.waiting--
    }
  }

  /** Asks for one, which is then held: whoever asks for none hears nothing. */
  async function probe(key: string, tier: string, entry: Entry): Promise<void> {
    entry.waiting++
    await refill(key, tier, entry)
    entry.waiting--
  }

  /** Without the store. */
  function bySelf(entry: Entry, policy: Policy): Verdict {
    const at = now()
    const share = shareOf(policy, Math.max(1, processes()))
    if (entry.absence !== absences) {
      entry.absence = absences
      entry.own = entry.tat
    }
    const { granted, tat } = conform(share, entry.own, at, 1)
    entry.own = tat
    const debt = Math.max(0, tat - at)
    const accepted = granted > 0
    return {
      policy,
      accepted,
      remaining: accepted ? conforming(share, debt) : 0,
      reset: Math.ceil(debt / 1000),
      retryAfter: accepted ? 0 : secondsUntil(waitOf(share, debt)),
    }
  }

  return {
    take(key, tier) {
      const policy = policyOf(tier)
      const entry = entryOf(key)
      const at = now()
      if (away) {
        if (at - probedAt >= probeInterval || at < probedAt) {
          probedAt = at
          void probe(key, tier, entry)
        }
        if (!policy) return undefined
        return spend(entry, at) ? verdict(entry, policy, at, true) : bySelf(entry, policy)
      }
      if (!policy) return wait(key, tier, entry)
      follow(entry, policy)
      if (spend(entry, at)) {
        if (entry.held * 2 < entry.size && !entry.asking && !isRefused(entry, at)) void refill(key, tier, entry)
        return verdict(entry, policy, at, true)
      }
      if (isRefused(entry, at)) return verdict(entry, policy, at, false)
      return wait(key, tier, entry)
    },
    isAway: () => away,
  }
}

function secondsUntil(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000))
}
