import { TooManyRequestsError } from '../oauth/errors.js'
import type { Clock } from '../platform/clock.js'
import type { Config } from '../platform/config/index.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { QueueFullError } from '../platform/crypto/password.js'
import { networkOf, siteOf } from '../platform/network.js'
import type { SecretKeys } from '../secrets/index.js'
import { type AuditEvent, type Database, type FailureKey, failures } from '../store/index.js'

/**
 * Failed logins and client authentications, counted per pair of account or client and network, per network, and per site
 * of IPv6 networks, over all processes. A pair, so that nobody can lock somebody else out from another network (attack
 * 102). Only failures count, so a success is never refused for others that are under way.
 */
export interface FailureLimits {
  /**
   * Asks memory alone: for secrets of full entropy, which nobody guesses.
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
  /** Counts a failure. @throws {TooManyRequestsError} when it lies past the bound: its outcome is not told */
  readonly fail: (subject: FailureSubject, event: AuditEvent | undefined) => Promise<void>
  /** Forgets the failures of the pair; writes only where this process has heard of any. */
  readonly succeed: (subject: FailureSubject) => Promise<void>
  /** What another process counted, as notified: `key:window:count`. */
  readonly hear: (notification: string) => void
}

export interface FailureSubject {
  readonly kind: 'account' | 'client'
  /** The normalised address or the client_id, existing or not. */
  readonly id: string
  readonly ip: string
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
 * Attempts under way at once, in this process: one of a pair, so that none is begun before the last one counts; of a
 * network as many as keep the hashing threads busy; of a site so many that networks of it do not wait for each other.
 */
const atOnce = [1, 4, 16] as const

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

  /** From the narrowest to the widest; an IPv4 address has no site. */
  function keysOf(subject: FailureSubject): readonly [pair: FailureKey, network: FailureKey, ...site: FailureKey[]] {
    const network = networkOf(subject.ip)
    const site = siteOf(subject.ip)
    const both = [keyOf(`${subject.kind}\0${subject.id}\0${network}`), keyOf(`network\0${network}`)] as const
    return site === undefined ? both : [...both, keyOf(`site\0${site}`)]
  }

  function boundsOf(subject: FailureSubject): readonly [number, number, number] {
    const pair = subject.kind === 'account' ? limits.failuresPerAccount : limits.failuresPerClient
    return [pair, limits.failuresPerNetwork, limits.failuresPerSite]
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

  function refuse(
    keys: readonly FailureKey[],
    counts: readonly number[],
    bounds: readonly number[],
    past: 0 | 1,
  ): void {
    const now = clock.now().getTime()
    const waits = keys.flatMap((key, index) =>
      counts[index]! >= bounds[index]! + past
        ? [Math.ceil((key.windowStart.getTime() + limits.failureWindow * 1000 - now) / 1000)]
        : [],
    )
    if (waits.length === 0) return
    throw new TooManyRequestsError('Too many failed attempts. Try again later.', {
      reason: 'failures_exceeded',
      retryAfter: Math.max(1, ...waits),
    })
  }

  function check(subject: FailureSubject): void {
    if (known.size === 0) return
    const keys = keysOf(subject)
    const counts = keys.map((key) => known.get(memoryKey(key)) ?? 0)
    refuse(keys, counts, boundsOf(subject), 0)
  }

  async function fail(subject: FailureSubject, event: AuditEvent | undefined): Promise<void> {
    const keys = keysOf(subject)
    const counts = await failures.add(db, keys, event)
    rememberAll(keys, counts)
    refuse(keys, counts, boundsOf(subject), 1)
  }

  async function clear(pair: FailureKey): Promise<void> {
    remember(memoryKey(pair), 0)
    await failures.clear(db, pair)
  }

  /** Waits until this one may begin. @returns what lets the next one begin */
  async function takeTurn(subject: FailureSubject): Promise<() => void> {
    const entered: (() => void)[] = []
    const leaveAll = (): void => {
      for (const leave of entered.reverse()) leave()
    }
    try {
      for (const [index, key] of keysOf(subject).entries()) {
        entered.push(await enter(memoryKey(key), atOnce[index]!))
      }
      return leaveAll
    } catch (error) {
      leaveAll()
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
        const keys = keysOf(subject)
        const counts = await failures.count(db, keys)
        rememberAll(keys, counts)
        refuse(keys, counts, boundsOf(subject), 0)
        const [pair] = keys
        const failuresStand = counts[0]! > 0
        return {
          failed: (event) => fail(subject, event).finally(leave),
          succeeded: () => (failuresStand ? clear(pair) : Promise.resolve()).finally(leave),
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
      const [pair] = keysOf(subject)
      if (known.has(memoryKey(pair))) await clear(pair)
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
