import type { Database, Db } from './database.js'

/** A request that waits for its user. `request` is what the feature that created it reads back. */
export interface Interaction {
  readonly bucket: number
  readonly idHash: Buffer
  /** The browser that started it. */
  readonly browserHash: Buffer
  readonly clientId: string
  readonly request: unknown
  /** When its user signed in, in this interaction. */
  readonly authenticatedAt?: Date | undefined
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly completedAt?: Date | undefined
}

export async function create(database: Database, interaction: Interaction): Promise<void> {
  await database.query(
    'interactions.create',
    `INSERT INTO interaction (bucket, id_hash, browser_hash, client_id, request, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      interaction.bucket,
      interaction.idHash,
      interaction.browserHash,
      interaction.clientId,
      JSON.stringify(interaction.request),
      interaction.createdAt,
      interaction.expiresAt,
    ],
  )
}

/** Also one that is completed or has expired, as long as its row is there: the page says which. */
export async function find(database: Database, bucket: number, idHash: Buffer): Promise<Interaction | undefined> {
  const [row] = await database.query(
    'interactions.find',
    `SELECT browser_hash, client_id, request, authenticated_at, created_at, expires_at, completed_at
       FROM interaction WHERE bucket = $1 AND id_hash = $2`,
    [bucket, idHash],
  )
  if (!row) return undefined
  return {
    bucket,
    idHash,
    browserHash: row['browser_hash'],
    clientId: row['client_id'],
    request: row['request'],
    authenticatedAt: row['authenticated_at'] ?? undefined,
    createdAt: row['created_at'],
    expiresAt: row['expires_at'],
    completedAt: row['completed_at'] ?? undefined,
  }
}

/** Replaces what the interaction remembers, as long as it waits. */
export async function setRequest(database: Database, interaction: Interaction, request: object): Promise<void> {
  await database.query(
    'interactions.set_request',
    'UPDATE interaction SET request = $3 WHERE bucket = $1 AND id_hash = $2 AND completed_at IS NULL',
    [interaction.bucket, interaction.idHash, JSON.stringify(request)],
  )
}

/**
 * Answers the interaction without a grant. Of concurrent answers, `grants.create` included, exactly one gets true.
 */
export async function complete(db: Db, interaction: Interaction, now: Date): Promise<boolean> {
  const count = await db.prisma.$executeRaw`
    UPDATE interaction SET completed_at = ${now}
     WHERE bucket = ${interaction.bucket} AND id_hash = ${new Uint8Array(interaction.idHash)}
       AND completed_at IS NULL AND expires_at > ${now}`
  return count === 1
}
