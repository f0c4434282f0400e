import { monotonicMilliseconds } from '../platform/monotonic.js'
import { endOf } from './api-key-ends.js'
import { fromDocument, type PresentedApiKey } from './api-key-rows.js'
import type { BatchedStatement, Database, Db, Row } from './database.js'
import { seconds } from './rows.js'

/** A key, and which transactions wrote its row and that of its owner: PostgreSQL's `xmin`. */
interface Found {
  readonly key: PresentedApiKey
  readonly keyVersion: string
  /** Null where there is no owner, or an end of many says more than the rows. */
  readonly ownerVersion: string | null
  /** Characters of what it was read of. */
  readonly length: number
}

interface Known extends Found {
  /** Of the connections by which it was read. */
  readonly era: number
  /** By the monotonic clock. */
  readonly readAt: number
}

interface Look {
  readonly id: string
  readonly known?: Known | undefined
}

/**
 * Of a key that was made in the second in which everything of its owner ended it cannot be said which came first: whoever
 * makes a key takes the next second (`createdAt`), so it ended with the rest.
 *
 * A key that is used again and again is looked at again and again, and read once: whoever knows what it was like says which
 * transactions wrote it and its owner, and is given no row where these are the last, and no end of many keys concerns it. It
 * is exact as before: each look is a statement of its own time.
 */
const findAll: BatchedStatement<Look, Found | undefined> = {
  name: 'api_keys.find',
  // Nothing is committed, so nothing is waited for: what comes meanwhile makes the next batch larger.
  inFlight: 1,
  // One document costs the driver less than thirty columns.
  text: `
    SELECT i.n, k.xmin::text AS key_version, CASE WHEN e.id IS NULL THEN o.version::text END AS owner_version,
           CASE WHEN k.id IS NOT NULL THEN r.document END AS document
      FROM unnest($1::text[], $2::text[]::xid[], $3::text[]::xid[])
           WITH ORDINALITY AS i (id, key_version, owner_version, n)
      LEFT JOIN api_key k ON k.id = i.id
      LEFT JOIN LATERAL (
        SELECT u.xmin AS version, u.disabled_at IS NULL AS found, u.not_before, u.allowed_networks, NULL::text[] AS scope,
               NULL::text[] AS allowed_resources, NULL::text AS tier
          FROM user_account u
         WHERE k.owner_kind = 'user' AND u.id = CASE WHEN k.owner_kind = 'user' THEN k.owner::uuid END
         UNION ALL
        SELECT c.xmin, c.disabled_at IS NULL, c.not_before, c.allowed_networks, c.scope, c.allowed_resources, c.rate_tier
          FROM client c WHERE k.owner_kind = 'client' AND c.client_id = k.owner
      ) o ON true
      LEFT JOIN LATERAL (${endOf('k')}) e ON k.ended_at IS NULL
     CROSS JOIN LATERAL (
       SELECT row_to_json(d)::text AS document FROM (
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
       ) d
     ) r
     WHERE (k.xmin = i.key_version AND o.version = i.owner_version AND e.id IS NULL) IS NOT TRUE`,
  parameters: (looks) => [
    looks.map(({ id }) => id),
    looks.map(({ known }) => known?.keyVersion ?? null),
    looks.map(({ known }) => known?.ownerVersion ?? null),
  ],
  results: (looks, rows) => {
    const found: (Found | undefined)[] = looks.map(({ known }) => known)
    for (const row of rows) found[Number(row['n']) - 1] = foundOf(row)
    return found
  },
}

function foundOf({ document, key_version: keyVersion, owner_version: ownerVersion }: Row): Found | undefined {
  if (document === null) return undefined
  const key = fromDocument(JSON.parse(document) as Row)
  return { key, keyVersion, ownerVersion, length: document.length }
}

/** Keys that are remembered: about 2 KB each. */
const most = 4_096

/** Characters of a document that is remembered. Most have fewer than 1,000. */
const longest = 4_096

/** Milliseconds that a key is remembered. The numbers of transactions come again after four billions. */
const longestAge = 60_000

const remembered = new WeakMap<Database, Map<string, Known>>()

function recall(database: Database, id: string): Known | undefined {
  const known = remembered.get(database)?.get(id)
  const stands = known?.era === database.era && monotonicMilliseconds() - known.readAt < longestAge
  return stands ? known : undefined
}

function remember(database: Database, id: string, found: Found | undefined, era: number): void {
  const all = remembered.get(database) ?? new Map<string, Known>()
  remembered.set(database, all)
  all.delete(id)
  if (!found || found.ownerVersion === null || found.length > longest) return
  all.set(id, { ...found, era, readAt: monotonicMilliseconds() })
  if (all.size > most) all.delete(all.keys().next().value!)
}

/** @returns also what has ended or expired; undefined when there is no such key */
export async function find(database: Database, id: string): Promise<PresentedApiKey | undefined> {
  const { era } = database
  const known = recall(database, id)
  const found = await database.run(findAll, { id, known })
  if (found !== known) remember(database, id, found, era)
  // Another server may have answered, to which not all was replicated: its transactions have the same numbers. (A pooler may hide
  // that; then the same number must have written the same row within the minute, and otherwise.)
  else if (known && database.era !== era) return (await database.run(findAll, { id }))?.key
  return found?.key
}

/** The same within a transaction that changes them: whoever changes keys holds the lock of revocations. */
export async function findHeld(db: Db, ids: readonly string[]): Promise<readonly (PresentedApiKey | undefined)[]> {
  const looks = ids.map((id) => ({ id }))
  const rows = await db.query(findAll.name, findAll.text, [ids, [], []])
  return findAll.results(looks, rows).map((found) => found?.key)
}
