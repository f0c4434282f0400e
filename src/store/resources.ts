import { notify } from './changes.js'
import type { Db } from './database.js'
import type { Prisma } from './prisma/client.js'

/** An API that our tokens are for. */
export interface Resource {
  readonly identifier: string
  readonly name?: string | undefined
  readonly tokenFormat: 'jwt' | 'opaque'
  /** Seconds; undefined: the server's setting. */
  readonly tokenLifetime?: number | undefined
  readonly signingAlg?: string | undefined
  /** Claims that its tokens carry beyond those of RFC 9068. */
  readonly claims: readonly string[]
  /** A scope must be allowed to its holder by a role. */
  readonly usesRoles: boolean
  /** Callers may show it a client_id and a client_secret. RFC 7617. */
  readonly acceptsBasic: boolean
  /** The client as which its resource server identifies itself. */
  readonly clientId: string
  readonly scopes: readonly ResourceScope[]
  readonly createdAt: Date
  readonly updatedAt: Date
}

export interface ResourceScope {
  readonly name: string
  /** The sentence on the consent page. */
  readonly description?: string | undefined
  /** Seconds; lowers that of a token which has the scope. */
  readonly tokenLifetime?: number | undefined
}

const include = { scopes: { orderBy: { name: 'asc' } } } as const

export async function create(db: Db, resource: Resource): Promise<void> {
  const { scopes, ...data } = resource
  await db.prisma.resource.create({
    data: { ...data, claims: [...resource.claims], scopes: { create: scopes.map((scope) => ({ ...scope })) } },
    select: { identifier: true },
  })
  await notify(db, { kind: 'resources' })
}

/** Replaces everything but the identifier and the client. */
export async function update(db: Db, resource: Resource): Promise<void> {
  const { scopes, identifier, clientId: _, createdAt: __, ...data } = resource
  await db.prisma.resourceScope.deleteMany({ where: { resource: identifier } })
  await db.prisma.resource.update({
    where: { identifier },
    data: {
      ...data,
      name: resource.name ?? null,
      tokenLifetime: resource.tokenLifetime ?? null,
      signingAlg: resource.signingAlg ?? null,
      claims: [...resource.claims],
      scopes: { create: scopes.map((scope) => ({ ...scope })) },
    },
    select: { identifier: true },
  })
  await notify(db, { kind: 'resources' })
}

/** From now on a scope must be allowed to its holder by a role. @returns false when that was so already */
export async function useRoles(db: Db, identifier: string, now: Date): Promise<boolean> {
  const { count } = await db.prisma.resource.updateMany({
    where: { identifier, usesRoles: false },
    data: { usesRoles: true, updatedAt: now },
  })
  if (count === 1) await notify(db, { kind: 'resources' })
  return count === 1
}

/** The resource, its scopes and roles. Its client is the caller's to remove. */
export async function remove(db: Db, identifier: string): Promise<void> {
  await db.prisma.resource.delete({ where: { identifier }, select: { identifier: true } })
  await notify(db, { kind: 'resources' })
}

export async function list(db: Db): Promise<readonly Resource[]> {
  const rows = await db.query(
    'resources.list',
    `SELECT identifier, name, token_format AS "tokenFormat", token_lifetime AS "tokenLifetime", signing_alg AS "signingAlg",
            claims, uses_roles AS "usesRoles", accepts_basic AS "acceptsBasic", client_id AS "clientId",
            created_at AS "createdAt", updated_at AS "updatedAt",
            (SELECT coalesce(json_agg(json_build_object('name', s.name, 'description', s.description,
                                                        'tokenLifetime', s.token_lifetime) ORDER BY s.name), '[]')
               FROM resource_scope s WHERE s.resource = r.identifier) AS scopes
       FROM resource r ORDER BY identifier`,
    [],
  )
  return rows.map((row) => toResource(row as ResourceRow))
}

/** Holds the row to the end of the transaction, so that of two changes the second sees the first. */
export async function findForUpdate(db: Db, identifier: string): Promise<Resource | undefined> {
  await db.prisma.$executeRaw`SELECT 1 FROM resource WHERE identifier = ${identifier} FOR UPDATE`
  return find(db, identifier)
}

export async function find(db: Db, identifier: string): Promise<Resource | undefined> {
  const row = await db.prisma.resource.findUnique({ where: { identifier }, include })
  return row ? toResource(row) : undefined
}

type ResourceRow = Prisma.ResourceGetPayload<{ include: typeof include }>

function toResource(row: ResourceRow): Resource {
  return {
    ...row,
    name: row.name ?? undefined,
    tokenFormat: row.tokenFormat === 'opaque' ? 'opaque' : 'jwt',
    tokenLifetime: row.tokenLifetime ?? undefined,
    signingAlg: row.signingAlg ?? undefined,
    scopes: row.scopes.map((scope) => ({
      name: scope.name,
      description: scope.description ?? undefined,
      tokenLifetime: scope.tokenLifetime ?? undefined,
    })),
  }
}
