import { networkOf, siteOf, unknown } from '../limits/address.js'
import type { Platform } from '../platform.js'

/** Whose guess it is, and at what. */
export interface Guess {
  readonly clientId: string
  /** As `normaliseAddress` gives it. */
  readonly address: string
}

/**
 * Wrong passwords that the server was asked about, for ten minutes each. It counts them for the address of this API, so without
 * bounds here whoever makes passwords up would have it refuse all of them that are shown to this API and that a person chose.
 * A password that was right here is no guess, and is held back by none of this; nor is any that is right counted.
 *
 * - `pair`, of a client in a network (a /24, a /64): one id from one address. It keeps out who shows this id from this network.
 * - `network`: many ids from one address, and many addresses of a /64. It keeps out who comes from this network.
 * - `site`, of an IPv6 /48: as many /64 as one likes, of the 65,536 there.
 * - `client.crowded` and `client.most`: one id from many addresses. Past the first nobody guesses at it who has guessed before:
 *   a network has one try, if there was no wrong one from it. So it takes five networks to keep out who was not here yet, and
 *   a server that lets ten be wrong is not asked to refuse those that were.
 * - `all.crowded` and `all.most`: ever new ids from many addresses. The same, so that it takes three networks, or one site, to get
 *   past the first, 60 more to get to the second, and only then nobody is asked about. That is all that is remembered, too.
 *
 * Networks of a site have its one try together; those whose address nobody knows are one site, without a bound of a network.
 */
export interface Guesses {
  /** Seconds until the server may be asked for this caller; undefined where it may be now. */
  readonly wait: (guess: Guess) => number | undefined
  /** Takes one up until it is known what it was. */
  readonly begin: (guess: Guess) => Begun
}

export interface Begun {
  /** @param until monotonic milliseconds, where it counts as wrong until then */
  readonly end: (until?: number) => void
}

/** In a window, below what the server bears of one client (10) and of one network (100). */
const bounds = { pair: 5, network: 10, site: 30, client: { crowded: 5, most: 9 }, all: { crowded: 30, most: 90 } }

interface Counted {
  readonly clientId: string
  readonly network: string
  readonly site: string
  /** Monotonic milliseconds; undefined while it is under way. */
  until?: number
}

export function createGuesses({ monotonic }: Pick<Platform, 'monotonic'>): Guesses {
  // Whoever begins has asked `wait`: so no more than `all.most`.
  let counted: readonly Counted[] = []

  /** Milliseconds until there are fewer of these than the bound; undefined where there are. */
  function waitFor(alike: readonly Counted[], bound: number): number | undefined {
    if (alike.length < bound) return undefined
    const now = monotonic()
    // What is under way may be right, and is soon known.
    const ends = alike.map(({ until = now }) => until).sort((one, other) => one - other)
    return Math.max(1, ends[alike.length - bound]! - now)
  }

  return {
    wait(guess) {
      const now = monotonic()
      counted = counted.filter(({ until }) => until === undefined || until > now)
      const { clientId, network, site } = describe(guess)
      const ofClient = counted.filter((each) => each.clientId === clientId)
      const ofSite = counted.filter((each) => each.site === site)
      const ofNetwork = ofSite.filter((each) => each.network === network)
      const isCrowded = ofClient.length >= bounds.client.crowded || counted.length >= bounds.all.crowded
      const waits = [
        waitFor(
          ofNetwork.filter((each) => each.clientId === clientId),
          bounds.pair,
        ),
        waitFor(ofNetwork, network === unknown ? bounds.site : bounds.network),
        waitFor(ofSite, isCrowded ? 1 : bounds.site),
        waitFor(ofClient, bounds.client.most),
        waitFor(counted, bounds.all.most),
      ].filter((each) => each !== undefined)
      return waits.length > 0 ? Math.ceil(Math.max(...waits) / 1000) : undefined
    },
    begin(guess) {
      const each = describe(guess)
      counted = [...counted, each]
      return {
        end(until) {
          if (until === undefined) counted = counted.filter((other) => other !== each)
          else each.until = until
        },
      }
    },
  }
}

function describe({ clientId, address }: Guess): Counted {
  return { clientId, network: networkOf(address), site: siteOf(address) }
}
