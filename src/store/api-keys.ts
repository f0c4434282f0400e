import type { BatchedStatement, Database, Db, Row } from './database.js'
import { type ApiKey as ApiKeyRow, Prisma } from './prisma/client.js'
import { seconds, toTime, toTimeIfAny } from './rows.js'

export type ApiKeyKind = 'secret' | 'publishable' | 'signing'

/** Whose key it is. */
export interface ApiKeyOwner {
  readonly kind: 'user' | 'client'
  /** A `sub` or a `client_id`. */
  readonly id: string
}

/** A key as it is kept. */
export interface ApiKey {
  readonly id: string
  readonly prefix: string
  readonly environment: string
  readonly kind: ApiKeyKind
  readonly owner: ApiKeyOwner
  readonly name: string
  readonly description?: string | undefined
  readonly scope: readonly string[]
  /** Identifiers. */
  readonly resources: readonly string[]
  /** In CIDR notation; empty: it may be used from anywhere. */
  readonly networks: readonly string[]
  readonly origins: readonly string[]
  readonly tier?: string | undefined
  /** Of a signing key. */
  readonly publicJwk?: Readonly<Record<string, unknown>> | undefined
  readonly createdAt: Date
  readonly updatedAt: Date
  /** Undefined: never. */
  readonly expiresAt?: Date | undefined
  /** It has a successor since then, and lives on until `expiresAt`. */
  readonly rotatedAt?: Date | undefined
  readonly successor?: string | undefined
  readonly endedAt?: Date | undefined
  readonly endReason?: string | undefined
  readonly lastUsedAt?: Date | undefined
  /** The network, a /24 or /64. */
  readonly lastUsedFrom?: string | undefined
}

/** Of the secret: a keyed hash, and the key that it was made by. */
export interface ApiKeyHash {
  readonly hash: Buffer
  readonly keyId: string
}

export interface NewApiKey extends ApiKey {
  /** A signing key has none. */
  readonly secret?: ApiKeyHash | undefined
}

/** What is asked about a key whenever it is used. */
export interface PresentedApiKey {
  readonly key: ApiKey
  readonly secret?: ApiKeyHash | undefined
  /** The owner exists, is not disabled, and nothing of theirs was ended since the key was made. */
  readonly ownerStands: boolean
  /** What a client is registered for now, without resources where any will do; undefined for a user, whom roles bound. */
  readonly registration?: { readonly scope: readonly string[]; readonly resources: readonly string[] } | undefined
}

/**
 * Of a key that was made in the second in which everything of its owner ended it cannot be said which came first: whoever
 * makes a key takes the next second (`createdAt`), so it ended with the rest.
 */
const findAll: BatchedStatement<string, PresentedApiKey | undefined> = {
  name: 'api_keys.find',
  text: `
    SELECT i.n, k.id, k.prefix, k.environment, k.kind, k.hash, k.key_id, k.public_jwk, k.owner_kind, k.owner, k.name, k.description,
           k.scope, k.resources, k.networks, k.origins, k.tier, ${seconds('k.created_at')} AS created_at,
           ${seconds('k.updated_at')} AS updated_at, ${seconds('k.expires_at')} AS expires_at,
           ${seconds('k.rotated_at')} AS rotated_at, k.successor, ${seconds('k.ended_at')} AS ended_at, k.end_reason,
           ${seconds('k.last_used_at')} AS last_used_at, k.last_used_from,
           o.found AND (o.not_before IS NULL OR k.created_at >= date_trunc('second', o.not_before) + interval '1 second')
             AS owner_stands,
           o.scope AS owner_scope, o.allowed_resources AS owner_resources
      FROM unnest($1::text[]) WITH ORDINALITY AS i (id, n)
      JOIN api_key k ON k.id = i.id
      LEFT JOIN LATERAL (
        SELECT u.disabled_at IS NULL AS found, u.not_before, NULL::text[] AS scope, NULL::text[] AS allowed_resources
          FROM user_account u
         WHERE k.owner_kind = 'user' AND u.id = CASE WHEN k.owner_kind = 'user' THEN k.owner::uuid END
         UNION ALL
        SELECT c.disabled_at IS NULL, c.not_before, c.scope, c.allowed_resources
          FROM client c WHERE k.owner_kind = 'client' AND c.client_id = k.owner
      ) o ON true`,
  parameters: (ids) => [ids],
  results: (ids, rows) => {
    const found: (PresentedApiKey | undefined)[] = ids.map(() => undefined)
    for (const row of rows) found[Number(row['n']) - 1] = fromColumns(row)
    return found
  },
}

/** @returns also what has ended or expired; undefined when there is no such key */
export function find(database: Database, id: string): Promise<PresentedApiKey | undefined> {
  return database.run(findAll, id)
}

/** The same within a transaction that changes them: whoever changes keys holds the lock of revocations. */
export async function findHeld(db: Db, ids: readonly string[]): Promise<readonly (PresentedApiKey | undefined)[]> {
  return findAll.results(ids, await db.prisma.$queryRawUnsafe<Row[]>(findAll.text, ids))
}

