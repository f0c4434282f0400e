import { notify } from './changes.js'
import type { BatchedStatement, Database, Db } from './database.js'
import type { HeldRole } from './rows.js'

export interface Role {
  readonly id: string
  readonly resource: string
  readonly name: string
  readonly description?: string | undefined
  readonly scope: readonly string[]
  readonly createdAt: Date
}

export interface RoleHolder {
  readonly kind: 'user' | 'client'
  /** A `sub` or a `client_id`. */
  readonly holder: string
}

export async function create(db: Db, role: Role): Promise<void> {
  await db.prisma.role.create({ data: { ...role, scope: [...role.scope] }, select: { id: true } })
}

export async function find(db: Db, resource: string, name: string): Promise<Role | undefined> {
  const row = await db.prisma.role.findUnique({ where: { resource_name: { resource, name } } })
  return row ? { ...row, description: row.description ?? undefined } : undefined
}

export async function list(db: Db, resource?: string): Promise<readonly Role[]> {
  const rows = await db.prisma.role.findMany({ where: { resource }, orderBy: [{ resource: 'asc' }, { name: 'asc' }] })
  return rows.map((row) => ({ ...row, description: row.description ?? undefined }))
}

export async function holders(db: Db, roleId: string): Promise<readonly RoleHolder[]> {
  const rows = await db.prisma.roleHolder.findMany({
    where: { roleId },
    select: { kind: true, holder: true },
    orderBy: [{ kind: 'asc' }, { holder: 'asc' }],
  })
  return rows.map(({ kind, holder }) => ({ kind: kind === 'client' ? 'client' : 'user', holder }))
}

/** @returns false when it held the role already */
export async function grant(db: Db, roleId: string, { kind, holder }: RoleHolder, now: Date): Promise<boolean> {
  const count = await db.prisma.$executeRaw`
    INSERT INTO role_holder (role_id, kind, holder, created_at) VALUES (${roleId}::uuid, ${kind}, ${holder}, ${now})
        ON CONFLICT (role_id, kind, holder) DO NOTHING`
  if (kind === 'client') await notify(db, { kind: 'client', id: holder })
  return count === 1
}

/** @returns false when it did not hold the role */
export async function withdraw(db: Db, roleId: string, { kind, holder }: RoleHolder): Promise<boolean> {
  const { count } = await db.prisma.roleHolder.deleteMany({ where: { roleId, kind, holder } })
  if (kind === 'client') await notify(db, { kind: 'client', id: holder })
  return count === 1
}

/** @returns who held it */
export async function removeAllHolders(db: Db, roleId: string): Promise<readonly RoleHolder[]> {
  return db.prisma.$queryRaw<
    RoleHolder[]
  >`DELETE FROM role_holder WHERE role_id = ${roleId}::uuid RETURNING kind, holder`
}

export async function remove(db: Db, roleId: string): Promise<void> {
  await db.prisma.role.delete({ where: { id: roleId }, select: { id: true } })
}

interface HeldBy extends RoleHolder {
  readonly resource: string
}

const heldAll: BatchedStatement<HeldBy, readonly HeldRole[]> = {
  name: 'roles.held_by',
  text: `SELECT i.n, r.resource, r.name, r.scope
           FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS i (kind, holder, resource, n)
           JOIN role_holder h ON h.kind = i.kind AND h.holder = i.holder
           JOIN role r ON r.id = h.role_id AND (i.resource = '' OR r.resource = i.resource)`,
  parameters: (items) => [
    items.map(({ kind }) => kind),
    items.map(({ holder }) => holder),
    items.map(({ resource }) => resource),
  ],
  results: (items, rows) => {
    const held: HeldRole[][] = items.map(() => [])
    for (const row of rows)
      held[Number(row['n']) - 1]!.push({ resource: row['resource'], name: row['name'], scope: row['scope'] })
    return held
  },
}

/** What the holder has now. @param resource at this one; empty: at all */
export function heldBy(database: Database, holder: RoleHolder, resource = ''): Promise<readonly HeldRole[]> {
  return database.run(heldAll, { ...holder, resource })
}
