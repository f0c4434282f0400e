import { notify } from './changes.js'
import type { BatchedStatement, Database, Db } from './database.js'
import { seconds, toTime } from './rows.js'

/**
 * What must follow a change by a call or a mail. It is written in the transaction of the change, delivered at least once, and
 * deleted then. Messages to one destination have no order among each other: whoever gets them tells by what they say.
 */
export interface Message extends Lane {
  /** Stays through all attempts, so that whoever gets it twice can tell. */
  readonly id: string
  readonly payload: Readonly<Record<string, unknown>>
  readonly createdAt: Date
  /** With the one that was claimed. Whoever changes the message afterwards does so only if nobody has claimed it since. */
  readonly attempts: number
}

/** Messages that are delivered by the same code to the same address. */
export interface Lane {
  /** By whom it is delivered. */
  readonly kind: string
  readonly destination: string
}

/** For a statement that writes messages together with what they are about; it has to notify too (`messageNotice`). */
export const insertColumns =
  'INSERT INTO outbox (id, kind, destination, payload, created_at, next_attempt_at, attempts)'

/** What wakes whoever delivers. */
export const messageNotice = 'outbox'

/** With it, where an operator says that a destination is back. */
export const retryNotice = 'retry'

/**
 * The SQL of the id that a message has by its cause and destination, so that a statement can write any number of them: it draws
 * nothing. RFC 9562 §5.8: what is made of SHA-256 is version 8.
 *
 * @param cause SQL of a text that nothing else that is told has
 */
export function messageId(cause: string, destination: string): string {
  const hash = `sha256(convert_to(${cause} || ' ' || ${destination}, 'UTF8'))`
  const marked = `set_byte(set_byte(h, 6, get_byte(h, 6) & 15 | 128), 8, get_byte(h, 8) & 63 | 128)`
  return `(SELECT encode(substring(${marked} FOR 16), 'hex')::uuid FROM (SELECT ${hash} AS h OFFSET 0) hashed)`
}

/** The longest that a message waits for its next attempt, in seconds. */
export const longestPause = 600

/** What waits for longer was written by a clock that was ahead (attack 133), and is due too. */
const ahead = (now: string) => `${now}::timestamptz + interval '${longestPause + 60} seconds'`

const isFree = (now: string) =>
  `(claimed_until IS NULL OR claimed_until <= ${now}::timestamptz OR claimed_until > ${ahead(now)})`

/** Those of these kinds that have a message which is due, beginning with the one that waits longest. */
export async function listDue(database: Database, kinds: readonly string[], now: Date): Promise<readonly Lane[]> {
  const rows = await database.query(
    'outbox.list_due',
    `WITH RECURSIVE lane (kind, destination) AS (
       (SELECT kind, destination FROM outbox ORDER BY kind, destination LIMIT 1)
        UNION ALL
       SELECT behind.kind, behind.destination
         FROM lane CROSS JOIN LATERAL (
           SELECT o.kind, o.destination FROM outbox o
            WHERE (o.kind, o.destination) > (lane.kind, lane.destination) ORDER BY o.kind, o.destination LIMIT 1) behind
     ), first AS (
       SELECT lane.kind, lane.destination,
              (SELECT next_attempt_at FROM outbox o
                WHERE o.kind = lane.kind AND o.destination = lane.destination AND next_attempt_at <= $2::timestamptz
                  AND ${isFree('$2')} ORDER BY next_attempt_at LIMIT 1) AS since
         FROM lane WHERE kind = ANY ($1::text[])
     )
     SELECT kind, destination FROM first
      WHERE since IS NOT NULL
         OR EXISTS (SELECT FROM outbox o WHERE o.kind = first.kind AND o.destination = first.destination
                       AND next_attempt_at > ${ahead('$2')} AND ${isFree('$2')})
      ORDER BY since`,
    [kinds, now.toISOString()],
  )
  return rows.map((row) => ({ kind: row['kind'], destination: row['destination'] }))
}

export interface Claim extends Lane {
  readonly now: Date
  /** After this another may claim them: whoever does has to be done with each, or have given it back. */
  readonly until: Date
  readonly limit: number
  /** Those that became due last, instead of those that wait longest. */
  readonly youngest?: boolean
}