/** Rows of one insert: each has some twenty parameters, of which a statement has at most 32,767. */
const together = 1_000

export async function createAll(db: Db, keys: readonly NewApiKey[]): Promise<void> {
  for (let start = 0; start < keys.length; start += together) {
    await db.prisma.apiKey.createMany({ data: keys.slice(start, start + together).map(toPrisma) })
  }
}

/** Of keys that have ended already: who takes their place. */
export async function nameSuccessors(
  db: Db,
  pairs: readonly (readonly [id: string, successor: string])[],
): Promise<void> {
  const [ids, successors] = [pairs.map(([id]) => id), pairs.map(([, successor]) => successor)]
  await db.prisma.$executeRaw`
    UPDATE api_key k SET successor = i.successor FROM unnest(${ids}::text[], ${successors}::text[]) AS i (id, successor)
     WHERE k.id = i.id`
}

export interface ApiKeyUse {
  readonly id: string
  readonly at: Date
  /** The network; undefined where it is not known. */
  readonly from?: string | undefined
}

/**
 * Writes behind when keys were last used, and from where. One that somebody else is changing or writing right now is left out:
 * this waits for nobody, so it can deadlock with nobody, and the next use is written.
 */
export async function recordUse(database: Database, uses: readonly ApiKeyUse[]): Promise<void> {
  await database.query(
    'api_keys.record_use',
    `WITH held AS (
       SELECT id, i.at, i.origin FROM api_key
         JOIN unnest($1::text[], $2::timestamptz[], $3::text[]) AS i (id, at, origin) USING (id)
        FOR NO KEY UPDATE OF api_key SKIP LOCKED
     )
     UPDATE api_key k SET last_used_at = GREATEST(k.last_used_at, held.at),
            last_used_from = COALESCE(held.origin, k.last_used_from)
       FROM held WHERE k.id = held.id`,
    [uses.map(({ id }) => id), uses.map(({ at }) => at), uses.map(({ from }) => from ?? null)],
  )
}

/** Which keys are meant; what is left out may be anything. */
export interface ApiKeyFilter {
  readonly owner?: ApiKeyOwner | undefined
  readonly prefix?: string | undefined
  readonly environment?: string | undefined
  /** Neither ended nor expired at this time. */
  readonly liveAt?: Date | undefined
}

/** What it is worth, as `stateOf` in src/api-keys says it. */
export type ApiKeyState = 'live' | 'rotated' | 'expired' | 'ended'

/** Where a page ends, and the next one begins. */
export type ApiKeyPosition = Pick<ApiKey, 'createdAt' | 'id'>

/** At most so many, oldest first, behind a position. */
export async function page(
  db: Db,
  filter: ApiKeyFilter & { readonly state?: ApiKeyState | undefined },
  { after, limit, now }: { readonly after?: ApiKeyPosition | undefined; readonly limit: number; readonly now: Date },
): Promise<readonly ApiKey[]> {
  const behind: Prisma.ApiKeyWhereInput[] = after
    ? [
        // For the index: the rest of the condition is of rows of one instant.
        { createdAt: { gte: after.createdAt } },
        { OR: [{ createdAt: { gt: after.createdAt } }, { id: { gt: after.id } }] },
      ]
    : []
  const rows = await db.prisma.apiKey.findMany({
    where: { AND: [conditions(filter), ...(filter.state ? [stateCondition(filter.state, now)] : []), ...behind] },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    take: limit,
  })
  return rows.map(fromPrisma)
}

