import { type AuditEvent, insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { BatchedStatement, Database } from './database.js'
import { type Grant, standing, standingJoins } from './grants.js'
import { type HeldRole, heldRoles, toGrant } from './rows.js'
import type { NewTokens } from './tokens.js'
import { tokenColumns, tokenParameters } from './tokens.js'

/** A code as it was issued. Never changes but for being spent. */
export interface AuthorizationCode {
  readonly bucket: number
  readonly hash: Buffer
  readonly clientId: string
  readonly redirectUri?: string | undefined
  readonly codeChallenge?: string | undefined
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly usedAt?: Date | undefined
  /** The grant, its client, user and session stand. */
  readonly standing: boolean
  readonly grant: Grant
  readonly user: { readonly email: string; readonly name?: string | undefined }
  readonly roles: readonly HeldRole[]
}

interface Key {
  readonly bucket: number
  readonly hash: Buffer
  readonly now: Date
}

const findAll: BatchedStatement<Key, AuthorizationCode | undefined> = {
  name: 'authorization_codes.find',
  text: `
    SELECT i.n, a.bucket, a.code_hash, a.client_id, a.redirect_uri, a.code_challenge, a.created_at, a.expires_at, a.used_at,
           g.bucket AS grant_bucket, g.id AS grant_id, g.user_id, g.session_bucket, g.session_id, g.scope, g.resources,
           g.offline, g.auth_time, g.created_at AS grant_created_at, g.expires_at AS grant_expires_at,
           (${standing('i.now')}) AS standing, u.email, u.name, ${heldRoles('g.user_id::text')} AS roles
      FROM unnest($1::int[], $2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS i (bucket, hash, now, n)
      JOIN authorization_code a ON a.bucket = i.bucket AND a.code_hash = i.hash
      JOIN authorization_grant g ON g.bucket = a.grant_bucket AND g.id = a.grant_id${standingJoins}`,
  parameters: (keys) => [keys.map((key) => key.bucket), keys.map((key) => key.hash), keys.map((key) => key.now)],
  results: (keys, rows) => {
    const found: (AuthorizationCode | undefined)[] = keys.map(() => undefined)
    for (const row of rows) {
      found[Number(row['n']) - 1] = {
        bucket: row['bucket'],
        hash: row['code_hash'],
        clientId: row['client_id'],
        redirectUri: row['redirect_uri'] ?? undefined,
        codeChallenge: row['code_challenge'] ?? undefined,
        createdAt: row['created_at'],
        expiresAt: row['expires_at'],
        usedAt: row['used_at'] ?? undefined,
        standing: row['standing'],
        grant: toGrant(row),
        user: { email: row['email'], name: row['name'] ?? undefined },
        roles: row['roles'] ?? [],
      }
    }
    return found
  },
}

/** @returns undefined when there is no such code, or its client or user is gone */
export function find(
  database: Database,
  bucket: number,
  hash: Buffer,
  now: Date,
): Promise<AuthorizationCode | undefined> {
  return database.run(findAll, { bucket, hash, now })
}

export interface Redemption {
  readonly code: AuthorizationCode
  /** Says after a lost connection whether it was this attempt that spent the code. */
  readonly attemptId: string
  readonly tokens: NewTokens
  readonly eventId: string
  readonly ip?: string | undefined
  readonly requestId?: string | undefined
  readonly now: Date
}

const redeemAll: BatchedStatement<Redemption, boolean> = {
  name: 'authorization_codes.redeem',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int[], $2::bytea[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::text[], $7::text[], $8::int[],
                           $9::int[], $10::bytea[], $11::timestamptz[], $12::int[], $13::bytea[], $14::jsonb[], $15::timestamptz[])
        WITH ORDINALITY
        AS i (bucket, hash, attempt_id, now, event_id, ip, request_id, event_bucket, ${tokenColumns}, n)
    ), first AS (
      -- The same code twice in one batch has one winner.
      SELECT DISTINCT ON (bucket, hash) * FROM input ORDER BY bucket, hash, n
    ), locked AS (
      SELECT a.bucket, a.code_hash, g.user_id
        FROM first i
        JOIN authorization_code a ON a.bucket = i.bucket AND a.code_hash = i.hash
        JOIN authorization_grant g ON g.bucket = a.grant_bucket AND g.id = a.grant_id${standingJoins}
       WHERE a.used_at IS NULL AND a.expires_at > i.now AND ${standing('i.now')}
       ORDER BY a.bucket, a.code_hash
         FOR UPDATE OF a
    ), spent AS (
      UPDATE authorization_code a SET used_at = i.now, attempt_id = i.attempt_id
        FROM first i JOIN locked l ON l.bucket = i.bucket AND l.code_hash = i.hash
       WHERE a.bucket = i.bucket AND a.code_hash = i.hash
      RETURNING i.n, a.grant_id, a.client_id, l.user_id
    ), refresh AS (
      INSERT INTO refresh_token (bucket, token_hash, grant_id, client_id, created_at, expires_at)
      SELECT i.refresh_bucket, i.refresh_hash, p.grant_id, p.client_id, i.now, i.refresh_expires_at
        FROM spent p JOIN input i USING (n) WHERE i.refresh_hash IS NOT NULL
    ), access AS (
      INSERT INTO access_token (bucket, token_hash, claims, expires_at)
      SELECT i.access_bucket, i.access_hash, i.access_claims, i.access_expires_at
        FROM spent p JOIN input i USING (n) WHERE i.access_hash IS NOT NULL
    ), audited AS (
      ${insertColumns}
      SELECT i.event_bucket, i.event_id, i.now, 'code.redeemed', 'client:' || p.client_id, p.client_id, p.user_id::text,
             p.grant_id, i.ip, i.request_id, NULL, NULL, 1
        FROM spent p JOIN input i USING (n)
    )
    SELECT n FROM spent`,
  parameters: (items) => [
    items.map(({ code }) => code.bucket),
    items.map(({ code }) => code.hash),
    items.map(({ attemptId }) => attemptId),
    items.map(({ now }) => now),
    items.map(({ eventId }) => eventId),
    items.map(({ ip }) => ip ?? null),
    items.map(({ requestId }) => requestId ?? null),
    items.map(({ now }) => weekBucket(now)),
    ...tokenParameters(items.map(({ tokens }) => tokens)),
  ],
  results: (items, rows) => {
    const won = new Set(rows.map((row) => Number(row['n'])))
    return items.map((_, index) => won.has(index + 1))
  },
}

/**
 * Spends the code and writes what was made for it, under a grant that stands. Of concurrent callers exactly one gets true.
 *
 * @returns false when the code is used or expired, or its grant has ended
 */
export function redeem(database: Database, redemption: Redemption): Promise<boolean> {
  return database.run(redeemAll, redemption)
}

/** Marks the code used without giving anything for it, and says so. Where it is used already, neither. */
export async function spend(database: Database, code: AuthorizationCode, event: AuditEvent): Promise<void> {
  await database.query(
    'authorization_codes.spend',
    `WITH spent AS (
       UPDATE authorization_code SET used_at = $3 WHERE bucket = $1 AND code_hash = $2 AND used_at IS NULL RETURNING 1
     )
     ${insertColumns}
     SELECT $4::int, $5::uuid, $3, $6::text, $7::text, $8::text, $9::text, $10::uuid, $11::text, $12::text, $13::text, NULL, 1
       FROM spent`,
    [
      code.bucket,
      code.hash,
      event.time,
      weekBucket(event.time),
      event.id,
      event.type,
      event.actor,
      event.clientId ?? null,
      event.subject ?? null,
      event.grantId ?? null,
      event.ip ?? null,
      event.requestId ?? null,
      event.reason ?? null,
    ],
  )
}

/** Whether it was this attempt that spent the code: asked after a connection was lost in the middle of the commit. */
export async function wasSpentBy(database: Database, code: AuthorizationCode, attemptId: string): Promise<boolean> {
  const rows = await database.query(
    'authorization_codes.was_spent_by',
    'SELECT 1 FROM authorization_code WHERE bucket = $1 AND code_hash = $2 AND attempt_id = $3',
    [code.bucket, code.hash, attemptId],
  )
  return rows.length > 0
}
