import { type ApiKeyEnd, endOf, isEndedBy, list as listEnds } from './api-key-ends.js'
import {
  type ApiKey,
  type ApiKeyOwner,
  fromDocument,
  fromPrisma,
  type NewApiKey,
  type PresentedApiKey,
  toPrisma,
} from './api-key-rows.js'
import type { BatchedStatement, Database, Db } from './database.js'
import { Prisma } from './prisma/client.js'
import { seconds, toTimeIfAny } from './rows.js'

export type {
  ApiKey,
  ApiKeyHash,
  ApiKeyKind,
  ApiKeyOwner,
  NewApiKey,
  PresentedApiKey,
} from './api-key-rows.js'

/**
 * Of a key that was made in the second in which everything of its owner ended it cannot be said which came first: whoever
 * makes a key takes the next second (`createdAt`), so it ended with the rest.
 */
const findAll: BatchedStatement<string, PresentedApiKey | undefined> = {
  name: 'api_keys.find',
  // Nothing is committed, so nothing is waited for: what comes meanwhile makes the next batch larger.
  inFlight: 1,
  // One document costs the driver less than thirty columns, and as a text it is not read twice.
  text: `
    SELECT i.n, row_to_json(r)::text AS document
      FROM unnest($1::text[]) WITH ORDINALITY AS i (id, n)
      JOIN api_key k ON k.id = i.id
      LEFT JOIN LATERAL (
        SELECT u.disabled_at IS NULL AS found, u.not_before, u.allowed_networks, NULL::text[] AS scope,
               NULL::text[] AS allowed_resources, NULL::text AS tier
          FROM user_account u
         WHERE k.owner_kind = 'user' AND u.id = CASE WHEN k.owner_kind = 'user' THEN k.owner::uuid END
         UNION ALL
        SELECT c.disabled_at IS NULL, c.not_before, c.allowed_networks, c.scope, c.allowed_resources, c.rate_tier
          FROM client c WHERE k.owner_kind = 'client' AND c.client_id = k.owner
      ) o ON true
      LEFT JOIN LATERAL (${endOf('k')}) e ON k.ended_at IS NULL
     CROSS JOIN LATERAL (
       SELECT k.id, k.prefix, k.environment, k.kind, encode(k.hash, 'hex') AS hash, k.key_id, k.public_jwk, k.owner_kind,
              k.owner, k.name, k.description, k.scope, k.resources, k.networks, k.origins, k.tier, k.chain,
              k.managed, k.created_by_client, ${seconds('k.created_at')} AS created_at,
              ${seconds('k.updated_at')} AS updated_at, ${seconds('k.expires_at')} AS expires_at,
              ${seconds('k.rotated_at')} AS rotated_at, k.successor,
              ${seconds('COALESCE(k.ended_at, e.ended_at)')} AS ended_at, COALESCE(k.end_reason, e.reason) AS end_reason,
              ${seconds('k.last_used_at')} AS last_used_at, k.last_used_from, ${seconds('k.exposed_at')} AS exposed_at,
              o.found AND (o.not_before IS NULL OR k.created_at >= date_trunc('second', o.not_before) + interval '1 second')
                AS owner_stands,
              o.scope AS owner_scope, o.allowed_resources AS owner_resources, o.allowed_networks AS owner_networks,
              o.tier AS owner_tier
     ) r`,
  parameters: (ids) => [ids],
  results: (ids, rows) => {
    const found: (PresentedApiKey | undefined)[] = ids.map(() => undefined)
    for (const { n, document } of rows) found[Number(n) - 1] = fromDocument(ids[Number(n) - 1]!, document)
    return found
  },
}

/** @returns also what has ended or expired; undefined when there is no such key */
export function find(database: Database, id: string): Promise<PresentedApiKey | undefined> {
  return database.run(findAll, id)
}

