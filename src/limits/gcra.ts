/**
 * The generic cell rate algorithm. A key's whole state is one number, the theoretical arrival time: when everything that was
 * accepted would have come, had it come evenly. A request conforms while that lies less than a burst ahead.
 *
 * So in any window at most `limit + burst` are accepted: a burst at its beginning, and what comes back until its end.
 */

export interface Policy {
  readonly name: string
  /** Requests in a window. */
  readonly limit: number
  /** Seconds. */
  readonly window: number
  /** Requests that may come at once. */
  readonly burst: number
}

type Rate = Omit<Policy, 'name'>

/** Milliseconds in which one request comes back. */
export function emissionOf({ limit, window }: Rate): number {
  return (window * 1000) / limit
}

/** Milliseconds that the clocks of two hosts may differ, besides a burst. */
const wrongClock = 10_000

/** Of a request, that rounding must not cost. */
const slack = 1e-6

/**
 * How many conform now, and at what debt: milliseconds that the theoretical arrival time lies ahead.
 *
 * @param debt may be negative: it lies behind
 */
export function conforming(policy: Rate, debt: number): number {
  const emission = emissionOf(policy)
  return Math.max(0, Math.floor((policy.burst * emission - Math.max(0, debt)) / emission + slack))
}

/**
 * Accepts as many of the requests as conform. A theoretical arrival time that lies further ahead than any clock of ours may
 * be wrong comes from a wrong clock: it counts as a burst that is used up.
 *
 * @param tat the theoretical arrival time, in milliseconds like `now`
 */
export function conform(
  policy: Rate,
  tat: number,
  now: number,
  units: number,
): { readonly granted: number; readonly tat: number } {
  const tolerance = policy.burst * emissionOf(policy)
  const base = tat > now + 2 * tolerance + wrongClock ? now + tolerance : Math.max(tat, now)
  const granted = Math.min(units, conforming(policy, base - now))
  return { granted, tat: base + granted * emissionOf(policy) }
}

/** Milliseconds until one more conforms. */
export function waitOf(policy: Rate, debt: number): number {
  return Math.max(0, debt - (policy.burst - 1) * emissionOf(policy))
}

/** What one of several processes may accept where they cannot ask each other. One request at least. */
export function shareOf({ limit, window, burst }: Rate, processes: number): Rate {
  return { limit: limit / processes, window, burst: Math.max(1, Math.floor(burst / processes)) }
}
