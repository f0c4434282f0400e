import { monotonicMilliseconds } from '../platform/monotonic.js'
import { networkOf, siteOf } from '../platform/network.js'

/**
 * Logins that are begun, by the network that they come from. Anybody can have a row written by opening a link: no network must fill
 * the database. A network may be a whole company's, so what people do by themselves is far from the bound.
 */
export interface Starts {
  /** Counts one. @returns undefined where it is accepted; else seconds until the next one is */
  readonly take: (address: string) => number | undefined
}

/** Milliseconds in which as many come back as may begin. */
const window = 600_000

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

  function take(key: string, limit: number): number | undefined {
    const now = milliseconds()
    const next = Math.max(now, arrivals.get(key) ?? 0) + window / limit
    const wait = next - window - now
    if (wait > 0.001) return Math.ceil(wait / 1000)
    arrivals.set(key, next)
    if (arrivals.size > capacity) arrivals.delete(arrivals.keys().next().value!)
    return undefined
  }

  return {
    take(address) {
      const site = siteOf(address)
      const wait = take(networkOf(address), perNetwork)
      return wait === undefined && site !== undefined ? take(site, networksOfSite * perNetwork) : wait
    },
  }
}
