import { setTimeout as wait } from 'node:timers/promises'
import type { Context } from '../context.js'
import { findUser } from '../identity/index.js'
import { type Expectation, expectationOf } from '../oauth/index.js'
import { NotFoundError } from '../platform/administration-errors.js'
import { type AuditEvent, auditEvents, isDatabaseAway } from '../store/index.js'
import { displayText } from '../ui/index.js'
import { type CommandIo, defineCommand, UsageError, wholeNumber } from './command.js'
import { table, timeText, wrap } from './output.js'

interface Filter {
  readonly type?: string
  readonly clientId?: string
  readonly subject?: string
}

const list = defineCommand({
  name: 'audit list',
  summary: 'Show what happened, to whom, by whom and why',
  description:
    'The newest events, oldest first. With --follow it prints further ones as they come, each as one line (with --json ' +
    'as one JSON object a line), until it is interrupted.',
  options: {
    follow: { type: 'boolean', description: 'Prints further events as they come.' },
    type: { type: 'string', value: 'TYPE', description: 'Types that begin so, as login or client.secret_rotated.' },
    client: { type: 'string', value: 'CLIENT_ID', description: 'About this client.' },
    user: { type: 'string', value: 'ID|EMAIL', description: 'About this user.' },
    since: { type: 'string', value: 'TIME', description: 'As 2026-03-01, 2026-03-01T12:00Z, or 15m, 2h, 7d ago.' },
    limit: { type: 'string', value: 'NUMBER', description: 'At most so many. Default 100.' },
  },
  examples: ['ostiary audit list --since 1h --type login', 'ostiary audit list --follow --json'],
  async run({ io, options, json, context }) {
    const limit = options.limit === undefined ? 100 : wholeNumber(options.limit, 'limit', 1, 100_000)
    checkTime(options.since)
    const ctx = await context()
    const since = options.since === undefined ? undefined : readTime(options.since, ctx.clock.now())
    const filter: Filter = {
      ...(options.type === undefined ? {} : { type: options.type }),
      ...(options.client === undefined ? {} : { clientId: options.client }),
      ...(options.user === undefined ? {} : { subject: await subjectOf(ctx, options.user) }),
    }
    // Before the list, so that nothing falls between the two: what is in neither is new.
    const before = options.follow ? await recent(ctx, filter) : []
    const events = await auditEvents.list(ctx.db, { ...filter, ...(since ? { since } : {}), limit })
    if (options.follow) {
      await follow(ctx, io, filter, { before, first: events, line: json ? jsonLine : textLine })
      return undefined
    }
    return {
      json: events.map(describeEvent),
      text: (width) =>
        events.length === 0
          ? 'There is no such event.\n'
          : table(
              events,
              [
                { title: 'TIME', value: ({ time }) => timeText(time) },
                { title: 'EVENT', value: typeText },
                { title: 'BY', value: ({ actor }) => actor, flexible: true },
                { title: 'CLIENT', value: ({ clientId }) => clientId ?? '', flexible: true },
                { title: 'USER', value: ({ subject }) => subject ?? '', flexible: true },
                { title: 'FROM', value: ({ ip }) => ip ?? '', flexible: true },
                { title: 'REASON', value: whyText, flexible: true },
              ],
              width,
            ) + legend(events, width),
    }
  },
})

export const auditCommands = [list]

/** Milliseconds between looks at the database. */
const followInterval = 1_000
/** Milliseconds: events that were counted in memory are written with the time at which they began. */
const lateness = 120_000
const followLimit = 1_000

/** What may come later than its time says: an event is written after the time that it has, by a moment or by minutes. */
function recent(ctx: Context, filter: Filter): Promise<readonly AuditEvent[]> {
  const since = new Date(ctx.clock.now().getTime() - lateness)
  return auditEvents.list(ctx.db, { ...filter, since, limit: followLimit })
}

interface Following {
  /** There before, and not caught up with: how many are wanted is said by --limit. */
  readonly before: readonly AuditEvent[]
  /** To be printed. */
  readonly first: readonly AuditEvent[]
  readonly line: (event: AuditEvent) => string
}

