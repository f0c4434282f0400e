import { conform, type Excess, excessOf } from '../limits/index.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { networkOf, siteOf } from '../platform/network.js'

/**
 * Logins that are begun, by the network that they come from. Anybody can have a row written by opening a link: no network must fill
 * the database. A network may be a whole company's, so what people do by themselves is far from the bound.
 */
export interface Starts {
  /** Counts one. @returns undefined where it is accepted */
  readonly take: (address: string) => Excess | undefined
}

/** Seconds in which as many come back as may begin. */
const window = 600

/** Networks of an IPv6 site together. */
const networksOfSite = 10

/** Networks that are remembered; the oldest go first. */
const capacity = 50_000

/**
 * Each process by itself: the bound is against a flood, and need not be exact; a refusal must cost nothing; and no wrong clock may
 * keep people out.
 */
export function createStarts(perNetwork: number, milliseconds = monotonicMilliseconds): Starts {
  /** When the last one that was begun will have come back: the theoretical arrival time of GCRA. */
  const arrivals = new Map<string, number>()

  function take(key: string, limit: number): Excess | undefined {
    const now = milliseconds()
    const policy = { name: 'logins', limit, window, burst: limit }
    const { granted, tat } = conform(policy, arrivals.get(key) ?? 0, now, 1)
    if (granted === 0) return excessOf(policy, tat - now)
    arrivals.set(key, tat)
    if (arrivals.size > capacity) arrivals.delete(arrivals.keys().next().value!)
    return undefined
  }

  return {
    take(address) {
      const site = siteOf(address)
      const excess = take(networkOf(address), perNetwork)
      return !excess && site !== undefined ? take(site, networksOfSite * perNetwork) : excess
    },
  }
}
