import type { Db, Row } from './database.js'

/** An initial access token, as it is kept. RFC 7591 §3. */
export interface RegistrationToken {
  readonly id: string
  /** SHA-256: it was drawn with full entropy. */
  readonly hash: Buffer
  /** For people. */
  readonly name?: string | undefined
  /** How many clients were registered with it, and may be. */
  readonly uses: number
  readonly maxUses: number
  readonly createdAt: Date
  readonly expiresAt: Date
}

const columns = 'id, hash, name, uses, max_uses, created_at, expires_at'

export async function create(db: Db, token: RegistrationToken): Promise<void> {
  const { id, hash, name, uses, maxUses, createdAt, expiresAt } = token
  await db.query(
    'registration_tokens.create',
    `INSERT INTO registration_token (${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [id, hash, name ?? null, uses, maxUses, createdAt, expiresAt],
  )
}

/** All that were neither revoked nor deleted, those that are used up and over too; oldest first. */
export async function list(db: Db): Promise<readonly RegistrationToken[]> {
  const text = `SELECT ${columns} FROM registration_token ORDER BY created_at, id`
  return (await db.query('registration_tokens.list', text, [])).map(fromColumns)
}

/** @returns undefined where it is unknown, over or used up */
export async function findLive(db: Db, hash: Buffer, now: Date): Promise<RegistrationToken | undefined> {
  const [row] = await db.query(
    'registration_tokens.find_live',
    `SELECT ${columns} FROM registration_token WHERE hash = $1 AND expires_at > $2 AND uses < max_uses`,
    [hash, now],
  )
  return row && fromColumns(row)
}

/** Counts a registration. Of concurrent callers no more get true than it has uses. */
export async function spend(db: Db, id: string, now: Date): Promise<boolean> {
  const rows = await db.query(
    'registration_tokens.spend',
    'UPDATE registration_token SET uses = uses + 1 WHERE id = $1 AND expires_at > $2 AND uses < max_uses RETURNING id',
    [id, now],
  )
  return rows.length > 0
}

/** @returns false where there is none */
export async function remove(db: Db, id: string): Promise<boolean> {
  const text = 'DELETE FROM registration_token WHERE id = $1 RETURNING id'
  return (await db.query('registration_tokens.remove', text, [id])).length > 0
}

/** Deletes those that were over by then. */
export async function removeExpired(db: Db, before: Date): Promise<void> {
  await db.query('registration_tokens.remove_expired', 'DELETE FROM registration_token WHERE expires_at < $1', [before])
}

function fromColumns(row: Row): RegistrationToken {
  return {
    id: row['id'],
    hash: row['hash'],
    name: row['name'] ?? undefined,
    uses: row['uses'],
    maxUses: row['max_uses'],
    createdAt: row['created_at'],
    expiresAt: row['expires_at'],
  }
}
