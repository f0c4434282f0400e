import type { Context, Origin } from '../../context.js'
import { TooManyRequestsError } from '../../oauth/index.js'
import { networkOf, siteOf } from '../../platform/network.js'

/**
 * How many of the places for documents (eight, `platform/outbound`) a network that asks may hold on average, and a host that is
 * asked. Time is counted and not readings: a host with many clients, which answers, is read from as often as they need.
 */
const places = { network: 1, host: 2 }

/** Milliseconds that may be held at once. */
const burst = 30_000

/** Milliseconds that one reading takes at the most, whatever becomes of the clock. */
const longest = 10_000

/** The most that anybody can owe: a burst, and about what was under way when it was used up. */
const mostDebt = burst + 8 * longest

/** Milliseconds for which a client is not asked again whose reading failed and took longer than `slow`. */
const pause = 5_000
const slow = 1_000

/** Networks and hosts that are remembered, and clients; those of longest ago go first. */
const capacity = 10_000

interface Asked {
  readonly clientId: string
  readonly origin: Origin
}

/**
 * The time for which readings of documents hold places that all others need, in this process, whose places they are: so nobody
 * keeps out others by documents that are slow, or that name what is slow (attacks 93 and 95). Nothing is said of a document by it.
 */
export interface Waits {
  /** Whether the network that asks has any left. */
  readonly hasTime: (origin: Origin) => boolean
  /** @throws {TooManyRequestsError} */
  readonly requireTime: (clientId: string, origin: Origin) => void
  /** @param work calls `answered` when the host itself was asked: what it names may be another's */
  readonly timed: (asked: Asked, work: (answered: () => void) => Promise<void>) => Promise<void>
}

export function createWaits(clock: Context['clock']): Waits {
  const debts = createDebts()
  const pauses = createDebts()
  const now = (): number => clock.now().getTime()

  function requireLess(debt: number, than: number): void {
    if (debt < than) return
    throw new TooManyRequestsError('Too many applications were looked up. Try again later.', {
      reason: 'client_document_slow',
      retryAfter: (debt - than) / 1000 + 1,
    })
  }

  return {
    hasTime: (origin) => debts.of(networkKey(origin), now(), mostDebt) < burst,

    requireTime(clientId, origin) {
      requireLess(pauses.of(clientId, now(), pause), 1)
      requireLess(debts.of(networkKey(origin), now(), mostDebt), burst)
      requireLess(debts.of(hostKey(clientId), now(), mostDebt), burst)
    },

    async timed({ clientId, origin }, work) {
      const began = now()
      const elapsed = (): number => Math.min(Math.max(0, now() - began), longest)
      let failed = true
      try {
        await work(() => debts.add(hostKey(clientId), now(), elapsed() / places.host))
        failed = false
      } finally {
        debts.add(networkKey(origin), now(), elapsed() / places.network)
        if (failed && elapsed() > slow) pauses.add(clientId, now(), pause)
      }
    },
  }
}

/** Whoever holds an IPv6 /48 is one. */
function networkKey({ ip = '' }: Origin): string {
  return `network ${siteOf(ip) ?? networkOf(ip)}`
}

function hostKey(clientId: string): string {
  return `host ${new URL(clientId).host}`
}

/** Milliseconds that are owed, and paid by the time that passes. */
function createDebts() {
  const paidAt = new Map<string, number>()

  /** What is more than can be is of a clock that was set back since (attack 133): nothing is known then. */
  function of(key: string, now: number, most: number): number {
    const left = (paidAt.get(key) ?? 0) - now
    return left > most ? 0 : Math.max(0, left)
  }

  return {
    of,
    add(key: string, now: number, milliseconds: number): void {
      if (milliseconds === 0) return
      const until = now + Math.min(of(key, now, mostDebt) + milliseconds, mostDebt)
      paidAt.delete(key)
      paidAt.set(key, until)
      if (paidAt.size > capacity) paidAt.delete(paidAt.keys().next().value!)
    },
  }
}