function stateCondition(state: ApiKeyState, now: Date): Prisma.ApiKeyWhereInput {
  if (state === 'ended') return { endedAt: { not: null } }
  if (state === 'expired') return { endedAt: null, expiresAt: { lte: now } }
  const lives = { endedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
  return { ...lives, successor: state === 'rotated' ? { not: null } : null }
}

export function count(db: Db, filter: ApiKeyFilter): Promise<number> {
  return db.prisma.apiKey.count({ where: conditions(filter) })
}

/** Oldest first. */
export async function list(db: Db, filter: ApiKeyFilter = {}): Promise<readonly ApiKey[]> {
  const rows = await db.prisma.apiKey.findMany({
    where: conditions(filter),
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  })
  return rows.map(fromPrisma)
}

/**
 * Gives the key a successor, and ends it at the end of the overlap where it would live longer. Of two callers one does.
 *
 * @returns the key as it was; undefined where it has a successor, has ended or expired
 */
export async function rotate(
  db: Db,
  id: string,
  { successor, now, expiresAt }: { readonly successor: string; readonly now: Date; readonly expiresAt: Date },
): Promise<ApiKey | undefined> {
  const count = await db.prisma.$executeRaw`
    UPDATE api_key SET successor = ${successor}, rotated_at = ${now}, updated_at = ${now},
           expires_at = LEAST(expires_at, ${expiresAt})
     WHERE id = ${id} AND successor IS NULL AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})`
  if (count !== 1) return undefined
  const row = await db.prisma.apiKey.findUniqueOrThrow({ where: { id } })
  return fromPrisma(row)
}

/** What can be changed while a key lives. */
export type ApiKeyChange = Pick<
  ApiKey,
  'name' | 'description' | 'scope' | 'resources' | 'networks' | 'origins' | 'expiresAt'
>

/**
 * Changes a key that lives. The caller holds the lock of revocations.
 *
 * @returns the key as it is now; undefined where it has ended or expired
 */
export async function change(db: Db, id: string, changed: ApiKeyChange, now: Date): Promise<ApiKey | undefined> {
  const [row] = await db.prisma.apiKey.updateManyAndReturn({
    where: { id, ...conditions({ liveAt: now }) },
    data: {
      name: changed.name,
      description: changed.description ?? null,
      scope: [...changed.scope],
      resources: [...changed.resources],
      networks: [...changed.networks],
      origins: [...changed.origins],
      expiresAt: changed.expiresAt ?? null,
      updatedAt: now,
    },
  })
  return row && fromPrisma(row)
}

/** Ends all that are meant and live. @returns them, as they were but for their end */
export async function endAll(
  db: Db,
  filter: ApiKeyFilter & { readonly id?: string },
  { now, reason }: { readonly now: Date; readonly reason: string },
): Promise<readonly ApiKey[]> {
  const where = { ...conditions({ ...filter, liveAt: now }), ...(filter.id === undefined ? {} : { id: filter.id }) }
  const rows = await db.prisma.apiKey.updateManyAndReturn({
    where,
    data: { endedAt: now, endReason: reason, updatedAt: now },
  })
  return rows.map(fromPrisma)
}

function conditions({ owner, prefix, environment, liveAt }: ApiKeyFilter): Prisma.ApiKeyWhereInput {
  return {
    ...(owner ? { ownerKind: owner.kind, owner: owner.id } : {}),
    ...(prefix === undefined ? {} : { prefix }),
    ...(environment === undefined ? {} : { environment }),
    ...(liveAt ? { endedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: liveAt } }] } : {}),
  }
}

function toPrisma({ owner, secret, publicJwk, ...key }: NewApiKey): Prisma.ApiKeyCreateManyInput {
  return {
    ...key,
    ownerKind: owner.kind,
    owner: owner.id,
    scope: [...key.scope],
    resources: [...key.resources],
    networks: [...key.networks],
    origins: [...key.origins],
    hash: secret ? new Uint8Array(secret.hash) : null,
    keyId: secret?.keyId ?? null,
    publicJwk: (publicJwk as Prisma.InputJsonValue | undefined) ?? Prisma.DbNull,
  }
}

function fromPrisma({ ownerKind, owner, hash: _, keyId: __, ...row }: ApiKeyRow): ApiKey {
  return {
    ...row,
    kind: row.kind as ApiKeyKind,
    owner: { kind: ownerKind === 'user' ? 'user' : 'client', id: owner },
    description: row.description ?? undefined,
    tier: row.tier ?? undefined,
    publicJwk: (row.publicJwk as ApiKey['publicJwk'] | null) ?? undefined,
    expiresAt: row.expiresAt ?? undefined,
    rotatedAt: row.rotatedAt ?? undefined,
    successor: row.successor ?? undefined,
    endedAt: row.endedAt ?? undefined,
    endReason: row.endReason ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
    lastUsedFrom: row.lastUsedFrom ?? undefined,
  }
}

function fromColumns(row: Row): PresentedApiKey {
  const key: ApiKey = {
    id: row['id'],
    prefix: row['prefix'],
    environment: row['environment'],
    kind: row['kind'],
    owner: { kind: row['owner_kind'], id: row['owner'] },
    name: row['name'],
    description: row['description'] ?? undefined,
    scope: row['scope'],
    resources: row['resources'],
    networks: row['networks'],
    origins: row['origins'],
    tier: row['tier'] ?? undefined,
    publicJwk: row['public_jwk'] ?? undefined,
    createdAt: toTime(row['created_at']),
    updatedAt: toTime(row['updated_at']),
    expiresAt: toTimeIfAny(row['expires_at']),
    rotatedAt: toTimeIfAny(row['rotated_at']),
    successor: row['successor'] ?? undefined,
    endedAt: toTimeIfAny(row['ended_at']),
    endReason: row['end_reason'] ?? undefined,
    lastUsedAt: toTimeIfAny(row['last_used_at']),
    lastUsedFrom: row['last_used_from'] ?? undefined,
  }
  const secret = row['hash'] === null ? undefined : { hash: row['hash'], keyId: row['key_id'] }
  const scope = row['owner_scope']
  const registration = scope === null ? undefined : { scope, resources: row['owner_resources'] }
  return { key, secret, ownerStands: row['owner_stands'] === true, registration }
}
