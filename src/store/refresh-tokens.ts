import { insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { BatchedStatement, Database } from './database.js'
import { type Grant, standing, standingJoins } from './grants.js'
import { type HeldRole, heldRoles, toGrant } from './rows.js'
import { type NewTokens, tokenColumns, tokenParameters } from './tokens.js'

export interface RefreshToken {
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
  readonly grant: Grant
  readonly user: { readonly email: string; readonly name?: string | undefined }
  readonly roles: readonly HeldRole[]
}

const findAll: BatchedStatement<{ bucket: number; hash: Buffer; now: Date }, RefreshToken | undefined> = {
  name: 'refresh_tokens.find',
  text: `
    SELECT i.n, t.bucket, t.token_hash, t.client_id, t.created_at, t.expires_at, t.used_at, t.retry_until,
           g.bucket AS grant_bucket, g.id AS grant_id, g.user_id, g.session_bucket, g.session_id, g.scope, g.resources,
           g.offline, g.auth_time, g.created_at AS grant_created_at, g.expires_at AS grant_expires_at,
           (${standing('i.now')}) AS standing, u.email, u.name, ${heldRoles('g.user_id::text')} AS roles
      FROM unnest($1::int[], $2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS i (bucket, hash, now, n)
      JOIN refresh_token t ON t.bucket = i.bucket AND t.token_hash = i.hash
      JOIN authorization_grant g ON g.bucket = t.bucket AND g.id = t.grant_id${standingJoins}`,
  parameters: (keys) => [keys.map((key) => key.bucket), keys.map((key) => key.hash), keys.map((key) => key.now)],
  results: (keys, rows) => {
    const found: (RefreshToken | undefined)[] = keys.map(() => undefined)
    for (const row of rows) {
      found[Number(row['n']) - 1] = {
        bucket: row['bucket'],
        hash: row['token_hash'],
        clientId: row['client_id'],
        createdAt: row['created_at'],
        expiresAt: row['expires_at'],
        usedAt: row['used_at'] ?? undefined,
        retryUntil: row['retry_until'] ?? undefined,
        standing: row['standing'],
        grant: toGrant(row),
        user: { email: row['email'], name: row['name'] ?? undefined },
        roles: row['roles'] ?? [],
      }
    }
    return found
  },
}

/** @returns undefined when there is no such token, or its client or user is gone */
export function find(database: Database, bucket: number, hash: Buffer, now: Date): Promise<RefreshToken | undefined> {
  return database.run(findAll, { bucket, hash, now })
}

export interface Rotation {
  readonly token: RefreshToken
  readonly tokens: NewTokens
  /** What a retry gets: kept until `expiresAt`. */
  readonly answer: {
    readonly bucket: number
    readonly requestHash: Buffer
    readonly ciphertext: Buffer
    readonly expiresAt: Date
  }
  readonly eventId: string
  readonly ip?: string | undefined
  readonly requestId?: string | undefined
  readonly now: Date
}

/** Both statements write what was made and the event under a row `p` of the token that was presented. */
const writeTokens = `
    access AS (
      INSERT INTO access_token (bucket, token_hash, claims, expires_at)
      SELECT i.access_bucket, i.access_hash, i.access_claims, i.access_expires_at
        FROM presented p JOIN input i USING (n) WHERE i.access_hash IS NOT NULL
    ), audited AS (
      ${insertColumns}
      SELECT i.event_bucket, i.event_id, i.now, 'token.refreshed', 'client:' || p.client_id, p.client_id, p.user_id::text,
             p.grant_id, i.ip, i.request_id, NULL, NULL, 1
        FROM presented p JOIN input i USING (n)
    )`

const locked = `
    first AS (
      -- The same token twice in one batch has one winner.
      SELECT DISTINCT ON (bucket, hash) * FROM input ORDER BY bucket, hash, n
    ), locked AS (
      SELECT t.bucket, t.token_hash, g.user_id
        FROM first i
        JOIN refresh_token t ON t.bucket = i.bucket AND t.token_hash = i.hash
        JOIN authorization_grant g ON g.bucket = t.bucket AND g.id = t.grant_id${standingJoins}
       WHERE t.used_at IS NULL AND t.expires_at > i.now AND ${standing('i.now')}
       ORDER BY t.bucket, t.token_hash
         FOR UPDATE OF t
    )`

const rotateAll: BatchedStatement<Rotation, boolean> = {
  name: 'refresh_tokens.rotate',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int[], $2::bytea[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::int[],
                           $8::int[], $9::bytea[], $10::bytea[], $11::timestamptz[],
                           $12::int[], $13::bytea[], $14::timestamptz[], $15::int[], $16::bytea[], $17::jsonb[], $18::timestamptz[])
        WITH ORDINALITY
        AS i (bucket, hash, now, event_id, ip, request_id, event_bucket, answer_bucket, request_hash, answer, retry_until,
              ${tokenColumns}, n)
    ), ${locked}, presented AS (
      UPDATE refresh_token t SET used_at = i.now, successor_hash = i.refresh_hash, retry_until = i.retry_until
        FROM first i JOIN locked l ON l.bucket = i.bucket AND l.token_hash = i.hash
       WHERE t.bucket = i.bucket AND t.token_hash = i.hash
      RETURNING i.n, t.grant_id, t.client_id, l.user_id
    ), successor AS (
      INSERT INTO refresh_token (bucket, token_hash, grant_id, client_id, created_at, expires_at)
      SELECT i.refresh_bucket, i.refresh_hash, p.grant_id, p.client_id, i.now, i.refresh_expires_at
        FROM presented p JOIN input i USING (n)
    ), answered AS (
      INSERT INTO refresh_answer (bucket, token_hash, request_hash, answer, expires_at)
      SELECT i.answer_bucket, i.hash, i.request_hash, i.answer, i.retry_until
        FROM presented p JOIN input i USING (n) WHERE i.retry_until > i.now
    ), ${writeTokens}
    SELECT n FROM presented`,
  parameters: (items) => [
    items.map(({ token }) => token.bucket),
    items.map(({ token }) => token.hash),
    items.map(({ now }) => now),
    items.map(({ eventId }) => eventId),
    items.map(({ ip }) => ip ?? null),
    items.map(({ requestId }) => requestId ?? null),
    items.map(({ now }) => weekBucket(now)),
    items.map(({ answer }) => answer.bucket),
    items.map(({ answer }) => answer.requestHash),
    items.map(({ answer }) => answer.ciphertext),
    items.map(({ answer }) => answer.expiresAt),
    ...tokenParameters(items.map(({ tokens }) => tokens)),
  ],
  results: (items, rows) => winners(items, rows),
}

/**
 * Spends the token and writes its successor, the encrypted answer and the event, under a grant that stands. Of concurrent
 * callers exactly one gets true.
 *
 * @returns false when the token is used or expired, or its grant has ended
 */
export function rotate(database: Database, rotation: Rotation): Promise<boolean> {
  return database.run(rotateAll, rotation)
}

export type Extension = Omit<Rotation, 'answer'> & { readonly expiresAt: Date }

const extendAll: BatchedStatement<Extension, boolean> = {
  name: 'refresh_tokens.extend',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int[], $2::bytea[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
                           $9::int[], $10::bytea[], $11::timestamptz[], $12::int[], $13::bytea[], $14::jsonb[], $15::timestamptz[])
        WITH ORDINALITY
        AS i (bucket, hash, now, event_id, ip, request_id, event_bucket, expires_at, ${tokenColumns}, n)
    ), ${locked}, extended AS (
      UPDATE refresh_token t SET expires_at = GREATEST(t.expires_at, i.expires_at)
        FROM first i JOIN locked l ON l.bucket = i.bucket AND l.token_hash = i.hash
       WHERE t.bucket = i.bucket AND t.token_hash = i.hash
      RETURNING t.bucket, t.token_hash, t.grant_id, t.client_id, l.user_id
    ), presented AS (
      SELECT i.n, e.grant_id, e.client_id, e.user_id FROM input i JOIN extended e ON e.bucket = i.bucket AND e.token_hash = i.hash
    ), ${writeTokens}
    SELECT n FROM presented`,
  parameters: (items) => [
    items.map(({ token }) => token.bucket),
    items.map(({ token }) => token.hash),
    items.map(({ now }) => now),
    items.map(({ eventId }) => eventId),
    items.map(({ ip }) => ip ?? null),
    items.map(({ requestId }) => requestId ?? null),
    items.map(({ now }) => weekBucket(now)),
    items.map(({ expiresAt }) => expiresAt),
    ...tokenParameters(items.map(({ tokens }) => tokens)),
  ],
  results: (items, rows) => winners(items, rows),
}

/** For a client without rotation: the token lives on, its idle time starts again. Any number of callers may get true. */
export function extend(database: Database, extension: Extension): Promise<boolean> {
  return database.run(extendAll, extension)
}

function winners(items: readonly unknown[], rows: readonly { [name: string]: unknown }[]): readonly boolean[] {
  const won = new Set(rows.map((row) => Number(row['n'])))
  return items.map((_, index) => won.has(index + 1))
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