/** The same within a transaction that changes them: whoever changes keys holds the lock of revocations. */
export async function findHeld(db: Db, ids: readonly string[]): Promise<readonly (PresentedApiKey | undefined)[]> {
  return findAll.results(ids, await db.query(findAll.name, findAll.text, findAll.parameters(ids)))
}

/**
 * The public keys of a signing key and of all before it, of which each names its successor. All are of one owner, among whose
 * keys they are looked for.
 */
export async function publicJwksOfChain(
  db: Db,
  { id, owner }: Pick<ApiKey, 'id' | 'owner'>,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const rows = await db.query(
    'api_keys.public_jwks_of_chain',
    `WITH RECURSIVE owned AS MATERIALIZED (
       SELECT id, successor, public_jwk FROM api_key WHERE owner_kind = $2 AND owner = $3 AND kind = 'signing'
     ), chain AS (
       SELECT id, public_jwk FROM owned WHERE id = $1
        UNION
       SELECT o.id, o.public_jwk FROM chain c JOIN owned o ON o.successor = c.id
     )
     SELECT public_jwk FROM chain WHERE public_jwk IS NOT NULL`,
    [id, owner.kind, owner.id],
  )
  return rows.map((row) => row['public_jwk'])
}

/**
 * The caller holds the lock of revocations, under which a key takes its position: an end of many ends those before it.
 *
 * @returns false where there is a key of this id already: of two callers one makes it
 */
export async function create(db: Db, key: NewApiKey): Promise<boolean> {
  const { count } = await db.prisma.apiKey.createMany({ data: [toPrisma(key)], skipDuplicates: true })
  return count === 1
}

/** Rows of one insert: each has some twenty parameters, of which a statement has at most 32,767. */
const together = 1_000

/** The caller holds the lock of revocations. */
export async function createAll(db: Db, keys: readonly NewApiKey[]): Promise<void> {
  for (let start = 0; start < keys.length; start += together) {
    await db.prisma.apiKey.createMany({ data: keys.slice(start, start + together).map(toPrisma) })
  }
}

/**
 * Of keys that have ended already: who takes their place, if somebody does. None of them awaits a successor any more.
 *
 * @returns how many did
 */
export async function nameSuccessors(
  db: Db,
  pairs: readonly (readonly [id: string, successor: string | undefined])[],
): Promise<number> {
  const [ids, successors] = [pairs.map(([id]) => id), pairs.map(([, successor]) => successor ?? null)]
  return db.prisma.$executeRaw`
    UPDATE api_key k SET successor = COALESCE(i.successor, k.successor), awaits_successor = NULL
      FROM unnest(${ids}::text[], ${successors}::text[]) AS i (id, successor)
     WHERE k.id = i.id AND k.awaits_successor`
}

/**
 * Of keys that end: those that were rotated, and whose chain goes on by itself. Somewhere behind them is a key that lives, or
 * one that ends together with them, or waits for its successor.
 */
export async function listFollowed(db: Db, ids: readonly string[], now: Date): Promise<readonly string[]> {
  const rows = await db.query(
    'api_keys.list_followed',
    `WITH RECURSIVE behind AS (
       SELECT id AS first, end_id, successor FROM api_key WHERE id = ANY ($1::text[]) AND successor IS NOT NULL
        UNION
       SELECT b.first, b.end_id, s.successor FROM behind b JOIN api_key s ON s.id = b.successor
        WHERE s.successor IS NOT NULL
     )
     SELECT DISTINCT b.first FROM behind b
       JOIN api_key s ON s.id = b.successor
       LEFT JOIN LATERAL (${endOf('s')}) e ON s.ended_at IS NULL
      WHERE s.id = ANY ($1::text[]) OR s.awaits_successor OR s.end_id = b.end_id OR e.replaces
         OR (s.ended_at IS NULL AND e.id IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2::timestamptz))`,
    [ids, now.toISOString()],
  )
  return rows.map((row) => row['first'])
}

export interface ApiKeyUse {
  readonly id: string
  readonly at: Date
  /** The network; undefined where it is not known. */
  readonly from?: string | undefined
}

