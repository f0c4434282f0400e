import { UnavailableError } from '../errors.js'
import { createIntrospection } from '../introspection.js'
import { siteOf } from '../limits/address.js'
import { isInNetworks } from '../limits/network.js'
import type { Reason, RefusedWith } from '../problems.js'
import { headerValues, type RequestLike } from '../request.js'
import type { Tools } from '../schemes/tools.js'
import { type ApiKeyKind, countedKey, deprecationOf, type KnownKey, readKeyAnswer } from './answer.js'

/** What the server says of keys, as far as nothing was heard since. */
export interface KnownKeys {
  /**
   * @param shown the text of a key, or the id of one that signs
   * @param id of the key
   * @param address of whoever shows it: keys that were never seen wait their turn by where they come from
   */
  readonly find: (shown: string, id: string, address?: string) => Promise<KnownKey | Reason>
  /** Keys that are remembered. */
  readonly size: () => number
}

/** Milliseconds that an answer about a key stands, also while the feed is followed. */
const longestAnswer = 60_000

/** The same where the key is about to expire, by a clock that may be wrong: the server knows when. */
const nearItsEnd = 250

/** Keys that wait to be asked about, when many of them were changed at once. */
const waiting = 10_000

/** The server may go on saying things while it is asked. */
const attempts = 5

export interface KnownKeysOptions {
  /** For the server. RFC 7662 §2.1. */
  readonly hint?: string
  readonly kinds: readonly ApiKeyKind[]
}

export function createKnownKeys(tools: Tools, { hint, kinds }: KnownKeysOptions): KnownKeys {
  const { platform, credentials, server, revocations, clockSkew } = tools
  const endpoint = server.introspectionEndpoint
  const introspection =
    credentials && endpoint !== undefined
      ? createIntrospection({
          platform,
          endpoint,
          credentials,
          capacity: tools.cacheSize,
          waiting,
          moment: revocations.news.moment,
          ...(hint === undefined ? {} : { hint }),
          read(claims, askedAt) {
            const known = readKeyAnswer(claims, tools, askedAt)
            return known && kinds.includes(known.kind) ? known : undefined
          },
        })
      : undefined

  async function ask(shown: string, source: string): Promise<KnownKey | undefined> {
    if (!introspection) throw new UnavailableError('There is nobody to ask about keys')
    const standing = Math.min(longestAnswer, tools.standing())
    const known = await introspection.ask(shown, standing, { source })
    const isEnding = known && platform.now() / 1000 >= known.token.expiresAt - clockSkew
    return isEnding ? introspection.ask(shown, Math.min(nearItsEnd, standing), { source }) : known
  }

  return {
    async find(shown, id, address) {
      const source = siteOf(address)
      try {
        for (let attempt = 0; attempt < attempts; attempt++) {
          // It never comes back, and the server need not be asked; an entry with a time in it ends no key by itself.
          if (revocations.ends([{ kind: 'api_key', id }], Number.POSITIVE_INFINITY)) return 'revoked'
          const known = await ask(shown, source)
          if (!known || known.token.clientId !== id) return 'inactive'
          // Whatever was said since, the server knows exactly what it means for this key.
          if (!revocations.news.isOf(known.targets, known.askedAt)) return known
          introspection?.forget(shown, known)
        }
      } catch {}
      return 'introspection_unavailable'
    },
    size: () => introspection?.size() ?? 0,
  }
}

/**
 * Whether whoever sends the request may use the key from where they are. Where that is not known, they may not. They have
 * proved to have the key, so that it is counted, and one that has a successor says so.
 */
export function problemOfPlace(known: KnownKey, request: RequestLike, tools: Tools): Reason | RefusedWith | undefined {
  const address = tools.addressOf(request)
  const problem = placeOf(known, request, address)
  if (problem === undefined) return undefined
  const outcome = problem === 'network_not_allowed' ? 'network' : 'origin'
  tools.usage?.count(countedKey(known.token), { outcome, scope: '', address })
  const headers = deprecationOf(known.token)
  return headers ? { reason: problem, headers } : problem
}

function placeOf({ kind, networks, origins }: KnownKey, request: RequestLike, address: string | undefined) {
  if (networks.length > 0 && !isInNetworks(address, networks)) return 'network_not_allowed'
  if (kind !== 'publishable') return undefined
  const [origin, ...more] = headerValues(request, 'origin')
  return origin !== undefined && more.length === 0 && origins.includes(origin) ? undefined : 'origin_not_allowed'
}
