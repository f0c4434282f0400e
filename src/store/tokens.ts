import { DeadlineError } from '../platform/batch.js'
import { type ArrayParameter, byteas, ints, jsonbs, texts, times, uuids } from './arrays.js'
import { insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { BatchedStatement, Row } from './database.js'
import { type NewStatusIndex, statusIndexParameters, writeStatusIndex } from './status-lists.js'

/** The rows that an answer of /token needs; written by the statement that spends what it was made for. */
export interface NewTokens {
  readonly refreshToken?: NewRefreshToken | undefined
  /** Only an opaque one has a row. */
  readonly accessToken?: NewAccessToken | undefined
  /** Of one that is a JWT. */
  readonly statusIndex?: NewStatusIndex | undefined
}

export interface NewRefreshToken {
  readonly bucket: number
  readonly hash: Buffer
  readonly expiresAt: Date
}

export interface NewAccessToken {
  readonly bucket: number
  readonly hash: Buffer
  /** What introspection answers; the claims that a JWT would carry. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly expiresAt: Date
}

/** The nth element of an array parameter, for the row `p` whose `n` it is. */
export function nth(parameter: number, type: string): string {
  return `($${parameter}::${type}[])[p.n]`
}

/** What a code or refresh token was presented with: for the event. */
export interface Presentation {
  readonly tokens: NewTokens
  readonly eventId: string
  readonly ip?: string | undefined
  readonly requestId?: string | undefined
  readonly now: Date
}

/**
 * CTEs that write the tokens and the event of each row of `presented` (`n`, `now`, `grant_id`, `client_id`, `user_id`). What
 * belongs to it is taken out of the arrays by its `n`: to join them again would compare each with each, and carry all
 * that there is to write through every step.
 *
 * @param first the number of the first of the parameters that `presentationParameters` gives
 */
export function writePresented(eventType: string, first: number, opaque: boolean): string {
  const access = `, access AS (
      INSERT INTO access_token (bucket, token_hash, claims, expires_at)
      SELECT ${nth(first + 7, 'int')}, ${nth(first + 8, 'bytea')}, ${nth(first + 9, 'jsonb')}, ${nth(first + 10, 'timestamptz')}
        FROM presented p
    )`
  const status = `, status AS (${writeStatusIndex(first + 7, nth)}
    )`
  return `
    refreshed AS (
      INSERT INTO refresh_token (bucket, token_hash, grant_id, client_id, created_at, expires_at)
      SELECT ${nth(first, 'int')}, ${nth(first + 1, 'bytea')}, p.grant_id, p.client_id, p.now, ${nth(first + 2, 'timestamptz')}
        FROM presented p WHERE ${nth(first, 'int')} IS NOT NULL
    ), audited AS (
      ${insertColumns}
      SELECT ${nth(first + 3, 'int')}, ${nth(first + 4, 'uuid')}, p.now, '${eventType}', 'client:' || p.client_id, p.client_id,
             p.user_id::text, p.grant_id, ${nth(first + 5, 'text')}, ${nth(first + 6, 'text')}, NULL, NULL, 1
        FROM presented p
    )${opaque ? access : status}`
}

export function presentationParameters(items: readonly Presentation[], opaque: boolean): readonly ArrayParameter[] {
  const written = [
    ints(items.map(({ tokens }) => tokens.refreshToken?.bucket)),
    byteas(items.map(({ tokens }) => tokens.refreshToken?.hash)),
    times(items.map(({ tokens }) => tokens.refreshToken?.expiresAt)),
    ints(items.map(({ now }) => weekBucket(now))),
    uuids(items.map(({ eventId }) => eventId)),
    texts(items.map(({ ip }) => ip)),
    texts(items.map(({ requestId }) => requestId)),
  ]
  if (!opaque) return [...written, ...statusIndexParameters(items.map(({ tokens }) => tokens.statusIndex))]
  return [
    ...written,
    ints(items.map(({ tokens }) => tokens.accessToken?.bucket)),
    byteas(items.map(({ tokens }) => tokens.accessToken?.hash)),
    jsonbs(items.map(({ tokens }) => tokens.accessToken?.claims)),
    times(items.map(({ tokens }) => tokens.accessToken?.expiresAt)),
  ]
}

/**
 * The statement that an item goes with: those with an opaque access token, which has a row, and those with a JWT, which
 * has an index in a status list.
 */
export function byFormat<Item extends Presentation>(
  define: (opaque: boolean) => BatchedStatement<Item, boolean>,
): (item: Item) => BatchedStatement<Item, boolean> {
  const [withRow, without] = [define(true), define(false)]
  return ({ tokens }) => (tokens.accessToken ? withRow : without)
}

/** One result for each item: whether its row came back. */
export function winners(items: readonly unknown[], rows: readonly Row[]): readonly boolean[] {
  const won = items.map(() => false)
  for (const row of rows) won[row['n'] - 1] = true
  return won
}

/** As often as one is overtaken by somebody else's lock in the same batch, and again in the next. */
const mostAttempts = 10

/**
 * Whether this caller spends a code or token. Where a statement waited for one row, PostgreSQL 18.4
 * prunes wrongly the partitions of all rows behind it, and gives nothing for them: nothing happened to these, and nobody else
 * has spent them. So who did not win asks why, and tries again where there is no reason.
 *
 * @param attempt runs the statement
 * @param isUsable whether the row, as it is now, could be spent
 * @throws {DeadlineError} when it was overtaken again and again
 */
export async function untilDecided(
  attempt: () => Promise<boolean>,
  isUsable: () => Promise<boolean>,
): Promise<boolean> {
  for (let attempts = 0; attempts < mostAttempts; attempts++) {
    if (await attempt()) return true
    if (!(await isUsable())) return false
  }
  throw new DeadlineError('overtaken again and again')
}

/** A code or token by its key. */
export interface Key {
  readonly bucket: number
  readonly hash: Buffer
  readonly now: Date
}

/** The keys of a batch as `i`, from the parameters $1 to $3, in the one order in which everybody locks. */
export const keys = `
        FROM (SELECT bucket, hash, now, n::int
                FROM unnest($1::int[], $2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS k (bucket, hash, now, n)
               ORDER BY bucket, hash, n) i`

/**
 * What `keys` reads, and as $4 and $5 the least and the greatest bucket: a prepared plan opens all partitions that there
 * are, unless it is told before it starts which ones can be meant.
 */
export function keyParameters(all: readonly Key[]): readonly unknown[] {
  let least = all[0]!.bucket
  let greatest = least
  for (const { bucket } of all) {
    if (bucket < least) least = bucket
    if (bucket > greatest) greatest = bucket
  }
  return [
    ints(all.map(({ bucket }) => bucket)),
    byteas(all.map(({ hash }) => hash)),
    times(all.map(({ now }) => now)),
    least,
    greatest,
  ]
}