/**
 * Writes behind when keys were last used, and from where. One that somebody else is changing or writing right now is left out:
 * this waits for nobody, so it can deadlock with nobody, and the next use is written. What was reported late is not the last.
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
            last_used_from = CASE WHEN k.last_used_at IS NULL OR held.at >= k.last_used_at
                                  THEN COALESCE(held.origin, k.last_used_from)
                                  ELSE COALESCE(k.last_used_from, held.origin) END
       FROM held WHERE k.id = held.id`,
    [uses.map(({ id }) => id), uses.map(({ at }) => at), uses.map(({ from }) => from ?? null)],
  )
}

/** Marks a key that lives as exposed. @returns the key to the first who says so; undefined to all others */
export async function expose(db: Db, id: string, now: Date): Promise<ApiKey | undefined> {
  const where = { id, exposedAt: null, ...lives(now, await listEnds(db)) }
  const [row] = await db.prisma.apiKey.updateManyAndReturn({ where, data: { exposedAt: now } })
  return row && fromPrisma(row)
}

/** Which keys are meant; what is left out may be anything. */
export interface ApiKeyFilter {
  readonly owner?: ApiKeyOwner | undefined
  readonly prefix?: string | undefined
  readonly environment?: string | undefined
  /** Neither ended nor expired at this time. */
  readonly liveAt?: Date | undefined
  /** Ended or expired at this time. */
  readonly overAt?: Date | undefined
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
  const ends = await listEnds(db)
  const rows = await db.prisma.apiKey.findMany({
    where: {
      AND: [conditions(filter, ends), ...(filter.state ? [stateCondition(filter.state, now, ends)] : []), ...behind],
    },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    take: limit,
  })
  return rows.map((row) => fromPrisma(row, ends))
}

type Ends = readonly ApiKeyEnd[]

function stateCondition(state: ApiKeyState, now: Date, ends: Ends): Prisma.ApiKeyWhereInput {
  if (state === 'ended') return { OR: [{ endedAt: { not: null } }, ...ends.map(isEndedBy)] }
  if (state === 'expired') return { ...hasNotEnded(ends), expiresAt: { lte: now } }
  return { ...lives(now, ends), successor: state === 'rotated' ? { not: null } : null }
}

function hasNotEnded(ends: Ends): Prisma.ApiKeyWhereInput {
  return { endedAt: null, AND: ends.map((end) => ({ NOT: isEndedBy(end) })) }
}

function lives(at: Date, ends: Ends): Prisma.ApiKeyWhereInput {
  return { ...hasNotEnded(ends), OR: [{ expiresAt: null }, { expiresAt: { gt: at } }] }
}

/** How many keys of an owner live, up to a number: what is beyond it, and what ended before, is not looked at. */
export async function countLive(db: Db, { kind, id }: ApiKeyOwner, now: Date, most: number): Promise<number> {
  const [row] = await db.query(
    'api_keys.count_live',
    `SELECT count(*)::int AS live
       FROM (SELECT 1 FROM api_key k
              WHERE k.owner_kind = $1 AND k.owner = $2 AND k.ended_at IS NULL
                AND (k.expires_at IS NULL OR k.expires_at > $3::timestamptz)
                -- Mostly there is no end that is still written into rows: then none is looked for, once for each key.
                AND (NOT EXISTS (SELECT FROM api_key_end) OR NOT EXISTS (${endOf('k')}))
              LIMIT $4) k`,
    [kind, id, now.toISOString(), most],
  )
  return row?.['live'] ?? 0
}

