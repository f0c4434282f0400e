import type { Db } from './database.js'

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

export async function create(db: Db, interaction: Interaction): Promise<void> {
  await db.prisma.interaction.create({
    data: {
      ...interaction,
      idHash: new Uint8Array(interaction.idHash),
      browserHash: new Uint8Array(interaction.browserHash),
      request: interaction.request as object,
    },
    select: { bucket: true },
  })
}

/** Also one that is completed or has expired, as long as its row is there: the page says which. */
export async function find(db: Db, bucket: number, idHash: Buffer): Promise<Interaction | undefined> {
  const row = await db.prisma.interaction.findUnique({
    where: { bucket_idHash: { bucket, idHash: new Uint8Array(idHash) } },
  })
  if (!row) return undefined
  return {
    ...row,
    idHash: Buffer.from(row.idHash),
    browserHash: Buffer.from(row.browserHash),
    authenticatedAt: row.authenticatedAt ?? undefined,
    completedAt: row.completedAt ?? undefined,
  }
}

/** Remembers a login in this interaction. */
export async function setAuthenticated(db: Db, interaction: Interaction, now: Date): Promise<void> {
  await db.prisma.interaction.updateMany({
    where: { bucket: interaction.bucket, idHash: new Uint8Array(interaction.idHash), completedAt: null },
    data: { authenticatedAt: now },
  })
}

/** Replaces what the interaction remembers, as long as it waits. */
export async function setRequest(db: Db, interaction: Interaction, request: object): Promise<void> {
  await db.prisma.interaction.updateMany({
    where: { bucket: interaction.bucket, idHash: new Uint8Array(interaction.idHash), completedAt: null },
    data: { request },
  })
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
