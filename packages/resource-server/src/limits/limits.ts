import { messageOf, UnavailableError } from '../errors.js'
import { fetchText } from '../http.js'
import { isObject, parseObject } from '../json.js'
import type { Platform } from '../platform.js'
import type { Credentials, ServiceToken } from '../service-token.js'
import type { Policy } from './gcra.js'
import { createLeases, type Grant, type Verdict } from './leases.js'

/** Counts requests for tiers of the server, together with the other instances of this API. */
export interface Limits {
  /** @returns undefined where the server knows no such tier: then nothing is limited, and a warning has said so */
  readonly take: (tier: string, who: string) => Verdict | undefined | Promise<Verdict | undefined>
  /** `share`: the server is away, and this instance goes on with its share. */
  readonly state: () => 'shared' | 'share'
  /** What is not limited although these tiers were to: the server has none of that name, or no limits. */
  readonly problem: (tiers: ReadonlySet<string>) => string | undefined
}

export interface LimitsOptions {
  readonly platform: Platform
  /** Undefined where the server has none. */
  readonly endpoint: string | undefined
  readonly serviceToken: ServiceToken
  readonly credentials: Credentials
  readonly warn: (message: string) => void
}

interface Waiting {
  readonly who: string
  readonly tier: string
  readonly units: number
  readonly resolve: (grant: Grant | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Leases of one request to the server, and requests at once. */
const most = { leases: 100, requests: 2 }
/** Milliseconds that a request waits for the server, which is then away. */
const patience = 500
/** Milliseconds between two times that this instance says that it is there. */
const announcement = 5_000
/** Milliseconds that a tier is remembered as one that there is not. */
const unknownFor = 5_000

const noLimits = 'The server has no rate limits: nothing is limited.'
const noTier = (tier: string): string => `The server has no tier ${tier}: what names it is not limited.`

export function createLimits({ platform, endpoint, serviceToken, credentials, warn }: LimitsOptions): Limits {
  const instance = crypto.randomUUID()
  const policies = new Map<string, Policy>()
  const unknown = new Map<string, number>()
  /** Those that the server said it has not, and has not said otherwise since. */
  const missing = new Set<string>()
  const warned = new Set<string>()
  const queue: Waiting[] = []
  let underWay = 0
  let announcedAt = Number.NEGATIVE_INFINITY
  let instances = 1
  let hashing: Promise<CryptoKey> | undefined

  function warnOnce(message: string): void {
    if (warned.has(message)) return
    warned.add(message)
    warn(message)
  }

  /** Whom it is about leaves this process as a keyed hash: the server cannot guess it, since it has no copy of the secret. */
  async function hashOf(who: string): Promise<string> {
    const text = new TextEncoder()
    const algorithm = { name: 'HMAC', hash: 'SHA-256' }
    hashing ??= crypto.subtle.importKey('raw', text.encode(credentials.clientSecret), algorithm, false, ['sign'])
    const bytes = new Uint8Array(await crypto.subtle.sign('HMAC', await hashing, text.encode(`rate limit\0${who}`)))
    return btoa(String.fromCharCode(...bytes))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace('=', '')
  }

  /** What comes while the server is being asked goes into the next request. */
  function flush(): void {
    while (queue.length > 0 && underWay < most.requests) {
      const asks = queue.splice(0, most.leases)
      underWay++
      request(asks)
        .catch((error: unknown) => {
          // Of a token that has ended, for one: the next attempt takes a new one.
          if (error instanceof UnavailableError && error.status === 401) serviceToken.drop()
          for (const { reject } of asks) reject(error)
        })
        .finally(() => {
          underWay--
          flush()
        })
    }
  }

  async function request(asks: readonly Waiting[]): Promise<void> {
    if (endpoint === undefined) throw new UnavailableError('The server has no rate limits')
    const form = new URLSearchParams()
    for (const { tier, who, units } of asks) form.append('lease', `${tier} ${await hashOf(who)} ${units}`)
    const announces = platform.monotonic() - announcedAt >= announcement
    if (announces) form.append('instance', instance)
    const headers = { authorization: `Bearer ${await serviceToken.get()}` }
    const { text } = await fetchText(platform, endpoint, { accept: 'application/json', headers, form, limit: 65_536 })
    const answer = parseObject(text)
    const leases = answer?.['leases']
    if (!Array.isArray(leases) || leases.length !== asks.length) throw new UnavailableError('The leases are malformed')
    const count = answer?.['instances']
    if (announces && typeof count === 'number' && count >= 1) {
      announcedAt = platform.monotonic()
      instances = count
    }
    for (const [index, { tier, resolve }] of asks.entries()) resolve(readLease(tier, leases[index]))
  }

  /** @throws {UnavailableError} */
  function readLease(tier: string, lease: unknown): Grant | undefined {
    if (lease === null) {
      policies.delete(tier)
      unknown.set(tier, platform.monotonic() + unknownFor)
      missing.add(tier)
      warnOnce(noTier(tier))
      return undefined
    }
    const { granted, debt, limit, window, burst } = isObject(lease) ? lease : {}
    const numbers = [granted, debt, limit, window, burst]
    if (!numbers.every((value) => typeof value === 'number' && value >= 0)) {
      throw new UnavailableError('A lease is malformed')
    }
    missing.delete(tier)
    const policy = { name: tier, limit, window, burst } as Policy
    const known = policies.get(tier)
    const isSame = known && known.limit === limit && known.window === window && known.burst === burst
    if (!isSame) policies.set(tier, policy)
    return { granted, debt } as Grant
  }

  function ask(who: string, tier: string, units: number): Promise<Grant | undefined> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new UnavailableError(`no answer within ${patience} ms`))
      const cancel = platform.setTimer(late, patience)
      const settle =
        <Value>(end: (value: Value) => void) =>
        (value: Value): void => {
          cancel()
          end(value)
        }
      queue.push({ who, tier, units, resolve: settle(resolve), reject: settle(reject) })
      // With what else comes in this turn.
      if (queue.length === 1) Promise.resolve().then(flush, reject)
    })
  }

  const leases = createLeases({
    now: platform.monotonic,
    policyOf: (tier) => policies.get(tier),
    ask,
    processes: () => instances,
    onAway: (error) => warn(`Rate limits go on by this instance's share (1 of ${instances}): ${messageOf(error)}`),
    onBack: () => warn('Rate limits hold over all instances again.'),
  })

  return {
    take(tier, who) {
      if (endpoint === undefined) {
        warnOnce(noLimits)
        return undefined
      }
      const until = unknown.get(tier)
      if (until !== undefined) {
        if (platform.monotonic() < until) return undefined
        unknown.delete(tier)
      }
      return leases.take(`${tier}\0${who}`, tier)
    },
    problem(tiers) {
      if (endpoint === undefined) return tiers.size > 0 ? noLimits : undefined
      const tier = [...missing].find((each) => tiers.has(each))
      return tier === undefined ? undefined : noTier(tier)
    },
    state: () => (leases.isAway() ? 'share' : 'shared'),
  }
}
