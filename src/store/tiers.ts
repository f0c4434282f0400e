import { notify } from './changes.js'
import type { Db } from './database.js'

/** A named limit on requests. */
export interface Tier {
  readonly name: string
  /** Requests in a window. */
  readonly limit: number
  /** Seconds. */
  readonly window: number
  /** Requests that may come at once. */
  readonly burst: number
  /** Seconds after which keys and client secrets are to be rotated; 0: never; undefined: the setting says it. */
  readonly rotateEvery?: number | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
}

export async function create(db: Db, { limit: quota, ...tier }: Tier): Promise<void> {
  await db.prisma.tier.create({ data: { ...tier, quota }, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

/** Replaces its numbers. */
export async function update(
  db: Db,
  { name, limit: quota, window, burst, rotateEvery, updatedAt }: Tier,
): Promise<void> {
  const data = { quota, window, burst, rotateEvery: rotateEvery ?? null, updatedAt }
  await db.prisma.tier.update({ where: { name }, data, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

/** @throws a foreign key violation where a client or an API key has it */
export async function remove(db: Db, name: string): Promise<void> {
  await db.prisma.tier.delete({ where: { name }, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

export async function list(db: Db): Promise<readonly Tier[]> {
  const rows = await db.query(
    'tiers.list',
    `SELECT name, quota AS "limit", "window", burst, rotate_every AS "rotateEvery",
            created_at AS "createdAt", updated_at AS "updatedAt" FROM tier ORDER BY name`,
    [],
  )
  return rows.map(({ name, limit, window, burst, rotateEvery, createdAt, updatedAt }) => ({
    ...{ name, limit, window, burst, rotateEvery: rotateEvery ?? undefined },
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
  }))
}

/** Holds the row to the end of the transaction, so that of two changes the second sees the first. */
export async function findForUpdate(db: Db, name: string): Promise<Tier | undefined> {
  await db.prisma.$executeRaw`SELECT 1 FROM tier WHERE name = ${name} FOR UPDATE`
  return find(db, name)
}

export async function find(db: Db, name: string): Promise<Tier | undefined> {
  const row = await db.prisma.tier.findUnique({ where: { name } })
  if (!row) return undefined
  const { quota: limit, rotateEvery, ...tier } = row
  return { ...tier, limit, rotateEvery: rotateEvery ?? undefined }
}

/** Who has a tier. */
export interface TierHolders {
  readonly clients: number
  /** API keys that live, or await a successor. */
  readonly apiKeys: number
}

export async function countHolders(db: Db, name: string, now: Date): Promise<TierHolders> {
  const [row] = await db.query(
    'tiers.count_holders',
    `SELECT (SELECT count(*)::int FROM client WHERE rate_tier = $1) AS clients,
            (SELECT count(*)::int FROM api_key k WHERE k.tier = $1 AND NOT (${isOver('$2::timestamptz')})) AS keys`,
    [name, now.toISOString()],
  )
  return { clients: row?.['clients'] ?? 0, apiKeys: row?.['keys'] ?? 0 }
}

/** Keys of one statement. */
const together = 1_000

/** Takes the tier from API keys that are over: whether it goes or stays, nothing brings them back. */
export async function takeFromOver(db: Db, name: string, now: Date): Promise<void> {
  for (let taken = together; taken === together; ) {
    const rows = await db.query(
      'tiers.take_from_over',
      `UPDATE api_key SET tier = NULL
        WHERE id IN (SELECT k.id FROM api_key k WHERE k.tier = $1 AND ${isOver('$2::timestamptz')}
                      ORDER BY k.id LIMIT ${together} FOR NO KEY UPDATE)
       RETURNING 1`,
      [name, now.toISOString()],
    )
    taken = rows.length
  }
}

/** One that ended with others, and whose row does not say so yet, counts as one that lives. */
const isOver = (now: string): string =>
  `(k.ended_at IS NOT NULL AND k.awaits_successor IS NOT TRUE OR k.expires_at IS NOT NULL AND k.expires_at <= ${now})`
