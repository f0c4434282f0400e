import { isObject, parseObject } from '../json.js'
import type { Platform } from '../platform.js'

/** How old what is known of the list is. */
export interface Knowledge {
  /** Milliseconds; infinite before the first heartbeat. */
  readonly age: () => number
  /** A connection begins: how fast it is has to be learnt anew. @param askedAt when it was asked for, by the monotonic clock */
  readonly connected: (askedAt: number) => void
  /** Takes a heartbeat in. @throws {Error} where it is none */
  readonly hear: (data: string) => Heartbeat
}

export interface Heartbeat {
  /** Everything up to it was sent before. */
  readonly position: bigint
  /** Milliseconds that it came later than the fastest of this connection. */
  readonly late: number
  /** Milliseconds that the fastest itself may have been under way: no more was seen of this connection. */
  readonly underWay: number
}

export function createKnowledge(platform: Pick<Platform, 'now' | 'monotonic'>): Knowledge {
  let last: { readonly monotonic: number; readonly now: number; readonly age: number } | undefined
  let fastest = Number.POSITIVE_INFINITY
  let askedAt = Number.NEGATIVE_INFINITY
  /** Of the first heartbeat of the connection: the server wrote it after it was asked. */
  let first: { readonly distance: number; readonly underWay: number } | undefined

  return {
    age() {
      if (!last) return Number.POSITIVE_INFINITY
      // While a machine sleeps its monotonic clock may stand still; the other one may be set back. Whichever says more.
      const passed = Math.max(platform.monotonic() - last.monotonic, platform.now() - last.now)
      return passed + last.age
    },
    connected(asked) {
      fastest = Number.POSITIVE_INFINITY
      askedAt = asked
      first = undefined
    },
    hear(data) {
      const { position, age, time } = parseObject(data) ?? {}
      if (typeof age !== 'number' || !(age >= 0) || typeof time !== 'number' || !isPosition(position)) {
        throw new Error('a heartbeat is malformed')
      }
      const monotonic = platform.monotonic()
      // Two clocks that have nothing to do with each other: only how their difference grows says something.
      const distance = monotonic - time
      fastest = Math.min(fastest, distance)
      const late = distance - fastest
      // Where all are as slow, none is later than another: then only the answer to a question shows it.
      first ??= { distance, underWay: monotonic - askedAt }
      const underWay = Math.max(0, first.underWay - (first.distance - fastest))
      // A heartbeat that waited in a queue tells of what was, not of what is.
      last = { monotonic, now: platform.now(), age: age + late + underWay }
      return { position: BigInt(position), late, underWay }
    },
  }
}

/** Decimal digits of a 64-bit number. */
export function isPosition(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,19}$/.test(value)
}

/** The entries of an event. @throws {Error} */
export function readEntries(data: string): unknown {
  const wrapped = parseObject(`{"revocations":${data}}`)
  if (!isObject(wrapped)) throw new Error('an event is malformed')
  return wrapped['revocations']
}
