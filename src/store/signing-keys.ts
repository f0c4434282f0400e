import { notify } from './changes.js'
import type { Db } from './database.js'

/** A signing key as it rests: the private half encrypted under the master key. */
export interface SigningKeyRow {
  readonly kid: string
  readonly alg: string
  readonly publicJwk: Readonly<Record<string, unknown>>
  readonly privateKey: Buffer
  readonly masterKeyId: string
  readonly createdAt: Date
  /** Signs from here; is published before. */
  readonly activeAt: Date
  /** Signs no more from here. */
  readonly retiredAt?: Date | undefined
  /** Leaves the JWKS here. */
  readonly expiresAt?: Date | undefined
}

export async function create(db: Db, key: SigningKeyRow): Promise<void> {
  await db.prisma.signingKey.create({
    data: { ...key, publicJwk: key.publicJwk as object, privateKey: new Uint8Array(key.privateKey) },
    select: { kid: true },
  })
  await notify(db, { kind: 'keys' })
}

/** Those that have not left the JWKS by then, oldest first. */
export async function list(db: Db, now: Date): Promise<readonly SigningKeyRow[]> {
  const rows = await db.query(
    'signing_keys.list',
    `SELECT kid, alg, public_jwk AS "publicJwk", private_key AS "privateKey", master_key_id AS "masterKeyId",
            created_at AS "createdAt", active_at AS "activeAt", retired_at AS "retiredAt", expires_at AS "expiresAt"
       FROM signing_key WHERE expires_at IS NULL OR expires_at > $1::timestamptz ORDER BY active_at, kid`,
    [now],
  )
  return rows.map((row) => ({
    ...(row as SigningKeyRow),
    privateKey: Buffer.from(row['privateKey']),
    retiredAt: row['retiredAt'] ?? undefined,
    expiresAt: row['expiresAt'] ?? undefined,
  }))
}

/** Ends the signing of a key that has a successor, or brings that end forward. */
export async function retire(db: Db, kid: string, retiredAt: Date, expiresAt: Date): Promise<void> {
  await db.prisma.signingKey.updateMany({
    where: { kid, OR: [{ retiredAt: null }, { retiredAt: { gt: retiredAt } }] },
    data: { retiredAt, expiresAt },
  })
  await notify(db, { kind: 'keys' })
}

/** Makes a key that waits for its day sign at once. */
export async function activate(db: Db, kid: string, activeAt: Date): Promise<void> {
  await db.prisma.signingKey.updateMany({ where: { kid }, data: { activeAt } })
  await notify(db, { kind: 'keys' })
}

/** Forgets keys that may be in wrong hands: nothing is signed or verified with them any more, by whatever clock. */
export async function remove(db: Db, kids: readonly string[]): Promise<void> {
  await db.prisma.signingKey.deleteMany({ where: { kid: { in: [...kids] } } })
  await notify(db, { kind: 'keys' })
}

/** Serialises whoever creates keys, to the end of the transaction. */
export async function lock(db: Db): Promise<void> {
  await db.prisma.$executeRaw`SELECT pg_advisory_xact_lock(7236403)`
}
