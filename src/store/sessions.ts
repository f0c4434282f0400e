import type { Database, Db } from './database.js'

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

export async function create(db: Db, session: NewSession): Promise<void> {
  await db.prisma.session.create({
    data: { ...session, tokenHash: new Uint8Array(session.tokenHash) },
    select: { id: true },
  })
}

/** @returns undefined unless the session stands, and its user */
export async function find(
  database: Database,
  bucket: number,
  tokenHash: Buffer,
  now: Date,
): Promise<Session | undefined> {
  const [row] = await database.query(
    'sessions.find',
    `SELECT s.bucket, s.id, s.user_id, s.auth_time, s.created_at, s.expires_at, s.idle_expires_at, u.email, u.name
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
  }
}

/**
 * Puts the session under another cookie, after its user has signed in anew.
 *
 * @returns false when it has ended
 */
export async function renew(db: Db, session: Session, tokenHash: Buffer): Promise<boolean> {
  const { count } = await db.prisma.session.updateMany({
    where: { bucket: session.bucket, id: session.id, endedAt: null },
    data: { tokenHash: new Uint8Array(tokenHash), authTime: session.authTime, idleExpiresAt: session.idleExpiresAt },
  })
  return count === 1
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