/** Takes messages that are due and that nobody else delivers now. Of concurrent callers each gets others. */
export async function claim(database: Database, wanted: Claim): Promise<readonly Message[]> {
  const candidates = (due: string) => `
    SELECT id FROM outbox
     WHERE kind = $1 AND destination = $2 AND ${due} AND ${isFree('$3')}
     ORDER BY next_attempt_at ${wanted.youngest ? 'DESC' : 'ASC'} LIMIT $5 FOR UPDATE SKIP LOCKED`
  const rows = await database.query(
    wanted.youngest ? 'outbox.claim_youngest' : 'outbox.claim',
    `WITH due AS MATERIALIZED (${candidates('next_attempt_at <= $3::timestamptz')}),
          misdated AS MATERIALIZED (${candidates(`next_attempt_at > ${ahead('$3')}`)})
     UPDATE outbox SET claimed_until = $4::timestamptz, attempts = attempts + 1
      WHERE id IN (SELECT id FROM (SELECT id FROM due UNION ALL SELECT id FROM misdated) both_of_them LIMIT $5)
     RETURNING id, payload, attempts, ${seconds('created_at')} AS created_at`,
    [wanted.kind, wanted.destination, wanted.now.toISOString(), wanted.until.toISOString(), wanted.limit],
  )
  return rows.map((row) => ({
    id: row['id'],
    kind: wanted.kind,
    destination: wanted.destination,
    payload: row['payload'],
    createdAt: toTime(row['created_at']),
    attempts: row['attempts'],
  }))
}

const removeAll: BatchedStatement<string, undefined> = {
  name: 'outbox.remove',
  text: 'DELETE FROM outbox WHERE id = ANY ($1::uuid[])',
  parameters: (ids) => [ids],
  results: (ids) => ids.map(() => undefined),
}

/** It was delivered, whoever else may believe to be delivering it. */
export async function remove(database: Database, { id }: Message): Promise<void> {
  await database.run(removeAll, id)
}

/** It was not delivered: the next attempt is then. @param reason for whoever looks after it; never a secret */
export async function postpone(database: Database, message: Message, until: Date, reason: string): Promise<void> {
  await database.query(
    'outbox.postpone',
    `UPDATE outbox SET next_attempt_at = $3::timestamptz, claimed_until = NULL, last_error = $4
      WHERE id = $1::uuid AND attempts = $2`,
    [message.id, message.attempts, until.toISOString(), reason],
  )
}

/** It was not tried to the end: anybody may at once. */
export async function release(database: Database, { id, attempts }: Message): Promise<void> {
  await database.query(
    'outbox.release',
    'UPDATE outbox SET claimed_until = NULL WHERE id = $1::uuid AND attempts = $2',
    [id, attempts],
  )
}

/** Inside the transaction that says so. @returns false where somebody else has delivered or claimed it since */
export async function giveUp(db: Db, { id, attempts }: Message): Promise<boolean> {
  const { count } = await db.prisma.outboxMessage.deleteMany({ where: { id, attempts } })
  return count === 1
}

/**
 * Gives up what is overdue, of a lane that nothing gets through. Inside the transaction that says so.
 *
 * @param before what should have been tried earlier
 * @returns how many there were, `limit` at most
 */
export async function giveUpOverdue(
  db: Db,
  {
    kind,
    destination,
    before,
    now,
    limit,
  }: Lane & { readonly before: Date; readonly now: Date; readonly limit: number },
): Promise<number> {
  const rows = await db.query(
    'outbox.give_up_overdue',
    `WITH overdue AS MATERIALIZED (
       SELECT id FROM outbox
        WHERE kind = $1 AND destination = $2 AND next_attempt_at < $3::timestamptz AND ${isFree('$4')}
        ORDER BY next_attempt_at LIMIT $5 FOR UPDATE SKIP LOCKED)
     DELETE FROM outbox WHERE id IN (SELECT id FROM overdue) RETURNING id`,
    [kind, destination, before.toISOString(), now.toISOString(), limit],
  )
  return rows.length
}

export interface WaitingMessage extends Message {
  readonly nextAttemptAt: Date
  readonly claimedUntil?: Date | undefined
  readonly lastError?: string | undefined
}

/** What waits, by destination, and those first that are due first. @param destination undefined: all */
export async function list(
  db: Db,
  { destination, limit }: { readonly destination?: string | undefined; readonly limit: number },
): Promise<{ readonly messages: readonly WaitingMessage[]; readonly total: number }> {
  const where = { destination }
  const rows = await db.prisma.outboxMessage.findMany({
    where,
    orderBy: [{ kind: 'asc' }, { destination: 'asc' }, { nextAttemptAt: 'asc' }, { id: 'asc' }],
    take: limit,
  })
  const total = await db.prisma.outboxMessage.count({ where })
  const messages = rows.map((row) => ({
    ...row,
    payload: row.payload as Record<string, unknown>,
    claimedUntil: row.claimedUntil ?? undefined,
    lastError: row.lastError ?? undefined,
  }))
  return { messages, total }
}

/** Makes messages due now. @param only undefined: all @returns how many there are */
export async function retry(
  db: Db,
  only: { readonly id?: string | undefined; readonly destination?: string | undefined },
  now: Date,
): Promise<number> {
  const { count } = await db.prisma.outboxMessage.updateMany({ where: only, data: { nextAttemptAt: now } })
  await notify(db, { kind: messageNotice, id: retryNotice })
  return count
}
