import { byteas, ints, times } from './arrays.js'
import type { BatchedStatement, Database } from './database.js'
import { standing, standingJoins } from './grants.js'
import { type Held, heldColumns, seconds, toHeld, toTime, toTimeIfAny } from './rows.js'
import {
  byFormat,
  type Key,
  keyParameters,
  keys,
  nth,
  type Presentation,
  presentationParameters,
  untilDecided,
  winners,
  writePresented,
} from './tokens.js'

export interface RefreshToken extends Held {
  readonly bucket: number
  readonly hash: Buffer
  readonly clientId: string
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly usedAt?: Date | undefined
  /** Until when a retry gets the stored answer; set when used. */
  readonly retryUntil?: Date | undefined
  /** The grant, its client, user and session stand. */
  readonly standing: boolean
}

/**
 * The tokens of the keys with their grants. Each table is looked into by itself, for each key: nothing lets PostgreSQL begin
 * with all that a bucket has, however small that was when it made its plan.
 *
 * @param also ends the look into `refresh_token t`
 */
const keyed = (also: string): string => `${keys}
       CROSS JOIN LATERAL (SELECT * FROM refresh_token t
                            WHERE t.bucket = i.bucket AND t.token_hash = i.hash ${also}) t
       CROSS JOIN LATERAL (SELECT * FROM authorization_grant g
                            WHERE g.bucket = t.bucket AND g.id = t.grant_id AND g.bucket BETWEEN $4 AND $5 OFFSET 0) g${standingJoins}`

const findAll: BatchedStatement<Key, RefreshToken | undefined> = {
  name: 'refresh_tokens.find',
  // Nothing is committed, so nothing is waited for: what comes meanwhile makes the next batch larger.
  inFlight: 1,
  text: `
    SELECT i.n, t.client_id, ${seconds('t.created_at')} AS created_at, ${seconds('t.expires_at')} AS expires_at,
           ${seconds('t.used_at')} AS used_at, ${seconds('t.retry_until')} AS retry_until,
           (${standing('i.now')}) AS standing, ${heldColumns}${keyed('AND t.bucket BETWEEN $4 AND $5 OFFSET 0')}`,
  parameters: (all) => [...keyParameters(all)],
  results: (all, rows) => {
    const found: (RefreshToken | undefined)[] = all.map(() => undefined)
    for (const row of rows) {
      const { bucket, hash } = all[row['n'] - 1]!
      found[row['n'] - 1] = {
        bucket,
        hash,
        clientId: row['client_id'],
        createdAt: toTime(row['created_at']),
        expiresAt: toTime(row['expires_at']),
        usedAt: toTimeIfAny(row['used_at']),
        retryUntil: toTimeIfAny(row['retry_until']),
        standing: row['standing'],
        ...toHeld(row),
      }
    }
    return found
  },
}

/** @returns undefined when there is no such token, or its client or user is gone */
export function find(database: Database, bucket: number, hash: Buffer, now: Date): Promise<RefreshToken | undefined> {
  return database.run(findAll, { bucket, hash, now })
}

export interface Rotation extends Presentation {
  readonly token: RefreshToken
  /** What a retry gets: kept until `expiresAt`. */
  readonly answer: {
    readonly bucket: number
    readonly requestHash: Buffer
    readonly ciphertext: Buffer
    readonly expiresAt: Date
  }
}

const keyOf = ({ token, now }: { token: RefreshToken; now: Date }): Key => ({
  bucket: token.bucket,
  hash: token.hash,
  now,
})

/**
 * Those that may be used, locked in the order of their keys, so that two processes cannot deadlock. The bounds of the buckets
 * are left out where it locks: PostgreSQL 18 finds nothing when it looks again at a row that it had to wait for.
 */
const locked = `
    locked AS MATERIALIZED (
      SELECT t.bucket, t.token_hash, t.grant_id, t.client_id, g.user_id, i.now, i.n${keyed('AND t.used_at IS NULL AND t.expires_at > i.now FOR UPDATE')}
       WHERE ${standing('i.now')}
    )`

