// Owns the audit: what an event is made of, what is written at once and what is counted and written behind.

import type { Context } from '../context.js'
import type { Clock } from '../platform/clock.js'
import type { Logger } from '../platform/log.js'
import type { Random } from '../platform/random.js'
import { type AuditEvent, auditEvents, type Database, isDatabaseAway } from '../store/index.js'

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
  /**
   * Counts a refused request, with its exact reason, once for each error: whoever knows most of it comes first. Where another
   * event says so already, `told` goes before: of the error, or of its cause.
   */
  readonly refused: (error: Refusal, about: Pick<NewEvent, 'clientId' | 'ip'>) => void
  readonly told: (error: object) => void
  /** Writes what was counted. */
  readonly flush: () => Promise<void>
}

interface Refusal {
  readonly code: string
  readonly reason: string
  readonly field?: string | undefined
  readonly cause?: unknown
}

/** Kinds of events that are counted at once; beyond it they are written early, and only their type is told apart. */
const capacity = 10_000
const failuresAMinute = 10

interface Counted {
  readonly event: NewEvent
  count: number
  /** Of the first. */
  readonly time: Date
}

export function createAuditTrail(options: { db: Database; clock: Clock; random: Random; log: Logger }): AuditTrail {
  const { db, clock, random, log } = options
  let counted = new Map<string, Counted>()
  let minute = 0
  let failures = new Map<string, number>()
  const told = new WeakSet<object>()
  let writing: Promise<void> = Promise.resolve()
  let early: Promise<void> | undefined

  function count(event: NewEvent): void {
    add({ event, count: 1, time: clock.now() })
    if (counted.size >= capacity && !early) early = flush().finally(() => (early = undefined))
  }

  /** Memory is bounded, numbers are kept: where too many kinds wait for the database, one event stands for a type. */
  function add({ event, count, time }: Counted): void {
    const whole = `${event.type}\n${event.clientId}\n${event.ip}\n${event.reason}\n${event.detail ? JSON.stringify(event.detail) : ''}`
    const fits = counted.has(whole) || counted.size < capacity
    const key = fits ? whole : event.type
    const known = counted.get(key)
    if (known) known.count += count
    else counted.set(key, { event: fits ? event : { type: event.type, actor: 'system', reason: 'many' }, count, time })
  }

  async function write(): Promise<void> {
    if (counted.size === 0) return
    const taken = [...counted.values()]
    counted = new Map()
    // By the batch: an event that the database refuses is found by halves, and the others are written.
    const written = await Promise.allSettled(
      taken.map(({ event, count, time }) => auditEvents.add(db, { ...event, id: random.uuid(), time, count })),
    )
    const failed = written.flatMap((result, index) =>
      result.status === 'rejected' ? [{ error: result.reason as unknown, counted: taken[index]! }] : [],
    )
    const waiting = failed.filter(({ error }) => isDatabaseAway(error))
    for (const { counted: entry } of waiting) add(entry)
    if (waiting.length > 0)
      log.warn({ err: waiting[0]?.error, events: waiting.length }, 'audit events wait for the database')
    for (const { error, counted: entry } of failed) {
      if (!isDatabaseAway(error)) log.error({ err: error, type: entry.event.type }, 'an audit event cannot be written')
    }
  }

  function flush(): Promise<void> {
    writing = writing.then(write)
    return writing
  }

  return {
    count,
    told: (error) => void told.add(error),
    refused(error, { clientId, ip }) {
      if (told.has(error) || (error.cause instanceof Error && told.has(error.cause))) return
      told.add(error)
      const { code, reason, field } = error
      const detail = { error: code, ...(field === undefined ? {} : { field }) }
      count({ type: 'request.refused', actor: 'system', clientId, ip, reason, detail })
    },
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
