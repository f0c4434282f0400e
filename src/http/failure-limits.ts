import { TooManyRequestsError } from '../oauth/errors.js'
import type { Clock } from '../platform/clock.js'
import type { Config } from '../platform/config/index.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { QueueFullError } from '../platform/crypto/password.js'
import { networkOf, siteOf } from '../platform/network.js'
import type { SecretKeys } from '../secrets/index.js'
import { type AuditEvent, type Database, type FailureKey, failures } from '../store/index.js'

/**
 * Failed logins and client authentications, counted per pair of account or client and network, per network, per site of
 * IPv6 networks, and per account from everywhere, over all processes. A pair, so that it takes many networks to lock somebody else out; and a browser at
 * which the account was signed in to before is counted by itself, so that no number of them does (attack 102). Only
 * failures count, so a success is never refused for others that are under way.
 *
 * What is refused says by which bound (`RateLimit`, `RateLimit-Policy`): whoever is has used it up and knows. An answer before
 * that never says how many guesses are left.
 */
export interface FailureLimits {
  /**
   * Asks memory alone: for secrets of full entropy, which nobody guesses. These pass past a bound too, where they are right.
   *
   * @throws {TooManyRequestsError} past a bound
   */
  readonly check: (subject: FailureSubject) => void
  /**
   * Asks the database before a slow hash is computed. Of many attempts at once the next begins when the outcome of the one
   * before is counted: so no more of them compute a hash than the bound, and one for each further process.
   *
   * @throws {TooManyRequestsError} past a bound
   * @throws {QueueFullError} when too many wait
   */
  readonly attempt: (subject: FailureSubject) => Promise<Attempt>
  /**
   * Counts a failure.
   *
   * @param what `refusal`: of who has proved to be the subject, and was refused all the same. It was no guess, so it counts
   *   for the pair alone, and nobody else of the network pays for it
   * @throws {TooManyRequestsError} when it lies past the bound: its outcome is not told
   */
  readonly fail: (subject: FailureSubject, event: AuditEvent | undefined, what?: 'guess' | 'refusal') => Promise<void>
  /**
   * Forgets the failures of the pair, or of the device; writes only where this process has heard of any. Past the bound they
   * stand: what nobody guesses passes all the same, and must not make room for guesses at a secret that a person chose.
   */
  readonly succeed: (subject: FailureSubject) => Promise<void>
  /** What another process counted, as notified: `key:window:count`. */
  readonly hear: (notification: string) => void
}

export interface FailureSubject {
  readonly kind: 'account' | 'client'
  /** The normalised address or the client_id, existing or not. */
  readonly id: string
  readonly ip: string
  /**
   * Who handed it on without saying where it comes from, such as a gateway by its name: in place of a network, so that whoever
   * guesses behind one of them is counted together with nobody behind another.
   */
  readonly via?: string | undefined
  /** One that has proved to be known to the account: counted alone, wherever it is. */
  readonly device?: string | undefined
}

/** An attempt that is under way. Others wait for it: exactly one of these is called, whatever happens. */
export interface Attempt {
  /** @throws {TooManyRequestsError} when it lies past the bound: its outcome is not told */
  readonly failed: (event: AuditEvent | undefined) => Promise<void>
  readonly succeeded: () => Promise<void>
  /** The outcome will never be known (the hash was refused): nothing counts. */
  readonly abandoned: () => Promise<void>
}

/** Keys whose counts are remembered; the oldest go first. */
const capacity = 50_000

/**
 * Attempts under way at once, in this process: one of a pair or device, so that none is begun before the last one counts;
 * of a network, and of an account from everywhere, as many as keep the hashing threads busy; of a site so many that
 * networks of it do not wait for each other.
 */
const atOnce = { single: 1, shared: 4, site: 16 }

/** What an attempt is counted by. */
interface Bucket extends FailureKey {
  /** As the fields of a refusal call the policy. */
  readonly name: string
  readonly bound: number
  readonly atOnce: number
}

/** How many may wait for one key. Past the bound all of them are refused without any work. */
const longestLine = 1_000

export interface FailureLimitsOptions {
  readonly db: Database
  readonly clock: Clock
  readonly config: Pick<Config, 'limits'>
  readonly secrets: SecretKeys
}

