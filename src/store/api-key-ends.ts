import type { Database, Db } from './database.js'
import type { Prisma } from './prisma/client.js'
import { seconds, toTime } from './rows.js'

/** An end of many keys, until the rows of all of them say so. */
export interface ApiKeyEnd {
  /** Of its audit event. */
  readonly id: string
  /** As in the revocation list: `all`, `prefix:…`, `owner:user:…` or `owner:client:…`. */
  readonly target: string
  /** Among all revocations, whose lock is held when it is taken, and when keys take theirs. */
  readonly position: bigint
  /** What had expired by then it did not end. */
  readonly endedAt: Date
  readonly reason: string
}

/** What is to be listed with the revocation that ends keys. */
export type KeyEnding = 'end' | 'replace'

/**
 * The SQL of the first end of many that a key `k` was made before, and lived at: none or one row.
 *
 * By the position and not by time: a key that took the next second, behind an end in this one, is of later than the next end.
 * Nearly always there is no end, which a statement sees once for all its keys.
 */
export const endOf = (k: string) => `
        SELECT e.id, e.ended_at, e.reason, e.replaces FROM api_key_end e
         WHERE e.target = ANY (ARRAY['all', 'prefix:' || ${k}.prefix, 'owner:' || ${k}.owner_kind || ':' || ${k}.owner])
           AND ${k}.position < e.position
           AND (${k}.expires_at IS NULL OR ${k}.expires_at > e.ended_at)
           AND (SELECT EXISTS (SELECT 1 FROM api_key_end))
         ORDER BY e.position LIMIT 1`

/** Those that some row does not say yet, in order: mostly none. */
export async function list(db: Db): Promise<readonly ApiKeyEnd[]> {
  const rows = await db.query(
    'api_key_ends.list',
    `SELECT id, target, position::text AS position, ${seconds('ended_at')} AS ended_at, reason
       FROM api_key_end ORDER BY api_key_end.position`,
    [],
  )
  return rows.map((row) => ({
    id: row['id'],
    target: row['target'],
    position: BigInt(row['position']),
    endedAt: toTime(row['ended_at']),
    reason: row['reason'],
  }))
}

/** The condition of keys that the end ended, as `endOf` says it. No part of it may be NULL: it is negated, too. */
export function isEndedBy({ target, position, endedAt }: ApiKeyEnd): Prisma.ApiKeyWhereInput {
  return {
    AND: [
      ofTarget(target),
      { position: { lt: position } },
      { OR: [{ expiresAt: null }, { AND: [{ expiresAt: { not: null } }, { expiresAt: { gt: endedAt } }] }] },
    ],
  }
}

function ofTarget(target: string): Prisma.ApiKeyWhereInput {
  const [kind, first = '', ...rest] = target.split(':')
  if (kind === 'all') return {}
  return kind === 'prefix' ? { prefix: first } : { ownerKind: first, owner: rest.join(':') }
}

/** What decides whether an end ended a key. */
export interface EndableKey {
  readonly prefix: string
  readonly ownerKind: string
  readonly owner: string
  readonly position: bigint
  readonly expiresAt: Date | null
}

/** The same of a row that was read. */
export function endedBy(key: EndableKey, ends: readonly ApiKeyEnd[]): ApiKeyEnd | undefined {
  const targets = ['all', `prefix:${key.prefix}`, `owner:${key.ownerKind}:${key.owner}`]
  return ends.find(
    ({ target, position, endedAt }) =>
      targets.includes(target) && key.position < position && (key.expiresAt === null || key.expiresAt > endedAt),
  )
}

/** Rows of one statement: it holds them for some milliseconds, and nobody waits longer. */
export const sweptTogether = 500

const ofSet = {
  all: '$3::text IS NULL AND $4::text IS NULL',
  prefix: 'prefix = $3 AND $4::text IS NULL',
  owner: 'owner_kind = $3 AND owner = $4',
} as const

/**
 * Writes the end into the rows of the keys, for the next that have not ended. A row that somebody holds is left for later:
 * this waits for nobody, so it can deadlock with nobody. Where several ends concern a key the first is written.
 */
const sweep = (set: keyof typeof ofSet) => `
    WITH visited AS MATERIALIZED (
      SELECT k.id, e.id AS end_id, e.ended_at, e.reason, e.replaces
        FROM (SELECT id, prefix, owner_kind, owner, position, expires_at FROM api_key
               WHERE ended_at IS NULL AND id > $1 AND ${ofSet[set]} ORDER BY id LIMIT $2) k
        LEFT JOIN LATERAL (${endOf('k')}) e ON true
    ), held AS MATERIALIZED (
      SELECT k.id FROM visited v JOIN api_key k ON k.id = v.id
       WHERE v.end_id IS NOT NULL AND k.ended_at IS NULL
         FOR NO KEY UPDATE OF k SKIP LOCKED
    ), ended AS (
      UPDATE api_key k SET ended_at = v.ended_at, end_reason = v.reason, updated_at = v.ended_at, end_id = v.end_id,
             awaits_successor = CASE WHEN v.replaces THEN true END
        FROM held h JOIN visited v ON v.id = h.id
       WHERE k.id = h.id
      RETURNING k.id
    )
    SELECT max(id) AS last, count(*)::int AS visited, count(end_id)::int AS due, (SELECT count(*)::int FROM ended) AS ended
      FROM visited`

/** How far the rows of keys say that they have ended. */
export interface Sweep {
  /** Behind which key it goes on; undefined: it has come to the end. */
  readonly next: string | undefined
  /** Every row up to here says so. */
  readonly isComplete: boolean
}

/** @param after a key that was there before; empty at first */
export async function sweepSome(
  database: Database,
  { target }: Pick<ApiKeyEnd, 'target'>,
  after: string,
): Promise<Sweep> {
  const [kind = '', first = null, ...rest] = target.split(':')
  const set = kind === 'all' || kind === 'prefix' ? kind : 'owner'
  const owner = set === 'owner' ? rest.join(':') : null
  const parameters = [after, sweptTogether, first, owner]
  const [row] = await database.query(`api_key_ends.sweep_${set}`, sweep(set), parameters)
  const { last, visited, due, ended } = row ?? {}
  return { next: visited === sweptTogether ? last : undefined, isComplete: due === ended }
}

/** When all rows say what it says. Keys take their position under a lock, so nobody writes one any more that lies before it. */
export async function remove(db: Db, { id }: Pick<ApiKeyEnd, 'id'>): Promise<void> {
  await db.query('api_key_ends.remove', 'DELETE FROM api_key_end WHERE id = $1::uuid RETURNING id', [id])
}
