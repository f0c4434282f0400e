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
  readonly createdAt: Date
  readonly updatedAt: Date
}

export async function create(db: Db, { limit: quota, ...tier }: Tier): Promise<void> {
  await db.prisma.tier.create({ data: { ...tier, quota }, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

/** Replaces its numbers. */
export async function update(db: Db, { name, limit: quota, window, burst, updatedAt }: Tier): Promise<void> {
  await db.prisma.tier.update({ where: { name }, data: { quota, window, burst, updatedAt }, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

/** @throws a foreign key violation where a client has it */
export async function remove(db: Db, name: string): Promise<void> {
  await db.prisma.tier.delete({ where: { name }, select: { name: true } })
  await notify(db, { kind: 'tiers' })
}

export async function list(db: Db): Promise<readonly Tier[]> {
  const rows = await db.query(
    'tiers.list',
    `SELECT name, quota AS "limit", "window", burst, created_at AS "createdAt", updated_at AS "updatedAt" FROM tier ORDER BY name`,
    [],
  )
  return rows.map(({ name, limit, window, burst, createdAt, updatedAt }) => ({
    ...{ name, limit, window, burst },
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
  const { quota: limit, ...tier } = row
  return { ...tier, limit }
}

/** Clients that are registered with it. */
export async function countClients(db: Db, name: string): Promise<number> {
  return db.prisma.client.count({ where: { rateTier: name } })
}