export function createFailureLimits({ db, clock, config, secrets }: FailureLimitsOptions): FailureLimits {
  const { limits } = config
  const known = new Map<string, number>()
  const enter = createLines()

  /** Windows of one length for all, but each key's begin at a time of its own: the end of one is nobody's signal. */
  function keyOf(text: string): FailureKey {
    const key = hmacSha256(secrets.current.derive('failure counter'), text)
    const phase = key.readUInt32BE(0) % limits.failureWindow
    const window = Math.floor((clock.now().getTime() / 1000 + phase) / limits.failureWindow)
    return { key, window, windowStart: new Date((window * limits.failureWindow - phase) * 1000) }
  }

  /** The first is what a success clears. An IPv4 address has no site. */
  function bucketsOf({ kind, id, ip, via, device }: FailureSubject): readonly [Bucket, ...Bucket[]] {
    const { failuresPerAccount, failuresPerAccountAnywhere, failuresPerClient } = limits
    const bucket = (name: string, text: string, bound: number, most: number): Bucket => ({
      ...{ ...keyOf(text), name, bound },
      atOnce: most,
    })
    if (device !== undefined) return [bucket('failures', `device\0${device}\0${id}`, failuresPerAccount, atOnce.single)]
    // No network is written like that.
    const network = via === undefined ? networkOf(ip) : `via ${via}`
    const site = via === undefined ? siteOf(ip) : undefined
    const ofPair = kind === 'account' ? failuresPerAccount : failuresPerClient
    return [
      bucket('failures', `${kind}\0${id}\0${network}`, ofPair, atOnce.single),
      bucket('failures-of-network', `network\0${network}`, limits.failuresPerNetwork, atOnce.shared),
      ...(site === undefined ? [] : [bucket('failures-of-site', `site\0${site}`, limits.failuresPerSite, atOnce.site)]),
      ...(kind === 'account'
        ? [bucket('failures-anywhere', `anywhere\0${id}`, failuresPerAccountAnywhere, atOnce.shared)]
        : []),
    ]
  }

  const memoryKey = ({ key, window }: FailureKey): string => `${key.toString('hex')}:${window}`

  function remember(id: string, count: number): void {
    known.delete(id)
    if (count > 0) known.set(id, count)
    if (known.size > capacity) known.delete(known.keys().next().value!)
  }

  function rememberAll(keys: readonly FailureKey[], counts: readonly number[]): void {
    keys.forEach((key, index) => {
      remember(memoryKey(key), counts[index]!)
    })
  }

  function refuse(buckets: readonly Bucket[], counts: readonly number[], past: 0 | 1): void {
    const passed = buckets.filter(({ bound }, index) => counts[index]! >= bound + past)
    if (passed.length === 0) return
    const waits = passed.map(secondsLeft)
    throw new TooManyRequestsError('Too many failed attempts. Try again later.', {
      reason: 'failures_exceeded',
      retryAfter: Math.max(...waits),
      headers: {
        'RateLimit-Policy': passed
          .map(({ name, bound }) => `"${name}";q=${bound};w=${limits.failureWindow}`)
          .join(', '),
        RateLimit: passed.map(({ name }, index) => `"${name}";r=0;t=${waits[index]}`).join(', '),
      },
    })
  }

  function secondsLeft({ windowStart }: Bucket): number {
    const end = windowStart.getTime() + limits.failureWindow * 1000
    return Math.max(1, Math.ceil((end - clock.now().getTime()) / 1000))
  }

  function check(subject: FailureSubject): void {
    if (known.size === 0) return
    const buckets = bucketsOf(subject)
    const counts = buckets.map((bucket) => known.get(memoryKey(bucket)) ?? 0)
    refuse(buckets, counts, 0)
  }

  async function fail(
    subject: FailureSubject,
    event: AuditEvent | undefined,
    what: 'guess' | 'refusal' = 'guess',
  ): Promise<void> {
    const [pair, ...shared] = bucketsOf(subject)
    const buckets = what === 'guess' ? [pair, ...shared] : [pair]
    const counts = await failures.add(db, buckets, event)
    rememberAll(buckets, counts)
    refuse(buckets, counts, 1)
  }

  async function clear(key: FailureKey): Promise<void> {
    remember(memoryKey(key), 0)
    await failures.clear(db, key)
  }

  /** Waits until this one may begin. @returns what lets the next one begin */
  async function takeTurn(subject: FailureSubject): Promise<() => void> {
    const entered: (() => void)[] = []
    const leave = (): void => {
      for (const each of entered.splice(0).reverse()) each()
    }
    try {
      // The single one first, always: so no two wait for each other.
      for (const bucket of bucketsOf(subject)) entered.push(await enter(memoryKey(bucket), bucket.atOnce))
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  return {
    check,
    fail,

    async attempt(subject) {
      check(subject)
      const leave = await takeTurn(subject)
      try {
        // Those before it may have reached the bound: then the database is not asked.
        check(subject)
        const buckets = bucketsOf(subject)
        const counts = await failures.count(db, buckets)
        rememberAll(buckets, counts)
        refuse(buckets, counts, 0)
        const [single] = buckets
        const failuresStand = counts[0]! > 0
        return {
          failed: (event) => fail(subject, event).finally(leave),
          succeeded: () => (failuresStand ? clear(single) : Promise.resolve()).finally(leave),
          async abandoned() {
            leave()
          },
        }
      } catch (error) {
        leave()
        throw error
      }
    },

    async succeed(subject) {
      if (known.size === 0) return
      const [single] = bucketsOf(subject)
      const failed = known.get(memoryKey(single)) ?? 0
      if (failed > 0 && failed < single.bound) await clear(single)
    },

    hear(notification) {
      const at = notification.lastIndexOf(':')
      const heard = Number(notification.slice(at + 1))
      if (at > 0 && Number.isSafeInteger(heard)) remember(notification.slice(0, at), heard)
    },
  }
}

/** A line for each key: some are under way, the others wait in the order in which they came. */
function createLines(): (key: string, atOnce: number) => Promise<() => void> {
  interface Line {
    underWay: number
    readonly waiting: (() => void)[]
  }
  const lines = new Map<string, Line>()

  return async (key, atOnce) => {
    const line = lines.get(key) ?? { underWay: 0, waiting: [] }
    lines.set(key, line)
    if (line.underWay < atOnce) {
      line.underWay++
    } else {
      if (line.waiting.length >= longestLine) throw new QueueFullError()
      await new Promise<void>((resolve) => line.waiting.push(resolve))
    }
    let left = false
    return () => {
      if (left) return
      left = true
      const next = line.waiting.shift()
      // Whoever leaves hands its place over, so nobody overtakes those that wait.
      if (next) next()
      else if (--line.underWay === 0) lines.delete(key)
    }
  }
}