/** Prints what comes until it is interrupted. A database that goes away is waited for. */
async function follow(ctx: Context, io: CommandIo, filter: Filter, { before, first, line }: Following): Promise<void> {
  const stop = new AbortController()
  const interrupt = (): void => stop.abort()
  io.signal?.addEventListener('abort', interrupt)
  if (io.signal?.aborted) interrupt()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, interrupt)

  let seen = new Map([...before, ...first].map(({ id, time }) => [id, time]))
  let away = false
  for (const event of first) io.stdout.write(line(event))
  try {
    while (!stop.signal.aborted) {
      await wait(followInterval, undefined, { signal: stop.signal }).catch(() => undefined)
      if (stop.signal.aborted) break
      try {
        const events = await recent(ctx, filter)
        away = false
        for (const event of events) {
          if (seen.has(event.id)) continue
          seen.set(event.id, event.time)
          io.stdout.write(line(event))
        }
        const [oldest] = events
        if (oldest) seen = new Map([...seen].filter(([, time]) => time >= oldest.time))
      } catch (error) {
        if (!isDatabaseAway(error)) throw error
        if (!away) io.stderr.write('ostiary: warning: The database is away; waiting for it.\n')
        away = true
      }
    }
  } finally {
    io.signal?.removeEventListener('abort', interrupt)
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, interrupt)
  }
}

function describeEvent(event: AuditEvent): Record<string, unknown> {
  return {
    id: event.id,
    time: event.time.toISOString(),
    type: event.type,
    actor: event.actor,
    client_id: event.clientId,
    subject: event.subject,
    grant_id: event.grantId,
    ip: event.ip,
    request_id: event.requestId,
    reason: event.reason,
    ...wantedBy(event),
    detail: event.detail,
    count: event.count ?? 1,
  }
}

/** What would have been right, where something was refused: others have reasons of the same name, such as who ended something. */
function wantedBy({ type, reason }: AuditEvent): Expectation | undefined {
  return reason !== undefined && /[._](?:refused|failed|denied)$/.test(type) ? expectationOf(reason) : undefined
}

/** Below the table, each once: whoever integrates against us does not have to guess. */
function legend(events: readonly AuditEvent[], width: number): string {
  const lines = events.flatMap((event) => {
    const wanted = wantedBy(event)
    return wanted ? [wrap(`${event.reason}: expected ${wanted.expected} (${wanted.section})`, width, '  ')] : []
  })
  return lines.length === 0 ? '' : `\n${[...new Set(lines)].join('')}`
}

function jsonLine(event: AuditEvent): string {
  return `${JSON.stringify(describeEvent(event))}\n`
}

function textLine(event: AuditEvent): string {
  const { clientId, subject, ip } = event
  const wanted = wantedBy(event)
  const parts = [
    timeText(event.time),
    typeText(event),
    `by ${event.actor}`,
    ...(clientId === undefined ? [] : [`client ${clientId}`]),
    ...(subject === undefined ? [] : [`user ${subject}`]),
    ...(ip === undefined ? [] : [`from ${ip}`]),
    whyText(event),
    ...(wanted ? [`expected ${wanted.expected} (${wanted.section})`] : []),
  ]
  return `${displayText(parts.join('  '), 1000)}\n`
}

function typeText({ type, count = 1 }: AuditEvent): string {
  return count > 1 ? `${type} (${count} times)` : type
}

function whyText({ reason, detail }: AuditEvent): string {
  const details = Object.entries(detail ?? {}).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return [...(reason === undefined ? [] : [reason]), ...details].join(' ')
}

/** A user that is gone may still have events, under the id. */
async function subjectOf(ctx: Context, idOrEmail: string): Promise<string> {
  try {
    return (await findUser(ctx, idOrEmail)).id
  } catch (error) {
    if (error instanceof NotFoundError && !idOrEmail.includes('@')) return idOrEmail
    throw error
  }
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const ago = /^(\d{1,6})([smhd])$/
const instant = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/

/** Before anything is opened. @throws {UsageError} */
function checkTime(text: string | undefined): void {
  if (text === undefined || ago.test(text)) return
  if (instant.test(text) && !Number.isNaN(Date.parse(utc(text)))) return
  throw new UsageError('--since is neither a time, such as 2026-03-01 or 2026-03-01T12:00Z, nor 15m, 2h or 7d.')
}

function readTime(text: string, now: Date): Date {
  const [, number = '0', unit = ''] = ago.exec(text) ?? []
  const length = units[unit]
  return new Date(length === undefined ? Date.parse(utc(text)) : now.getTime() - Number(number) * length)
}

/** Times are UTC where they do not say otherwise, as they are printed. */
function utc(text: string): string {
  const iso = text.replace(' ', 'T')
  return /(?:Z|[+-]\d\d:\d\d)$/.test(iso) || !iso.includes('T') ? iso : `${iso}Z`
}
