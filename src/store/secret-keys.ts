import type { Db } from './database.js'

/** A random key for keyed hashes and cookies, wrapped by the master key. */
export interface SecretKeyRow {
  readonly id: string
  readonly purpose: string
  readonly wrapped: Buffer
  readonly masterKeyId: string
  readonly createdAt: Date
  readonly retiredAt?: Date | undefined
}

export async function create(db: Db, key: SecretKeyRow): Promise<void> {
  await db.prisma.secretKey.create({ data: { ...key, wrapped: new Uint8Array(key.wrapped) }, select: { id: true } })
}

/** Oldest first. */
export async function list(db: Db): Promise<readonly SecretKeyRow[]> {
  const rows = await db.query(
    'secret_keys.list',
    `SELECT id, purpose, wrapped, master_key_id AS "masterKeyId", created_at AS "createdAt", retired_at AS "retiredAt"
       FROM secret_key ORDER BY created_at, id`,
    [],
  )
  return rows.map((row) => ({
    ...(row as SecretKeyRow),
    wrapped: Buffer.from(row['wrapped']),
    retiredAt: row['retiredAt'] ?? undefined,
  }))
}

/** Serialises whoever creates keys, to the end of the transaction. */
export async function lock(db: Db): Promise<void> {
  await db.prisma.$executeRaw`SELECT pg_advisory_xact_lock(7236404)`
}
