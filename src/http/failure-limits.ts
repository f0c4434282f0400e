import type { AuditEvent } from '../audit/index.js'
import { TooManyRequestsError } from '../oauth/errors.js'
import type { Clock } from '../platform/clock.js'
import type { Config } from '../platform/config/index.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { networkOf } from '../platform/network.js'
import type { SecretKeys } from '../secrets/index.js'
import { type Database, type FailureKey, failures } from '../store/index.js'

/**
 * Failed logins and client authentications, counted per pair of account or client and network, and per network, over all
 * processes. A pair, so that nobody can lock somebody else out from another network (attack 102). Only failures count.
 */
export interface FailureLimits {
  /**
   * Asks memory alone: for secrets of full entropy, which nobody guesses.
   *
   * @throws {TooManyRequestsError} past a bound
   */
  readonly check: (subject: FailureSubject) => void
  /**
   * Asks the database before a slow hash is computed. Where failures stand or another attempt is under way, this one is
   * counted in advance, so that of many at once no more than the bound compute a hash.
   *
   * @throws {TooManyRequestsError} past a bound
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

export interface Attempt {
  readonly failed: (event: AuditEvent | undefined) => Promise<void>
  readonly succeeded: () => Promise<void>
  /** The outcome will never be known (the hash was refused): nothing counts. */
  readonly abandoned: () => Promise<void>
}

/** Keys whose counts are remembered; the oldest go first. */
const capacity = 50_000

export interface FailureLimitsOptions {
  readonly db: Database
  readonly clock: Clock
  readonly config: Config
  readonly secrets: SecretKeys
}

export function createFailureLimits({ db, clock, config, secrets }: FailureLimitsOptions): FailureLimits {
  const { limits } = config
  const known = new Map<string, number>()
  const underWay = new Map<string, number>()

  /** Windows of one length for all, but each key's begin at a time of its own: the end of one is nobody's signal. */
  function keyOf(text: string): FailureKey {
    const key = hmacSha256(secrets.current.derive('failure counter'), text)
    const phase = key.readUInt32BE(0) % limits.failureWindow
    const window = Math.floor((clock.now().getTime() / 1000 + phase) / limits.failureWindow)
    return { key, window, windowStart: new Date((window * limits.failureWindow - phase) * 1000) }
  }

  function keysOf(subject: FailureSubject): readonly [pair: FailureKey, network: FailureKey] {
    const network = networkOf(subject.ip)
    return [keyOf(`${subject.kind}\0${subject.id}\0${network}`), keyOf(`network\0${network}`)]
  }

  function boundsOf(subject: FailureSubject): readonly [number, number] {
    const pair = subject.kind === 'account' ? limits.failuresPerAccount : limits.failuresPerClient
    return [pair, limits.failuresPerNetwork]
  }

  const memoryKey = ({ key, window }: FailureKey): string => `${key.toString('hex')}:${window}`

  function remember(id: string, count: number): void {
    known.delete(id)
    if (count > 0) known.set(id, count)
    if (known.size > capacity) known.delete(known.keys().next().value!)
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

  async function count(keys: readonly FailureKey[], event?: AuditEvent): Promise<readonly number[]> {
    const counts = await failures.add(db, keys, event)
    keys.forEach((key, index) => {
      remember(memoryKey(key), counts[index]!)
    })
    return counts
  }

  async function clear(pair: FailureKey): Promise<void> {
    remember(memoryKey(pair), 0)
    await failures.clear(db, pair)
  }

  return {
    check(subject) {
      const keys = keysOf(subject)
      if (known.size > 0)
        refuse(
          keys,
          keys.map((key) => known.get(memoryKey(key)) ?? 0),
          boundsOf(subject),
          0,
        )
    },

    async attempt(subject) {
      const keys = keysOf(subject)
      const bounds = boundsOf(subject)
      const pairKey = memoryKey(keys[0])
      const others = underWay.get(pairKey) ?? 0
      underWay.set(pairKey, others + 1)
      const leave = (): void => {
        const left = (underWay.get(pairKey) ?? 1) - 1
        if (left > 0) underWay.set(pairKey, left)
        else underWay.delete(pairKey)
      }
      try {
        const counts = await failures.count(db, keys)
        refuse(keys, counts, bounds, 0)
        const reserved = others > 0 || counts[0]! > 0
        if (reserved) refuse(keys, await count(keys), bounds, 1)
        return {
          async failed(event) {
            try {
              if (reserved) {
                if (event) await failures.add(db, [], event)
                return
              }
              refuse(keys, await count(keys, event), bounds, 1)
            } finally {
              leave()
            }
          },
          async succeeded() {
            try {
              if (!reserved) return
              await failures.subtract(db, [keys[1]])
              await clear(keys[0])
            } finally {
              leave()
            }
          },
          async abandoned() {
            try {
              if (reserved) await failures.subtract(db, keys)
            } finally {
              leave()
            }
          },
        }
      } catch (error) {
        leave()
        throw error
      }
    },

    async fail(subject, event) {
      const keys = keysOf(subject)
      refuse(keys, await count(keys, event), boundsOf(subject), 1)
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
