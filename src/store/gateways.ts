import { notify } from './changes.js'
import type { Db, Row } from './database.js'

/** What callers of a gateway may show. */
export type AcceptedCredential = 'access-token' | 'api-key' | 'basic'

/** A proxy that asks us whether it may pass a request to an API behind it. */
export interface Gateway {
  readonly name: string
  /** The identifier of the API. */
  readonly resource: string
  /** What every request must be permitted. */
  readonly scope: readonly string[]
  readonly accept: readonly AcceptedCredential[]
  /** Seconds that the token is good which it passes on. */
  readonly tokenLifetime: number
  /** It says the address of its callers. */
  readonly forwardsAddress: boolean
  /** The client as which it identifies itself. */
  readonly clientId: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

export async function create(db: Db, gateway: Gateway): Promise<void> {
  await db.prisma.gateway.create({
    data: { ...gateway, scope: [...gateway.scope], accept: [...gateway.accept] },
    select: { name: true },
  })
  await notify(db, { kind: 'gateways' })
}

/** Replaces everything but the name and the client. */
export async function update(db: Db, { name, clientId: _, createdAt: __, ...data }: Gateway): Promise<void> {
  await db.prisma.gateway.update({
    where: { name },
    data: { ...data, scope: [...data.scope], accept: [...data.accept] },
    select: { name: true },
  })
  await notify(db, { kind: 'gateways' })
}

/** Its client is the caller's to remove. */
export async function remove(db: Db, name: string): Promise<void> {
  await db.prisma.gateway.delete({ where: { name }, select: { name: true } })
  await notify(db, { kind: 'gateways' })
}

/** By name. @param resource those of this one */
export async function list(db: Db, resource?: string): Promise<readonly Gateway[]> {
  const rows = await db.query(
    'gateways.list',
    `SELECT name, resource, scope, accept, token_lifetime, forwards_address, client_id, created_at, updated_at
       FROM gateway WHERE $1::text IS NULL OR resource = $1 ORDER BY name`,
    [resource ?? null],
  )
  return rows.map(fromColumns)
}

/** Holds the row to the end of the transaction, so that of two changes the second sees the first. */
export async function findForUpdate(db: Db, name: string): Promise<Gateway | undefined> {
  await db.prisma.$executeRaw`SELECT 1 FROM gateway WHERE name = ${name} FOR UPDATE`
  return find(db, name)
}

export async function find(db: Db, name: string): Promise<Gateway | undefined> {
  const row = await db.prisma.gateway.findUnique({ where: { name } })
  return row ? { ...row, accept: row.accept as AcceptedCredential[] } : undefined
}

function fromColumns(row: Row): Gateway {
  return {
    name: row['name'],
    resource: row['resource'],
    scope: row['scope'],
    accept: row['accept'],
    tokenLifetime: row['token_lifetime'],
    forwardsAddress: row['forwards_address'],
    clientId: row['client_id'],
    createdAt: row['created_at'],
    updatedAt: row['updated_at'],
  }
}
