import { notify } from './changes.js'
import type { Database, Db } from './database.js'

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
