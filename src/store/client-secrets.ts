import { notify } from './changes.js'
import type { Database, Db } from './database.js'
import { seconds, toTime, toTimeIfAny } from './rows.js'

export interface ClientSecret {
  readonly id: string
  readonly method: 'hmac-sha256' | 'argon2id'
  readonly hash: Buffer
  /** The key of the keyed hash. */
  readonly keyId?: string | undefined
  readonly createdAt: Date
  /** Undefined: until it is rotated. */
  readonly expiresAt?: Date | undefined
  readonly lastUsedAt?: Date | undefined
}

/**
 * Adds a secret; the one before it ends at `othersExpireAt` where it would live longer, and those before that at once: at
 * most two live at a time. The caller holds the client's row.
 */
export async function addSecret(db: Db, clientId: string, secret: ClientSecret, othersExpireAt: Date): Promise<void> {
  const previous = await db.prisma.clientSecret.findFirst({
    where: { clientId },
    select: { id: true },
    orderBy: [{ expiresAt: { sort: 'desc', nulls: 'first' } }, { createdAt: 'desc' }],
  })
  await db.prisma.clientSecret.deleteMany({ where: { clientId, id: { not: previous?.id } } })
  await db.prisma.clientSecret.updateMany({
    where: { clientId, OR: [{ expiresAt: null }, { expiresAt: { gt: othersExpireAt } }] },
    data: { expiresAt: othersExpireAt },
  })
  // One that is over is of no use to anybody.
  await db.prisma.clientSecret.deleteMany({ where: { clientId, expiresAt: { lte: secret.createdAt } } })
  await db.prisma.clientSecret.create({
    data: { ...secret, hash: new Uint8Array(secret.hash), clientId },
    select: { id: true },
  })
  await notify(db, { kind: 'client', id: clientId })
}

/** Gives a secret to a client that has none. The caller holds the client's row. @returns false where it has one */
export async function addFirstSecret(db: Db, clientId: string, secret: ClientSecret): Promise<boolean> {
  const { id, method, hash, keyId = null, createdAt } = secret
  const count = await db.prisma.$executeRaw`
    INSERT INTO client_secret (id, client_id, method, hash, key_id, created_at)
    SELECT ${id}::uuid, ${clientId}, ${method}, ${hash}, ${keyId}, ${createdAt}
     WHERE NOT EXISTS (SELECT FROM client_secret WHERE client_id = ${clientId})`
  if (count === 1) await notify(db, { kind: 'client', id: clientId })
  return count === 1
}

/** Forgets the secrets of a client that proves itself by none any more. */
export async function removeSecrets(db: Db, clientId: string): Promise<void> {
  await db.prisma.clientSecret.deleteMany({ where: { clientId } })
  await notify(db, { kind: 'client', id: clientId })
}

/** Keeps a secret under another hash: after its key was replaced. */
export async function rehashSecret(database: Database, id: string, hash: Buffer, keyId: string): Promise<void> {
  await database.query(
    'clients.rehash_secret',
    `UPDATE client_secret SET hash = $2, key_id = $3, method = 'hmac-sha256' WHERE id = $1`,
    [id, hash, keyId],
  )
}

/** A secret that has a successor and is good until the end of its overlap. */
export interface RotatedSecret {
  readonly id: string
  readonly clientId: string
  /** Of the client. */
  readonly name: string
  readonly rotatedAt: Date
  readonly endsAt: Date
  readonly lastUsedAt?: Date | undefined
  readonly successor: string
  readonly successorLastUsedAt?: Date | undefined
}

/** Those of one client, or of all; who ends first comes first. */
export async function listRotated(
  db: Pick<Db, 'query'>,
  { clientId, now }: { readonly clientId?: string | undefined; readonly now: Date },
): Promise<readonly RotatedSecret[]> {
  const rows = await db.query(
    'clients.list_rotated_secrets',
    `SELECT s.id, s.client_id, COALESCE(c.client_name, c.client_id) AS name, ${seconds('n.created_at')} AS rotated_at,
            ${seconds('s.expires_at')} AS ends_at, ${seconds('s.last_used_at')} AS last_used_at, n.id AS successor,
            ${seconds('n.last_used_at')} AS successor_last_used_at
       FROM client_secret s
       JOIN client c ON c.client_id = s.client_id
       JOIN client_secret n ON n.client_id = s.client_id AND n.expires_at IS NULL
      WHERE s.expires_at > $1::timestamptz AND ($2::text IS NULL OR s.client_id = $2) AND c.disabled_at IS NULL
      ORDER BY s.expires_at, s.id`,
    [now.toISOString(), clientId ?? null],
  )
  return rows.map((row) => ({
    id: row['id'],
    clientId: row['client_id'],
    name: row['name'],
    rotatedAt: toTime(row['rotated_at']),
    endsAt: toTime(row['ends_at']),
    lastUsedAt: toTimeIfAny(row['last_used_at']),
    successor: row['successor'],
    successorLastUsedAt: toTimeIfAny(row['successor_last_used_at']),
  }))
}
