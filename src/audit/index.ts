// Owns the audit: what an event is made of, what is written at once and what is counted and written behind.

import type { Context } from '../context.js'
import type { Clock } from '../platform/clock.js'
import type { Logger } from '../platform/log.js'
import type { Random } from '../platform/random.js'
import { type AuditEvent, auditEvents, type Database } from '../store/index.js'

export { actOf, type By } from './by.js'
export type { AuditEvent }

type NewEvent = Omit<AuditEvent, 'id' | 'time'>

/** An event of now. It is written by whoever writes what it is about. */
export function newEvent(ctx: Pick<Context, 'clock' | 'random'>, event: NewEvent): AuditEvent {
  return { id: ctx.random.uuid(), time: ctx.clock.now(), ...event }
}

/** Commits an event that is about nothing else in the database. */
export async function record(ctx: Context, event: NewEvent): Promise<void> {
  await auditEvents.add(ctx.db, newEvent(ctx, event))
}

export interface AuditTrail {
  /** Counts events that are alike; written behind, as one with their number. */
  readonly count: (event: NewEvent) => void
  /**
   * For failures, which an attacker can have as many of as he likes: whether this one is written by itself. After ten a
   * minute from one source it is counted instead, and one event stands for the rest.
   */
  readonly writesByItself: (source: string, event: NewEvent) => boolean
  /** Writes what was counted. */
  readonly flush: () => Promise<void>
}

/** Kinds of events that are counted at once; beyond it they are written early. */
const capacity = 10_000
const failuresAMinute = 10

export function createAuditTrail(options: { db: Database; clock: Clock; random: Random; log: Logger }): AuditTrail {
  const { db, clock, random, log } = options
  let counted = new Map<string, { event: NewEvent; count: number; time: Date }>()
  let minute = 0
  let failures = new Map<string, number>()
  let writing: Promise<void> = Promise.resolve()

  function count(event: NewEvent): void {
    const key = `${event.type}\n${event.clientId}\n${event.ip}\n${event.reason}\n${event.detail ? JSON.stringify(event.detail) : ''}`
    const known = counted.get(key)
    if (known) {
      known.count++
      return
    }
    counted.set(key, { event, count: 1, time: clock.now() })
    if (counted.size >= capacity) void flush()
  }

  async function write(): Promise<void> {
    if (counted.size === 0) return
    const taken = counted
    counted = new Map()
    const events = [...taken.values()].map(({ event, count, time }) => ({ ...event, id: random.uuid(), time, count }))
    try {
      await auditEvents.addAll(db, events)
    } catch (error) {
      log.warn({ err: error, events: events.length }, 'audit events wait for the database')
      // They are kept for the next run, unless there are too many: memory is bounded.
      if (counted.size < capacity) {
        for (const [key, entry] of taken) {
          const newer = counted.get(key)
          if (newer) newer.count += entry.count
          else counted.set(key, entry)
        }
      } else {
        log.error({ events: events.length }, 'audit events were lost: the database was away for too long')
      }
    }
  }

  function flush(): Promise<void> {
    writing = writing.then(write)
    return writing
  }

  return {
    count,
    writesByItself(source, event) {
      const now = Math.floor(clock.now().getTime() / 60_000)
      if (now !== minute || failures.size >= capacity) {
        minute = now
        failures = new Map()
      }
      const key = `${event.type} ${source}`
      const seen = (failures.get(key) ?? 0) + 1
      failures.set(key, seen)
      if (seen <= failuresAMinute) return true
      count({ ...event, subject: undefined, requestId: undefined })
      return false
    },
    flush,
  }
}