const rotateAll = byFormat<Rotation>((opaque) => ({
  name: opaque ? 'refresh_tokens.rotate_opaque' : 'refresh_tokens.rotate',
  text: `
    WITH ${locked}, presented AS (
      -- A row is updated once, so the same token twice in one batch has one winner: the first.
      UPDATE refresh_token t
         SET used_at = p.now, successor_hash = ${nth(10, 'bytea')}, retry_until = ${nth(9, 'timestamptz')}
        FROM locked p
       WHERE t.bucket = p.bucket AND t.token_hash = p.token_hash
      RETURNING p.n, p.now, p.grant_id, p.client_id, p.user_id, p.token_hash
    ), answered AS (
      INSERT INTO refresh_answer (bucket, token_hash, request_hash, answer, expires_at)
      SELECT ${nth(6, 'int')}, p.token_hash, ${nth(7, 'bytea')}, ${nth(8, 'bytea')}, ${nth(9, 'timestamptz')}
        FROM presented p WHERE ${nth(9, 'timestamptz')} > p.now
    ), ${writePresented('token.refreshed', 11, opaque)}
    SELECT n FROM presented`,
  parameters: (items) => [
    ...keyParameters(items.map(keyOf)),
    ints(items.map(({ answer }) => answer.bucket)),
    byteas(items.map(({ answer }) => answer.requestHash)),
    byteas(items.map(({ answer }) => answer.ciphertext)),
    times(items.map(({ answer }) => answer.expiresAt)),
    byteas(items.map(({ tokens }) => tokens.refreshToken?.hash)),
    ...presentationParameters(items, opaque),
  ],
  results: winners,
}))

/**
 * Spends the token and writes its successor, the encrypted answer and the event, under a grant that stands. Of concurrent
 * callers exactly one gets true.
 *
 * @returns false when the token is used or expired, or its grant has ended
 */
export function rotate(database: Database, rotation: Rotation): Promise<boolean> {
  return untilDecided(
    () => database.run(rotateAll(rotation), rotation),
    () => isUsable(database, rotation),
  )
}

export interface Extension extends Presentation {
  readonly token: RefreshToken
  readonly expiresAt: Date
}

const extendAll = byFormat<Extension>((opaque) => ({
  name: opaque ? 'refresh_tokens.extend_opaque' : 'refresh_tokens.extend',
  text: `
    WITH ${locked}, extended AS (
      UPDATE refresh_token t SET expires_at = GREATEST(t.expires_at, ${nth(6, 'timestamptz')})
        FROM locked p
       WHERE t.bucket = p.bucket AND t.token_hash = p.token_hash
    ), presented AS (
      -- Whoever holds the lock extends: all of those that presented the same token.
      SELECT n, now, grant_id, client_id, user_id FROM locked
    ), ${writePresented('token.refreshed', 7, opaque)}
    SELECT n FROM presented`,
  parameters: (items) => [
    ...keyParameters(items.map(keyOf)),
    times(items.map(({ expiresAt }) => expiresAt)),
    ...presentationParameters(items, opaque),
  ],
  results: winners,
}))

/** For a client without rotation: the token lives on, its idle time starts again. Any number of callers may get true. */
export function extend(database: Database, extension: Extension): Promise<boolean> {
  return untilDecided(
    () => database.run(extendAll(extension), extension),
    () => isUsable(database, extension),
  )
}

async function isUsable(database: Database, { token, now }: { token: RefreshToken; now: Date }): Promise<boolean> {
  const found = await find(database, token.bucket, token.hash, now)
  return found?.standing === true && !found.usedAt && found.expiresAt > now
}

/**
 * The answer that was stored when the token was spent.
 *
 * @returns undefined unless the request is the same, the window is open, and the successor has not been used
 */
export async function findAnswer(
  database: Database,
  token: RefreshToken,
  answerBucket: number,
  requestHash: Buffer,
  now: Date,
): Promise<Buffer | undefined> {
  const [row] = await database.query(
    'refresh_tokens.find_answer',
    `SELECT a.answer
       FROM refresh_token t
       JOIN refresh_answer a ON a.bucket = $3 AND a.token_hash = t.token_hash
       JOIN refresh_token n ON n.bucket = t.bucket AND n.token_hash = t.successor_hash
       JOIN authorization_grant g ON g.bucket = t.bucket AND g.id = t.grant_id${standingJoins}
      WHERE t.bucket = $1 AND t.token_hash = $2 AND t.retry_until > $5 AND a.request_hash = $4 AND n.used_at IS NULL
        AND ${standing('$5::timestamptz')}`,
    [token.bucket, token.hash, answerBucket, requestHash, now],
  )
  return row?.['answer']
}