/** When everything that these owners had by then ended last; undefined where nothing ever did. */
export async function lastEndOfOwners(db: Db, owners: readonly ApiKeyOwner[]): Promise<Date | undefined> {
  const of = (wanted: ApiKeyOwner['kind']) => [
    ...new Set(owners.flatMap(({ kind, id }) => (kind === wanted ? [id] : []))),
  ]
  const [row] = await db.query(
    'api_keys.last_end_of_owners',
    `SELECT ${seconds('max(o.not_before)')} AS instant
       FROM (SELECT not_before FROM user_account WHERE id = ANY ($1::uuid[])
              UNION ALL
             SELECT not_before FROM client WHERE client_id = ANY ($2::text[])) o`,
    [of('user'), of('client')],
  )
  return toTimeIfAny(row?.['instant'] ?? null)
}

/** Oldest first. */
export async function list(db: Db, filter: ApiKeyFilter = {}): Promise<readonly ApiKey[]> {
  const ends = await listEnds(db)
  const rows = await db.prisma.apiKey.findMany({
    where: conditions(filter, ends),
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  })
  return rows.map((row) => fromPrisma(row, ends))
}

/** Those that an end of many has ended, by their id, behind one of them. Complete when the rows of all of them say so. */
export async function listEndedBy(
  db: Db,
  endId: string,
  { after = '', awaitsSuccessor, limit }: { after?: string; awaitsSuccessor?: true; limit: number },
): Promise<readonly ApiKey[]> {
  const where = { endId, id: { gt: after }, ...(awaitsSuccessor ? { awaitsSuccessor } : {}) }
  const rows = await db.prisma.apiKey.findMany({ where, orderBy: { id: 'asc' }, take: limit })
  return rows.map((row) => fromPrisma(row))
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
     WHERE id = ${id} AND successor IS NULL AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ${now})
       AND NOT EXISTS (${Prisma.raw(endOf('api_key'))})`
  if (count !== 1) return undefined
  const row = await db.prisma.apiKey.findUniqueOrThrow({ where: { id } })
  return fromPrisma(row)
}

/** What can be changed while a key lives. */
export type ApiKeyChange = Pick<
  ApiKey,
  'name' | 'description' | 'scope' | 'resources' | 'networks' | 'origins' | 'managed' | 'expiresAt'
>

/**
 * Changes a key that lives. The caller holds the lock of revocations.
 *
 * @returns the key as it is now; undefined where it has ended or expired
 */
export async function change(db: Db, id: string, changed: ApiKeyChange, now: Date): Promise<ApiKey | undefined> {
  const [row] = await db.prisma.apiKey.updateManyAndReturn({
    where: { id, ...lives(now, await listEnds(db)) },
    data: {
      name: changed.name,
      description: changed.description ?? null,
      scope: [...changed.scope],
      resources: [...changed.resources],
      networks: [...changed.networks],
      origins: [...changed.origins],
      managed: changed.managed ?? null,
      expiresAt: changed.expiresAt ?? null,
      updatedAt: now,
    },
  })
  return row && fromPrisma(row)
}

/** Ends those that live. @returns them, as they were but for their end */
export async function endEach(
  db: Db,
  ids: readonly string[],
  { now, reason, replaces }: { readonly now: Date; readonly reason: string; readonly replaces: boolean },
): Promise<readonly ApiKey[]> {
  const rows = await db.prisma.apiKey.updateManyAndReturn({
    where: { id: { in: [...ids] }, ...lives(now, await listEnds(db)) },
    data: { endedAt: now, endReason: reason, updatedAt: now, awaitsSuccessor: replaces || null },
  })
  return rows.map((row) => fromPrisma(row))
}

function conditions({ owner, prefix, environment, liveAt, overAt }: ApiKeyFilter, ends: Ends): Prisma.ApiKeyWhereInput {
  return {
    ...(owner ? { ownerKind: owner.kind, owner: owner.id } : {}),
    ...(prefix === undefined ? {} : { prefix }),
    ...(environment === undefined ? {} : { environment }),
    ...(liveAt ? lives(liveAt, ends) : {}),
    ...(overAt ? { OR: [{ endedAt: { not: null } }, { expiresAt: { lte: overAt } }, ...ends.map(isEndedBy)] } : {}),
  }
}
