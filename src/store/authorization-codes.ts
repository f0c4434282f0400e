import { uuids } from './arrays.js'
import { type AuditEvent, insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
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

/** A code as it was issued. Never changes but for being spent. */
export interface AuthorizationCode extends Held {
  readonly bucket: number
  readonly hash: Buffer
  readonly clientId: string
  readonly redirectUri?: string | undefined
  readonly codeChallenge?: string | undefined
  readonly nonce?: string | undefined
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly usedAt?: Date | undefined
  /** The grant, its client, user and session stand. */
  readonly standing: boolean
}

/**
 * The codes of the keys with their grants, each table looked into by itself, as for refresh tokens.
 *
 * @param also ends the look into `authorization_code a`
 */
const keyed = (also: string): string => `${keys}
       CROSS JOIN LATERAL (SELECT * FROM authorization_code a
                            WHERE a.bucket = i.bucket AND a.code_hash = i.hash ${also}) a
       CROSS JOIN LATERAL (SELECT * FROM authorization_grant g WHERE g.bucket = a.grant_bucket AND g.id = a.grant_id OFFSET 0) g${standingJoins}`

const findAll: BatchedStatement<Key, AuthorizationCode | undefined> = {
  name: 'authorization_codes.find',
  // Nothing is committed, so nothing is waited for: what comes meanwhile makes the next batch larger.
  inFlight: 1,
  text: `
    SELECT i.n, a.client_id, a.redirect_uri, a.code_challenge, a.nonce, ${seconds('a.created_at')} AS created_at,
           ${seconds('a.expires_at')} AS expires_at, ${seconds('a.used_at')} AS used_at,
           (${standing('i.now')}) AS standing, ${heldColumns}${keyed('AND a.bucket BETWEEN $4 AND $5 OFFSET 0')}`,
  parameters: (all) => [...keyParameters(all)],
  results: (all, rows) => {
    const found: (AuthorizationCode | undefined)[] = all.map(() => undefined)
    for (const row of rows) {
      const { bucket, hash } = all[row['n'] - 1]!
      found[row['n'] - 1] = {
        bucket,
        hash,
        clientId: row['client_id'],
        redirectUri: row['redirect_uri'] ?? undefined,
        codeChallenge: row['code_challenge'] ?? undefined,
        nonce: row['nonce'] ?? undefined,
        createdAt: toTime(row['created_at']),
        expiresAt: toTime(row['expires_at']),
        usedAt: toTimeIfAny(row['used_at']),
        standing: row['standing'],
        ...toHeld(row),
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

export interface Redemption extends Presentation {
  readonly code: AuthorizationCode
  /** Says after a lost connection whether it was this attempt that spent the code. */
  readonly attemptId: string
}

/** @param eventType what the audit calls it */
const redeemAs = (name: string, eventType: string) =>
  byFormat<Redemption>((opaque) => ({
    name: opaque ? `authorization_codes.${name}_opaque` : `authorization_codes.${name}`,
    text: `
    WITH locked AS MATERIALIZED (
      -- Those that may be used, locked in the order of their keys, so that two processes cannot deadlock; without the
      -- bounds of the buckets, as for refresh tokens.
      SELECT a.bucket, a.code_hash, a.grant_id, a.client_id, g.user_id, i.now, i.n${keyed('AND a.used_at IS NULL AND a.expires_at > i.now FOR UPDATE')}
       WHERE ${standing('i.now')}
    ), presented AS (
      -- A row is updated once, so the same code twice in one batch has one winner: the first.
      UPDATE authorization_code a SET used_at = p.now, attempt_id = ${nth(4, 'uuid')}
        FROM locked p
       WHERE a.bucket = p.bucket AND a.code_hash = p.code_hash
      RETURNING p.n, p.now, p.grant_id, p.client_id, p.user_id
    ), ${writePresented(eventType, 5, opaque)}
    SELECT n FROM presented`,
    parameters: (items) => [
      ...keyParameters(items.map(({ code, now }) => ({ bucket: code.bucket, hash: code.hash, now }))).slice(0, 3),
      uuids(items.map(({ attemptId }) => attemptId)),
      ...presentationParameters(items, opaque),
    ],
    results: winners,
  }))

const redeemAll = redeemAs('redeem', 'code.redeemed')
const redeemAllAtOnce = redeemAs('redeem_at_once', 'implicit.issued')

/**
 * Spends the code and writes what was made for it, under a grant that stands. Of concurrent callers exactly one gets true.
 *
 * @returns false when the code is used or expired, or its grant has ended
 */
export function redeem(database: Database, redemption: Redemption): Promise<boolean> {
  return decide(database, redemption, redeemAll)
}

/** The same for a code that nobody was given: its tokens are in the answer of the authorization request. OIDC Core §3.2. */
export function redeemAtOnce(database: Database, redemption: Redemption): Promise<boolean> {
  return decide(database, redemption, redeemAllAtOnce)
}

function decide(database: Database, redemption: Redemption, statementOf: typeof redeemAll): Promise<boolean> {
  const { code, now } = redemption
  return untilDecided(
    () => database.run(statementOf(redemption), redemption),
    async () => {
      const found = await find(database, code.bucket, code.hash, now)
      return found?.standing === true && !found.usedAt && found.expiresAt > now
    },
  )
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
