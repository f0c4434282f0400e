import { type AuditEvent, insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { Database, Db, Row } from './database.js'
import type { Interaction } from './interactions.js'
import { takeTurn } from './revocations.js'

/** A person signed in at a browser. */
export interface Session {
  readonly bucket: number
  /** The `sid`. */
  readonly id: string
  readonly userId: string
  readonly authTime: Date
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly idleExpiresAt: Date
  readonly user: { readonly email: string; readonly name?: string | undefined }
}

/** With what is asked at each use of it. */
export interface FoundSession extends Session {
  /** Of the user, in CIDR notation. */
  readonly allowedNetworks: readonly string[]
}

export interface NewSession {
  readonly bucket: number
  readonly tokenHash: Buffer
  readonly id: string
  readonly userId: string
  readonly authTime: Date
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly idleExpiresAt: Date
}

/** All that a login by password writes. */
export interface PasswordLogin {
  readonly session: NewSession
  /** As it was when the password was checked. */
  readonly passwordHash: string
  /** What waits for the login, and remembers it as long as it waits. */
  readonly interaction?: Interaction | undefined
  readonly event: AuditEvent
}

/**
 * Holds the user's row to the commit: the password was checked before, and may have been changed since, or the user disabled.
 * Whoever changes that waits, and ends by its not-before what was begun here; or came first, and nothing begins here.
 *
 * @param turn what is waited for first
 */
const held = (turn = ''): string => `held AS MATERIALIZED (
      SELECT u.id, u.not_before FROM ${turn} user_account u
       WHERE u.id = $1::uuid AND u.password_hash = $2::text AND u.disabled_at IS NULL
         FOR SHARE OF u
    )`

/** What else is written where a row of `started` is, and what the statement tells. */
const rest = `authenticated AS (
      UPDATE interaction t SET authenticated_at = $6::timestamptz
        FROM started
       WHERE t.bucket = $8::int AND t.id_hash = $9::bytea AND t.completed_at IS NULL
    ), audited AS (
      ${insertColumns}
      SELECT $10::int, $11::uuid, $12::timestamptz, $13::text, $14::text, $15::text, $16::text, NULL, $17::text, $18::text,
             $19::text, $20::jsonb, 1
        FROM started
    )
    SELECT h.not_before, EXISTS (SELECT FROM started) AS started FROM held h`

const parameters = ({ session, passwordHash, interaction, event }: PasswordLogin): readonly unknown[] => [
  session.userId,
  passwordHash,
  session.bucket,
  session.id,
  session.tokenHash,
  session.authTime,
  session.idleExpiresAt,
  interaction?.bucket ?? null,
  interaction?.idHash ?? null,
  weekBucket(event.time),
  event.id,
  event.time,
  event.type,
  event.actor,
  event.clientId ?? null,
  event.subject ?? null,
  event.ip ?? null,
  event.requestId ?? null,
  event.reason ?? null,
  event.detail ? JSON.stringify(event.detail) : null,
]

const startText = `
    WITH ${held()}, started AS (
      -- Not behind a not-before that was committed meanwhile: the session would have ended before it began.
      INSERT INTO session (bucket, id, token_hash, user_id, auth_time, idle_expires_at, created_at, expires_at, ip)
      SELECT $3::int, $4::uuid, $5::bytea, h.id, $6::timestamptz, $7::timestamptz, $21::timestamptz, $22::timestamptz, $17::text
        FROM held h
       WHERE h.not_before IS NULL OR h.not_before < $21::timestamptz
      RETURNING id
    ), ${rest}`

/**
 * `refused`: the password was changed or the user disabled since it was checked. `behind`: what was issued to the user up to
 * `notBefore` is ended, so a session of this time would be. In both cases nothing is written.
 */
export type StartOutcome =
  | { readonly kind: 'started' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'behind'; readonly notBefore: Date }

/** Begins the session, with its event and what the interaction remembers, if the password is still the user's. */
export async function start(database: Database, login: PasswordLogin): Promise<StartOutcome> {
  return startOutcome(await database.query('sessions.start', startText, startParameters(login)))
}

/** The same inside an open transaction, which ends the session that was there before. */
export async function startWithin(db: Db, login: PasswordLogin): Promise<StartOutcome> {
  return startOutcome(await db.prisma.$queryRawUnsafe<Row[]>(startText, ...startParameters(login)))
}

function startParameters(login: PasswordLogin): readonly unknown[] {
  return [...parameters(login), login.session.createdAt, login.session.expiresAt]
}

function startOutcome([row]: readonly Row[]): StartOutcome {
  if (!row) return { kind: 'refused' }
  return row['started'] ? { kind: 'started' } : { kind: 'behind', notBefore: row['not_before'] }
}

/** `refused`: as for `start`. `ended`: the session is over, or this login is behind a not-before. Then nothing is written. */
export type RenewOutcome = 'renewed' | 'refused' | 'ended'

/**
 * Puts a session under another cookie, after its user has signed in anew, with the same things that `start` writes. It waits
 * its turn as everybody who revokes does: a statement that ends users and sessions at once locks both in its own order.
 */
export async function renew(database: Database, login: PasswordLogin): Promise<RenewOutcome> {
  const [row] = await database.query(
    'sessions.renew',
    `
    WITH turn AS MATERIALIZED (
      ${takeTurn}
    ), ${held('turn,')}, started AS (
      UPDATE session t SET token_hash = $5::bytea, auth_time = $6::timestamptz, idle_expires_at = $7::timestamptz,
             ip = $17::text
        FROM held h
       WHERE t.bucket = $3::int AND t.id = $4::uuid AND t.user_id = h.id AND t.ended_at IS NULL
         AND (h.not_before IS NULL OR LEAST(t.created_at, $6::timestamptz) > h.not_before)
      RETURNING t.id
    ), ${rest}`,
    parameters(login),
  )
  if (!row) return 'refused'
  return row['started'] ? 'renewed' : 'ended'
}

/** @returns undefined unless the session stands, and its user */
export async function find(
  database: Database,
  bucket: number,
  tokenHash: Buffer,
  now: Date,
): Promise<FoundSession | undefined> {
  const [row] = await database.query(
    'sessions.find',
    `SELECT s.bucket, s.id, s.user_id, s.auth_time, s.created_at, s.expires_at, s.idle_expires_at, u.email, u.name,
            u.allowed_networks
       FROM session s JOIN user_account u ON u.id = s.user_id
      WHERE s.bucket = $1 AND s.token_hash = $2 AND s.ended_at IS NULL AND s.expires_at > $3 AND s.idle_expires_at > $3
        AND u.disabled_at IS NULL AND (u.not_before IS NULL OR s.created_at > u.not_before)`,
    [bucket, tokenHash, now],
  )
  if (!row) return undefined
  return {
    bucket: row['bucket'],
    id: row['id'],
    userId: row['user_id'],
    authTime: row['auth_time'],
    createdAt: row['created_at'],
    expiresAt: row['expires_at'],
    idleExpiresAt: row['idle_expires_at'],
    user: { email: row['email'], name: row['name'] ?? undefined },
    allowedNetworks: row['allowed_networks'] ?? [],
  }
}

/** Moves the end of the idle time. */
export async function extend(database: Database, session: Session, idleExpiresAt: Date): Promise<void> {
  await database.query(
    'sessions.extend',
    'UPDATE session SET idle_expires_at = $3 WHERE bucket = $1 AND id = $2 AND idle_expires_at < $3',
    [session.bucket, session.id, idleExpiresAt],
  )
}

/** A session by its `sid` alone, for the command line: looks into every partition. */
export async function findById(db: Db, id: string): Promise<{ bucket: number; userId: string } | undefined> {
  const row = await db.prisma.session.findFirst({ where: { id }, select: { bucket: true, userId: true } })
  return row ?? undefined
}

/** A session as its user sees it. */
export interface ListedSession {
  readonly bucket: number
  readonly id: string
  readonly createdAt: Date
  readonly authTime: Date
  readonly expiresAt: Date
  readonly idleExpiresAt: Date
  /** From where its user signed in last. */
  readonly ip?: string | undefined
}

/** Where the user is signed in, those used last first. */
export async function list(db: Db, userId: string, now: Date, limit: number): Promise<readonly ListedSession[]> {
  const rows = await db.query(
    'sessions.list',
    `SELECT s.bucket, s.id, s.created_at, s.auth_time, s.expires_at, s.idle_expires_at, s.ip
       FROM user_account u JOIN session s ON s.user_id = u.id
      WHERE u.id = $1::uuid AND s.ended_at IS NULL AND s.expires_at > $2::timestamptz AND s.idle_expires_at > $2::timestamptz
        AND (u.not_before IS NULL OR s.created_at > u.not_before)
      ORDER BY s.idle_expires_at DESC, s.id LIMIT $3::int`,
    [userId, now, limit],
  )
  return rows.map((row) => ({
    bucket: row['bucket'],
    id: row['id'],
    createdAt: row['created_at'],
    authTime: row['auth_time'],
    expiresAt: row['expires_at'],
    idleExpiresAt: row['idle_expires_at'],
    ip: row['ip'] ?? undefined,
  }))
}
