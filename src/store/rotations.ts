import type { ApiKeyOwner } from './api-keys.js'
import type { Db, Row } from './database.js'
import { seconds, toTime } from './rows.js'

/** What is to be rotated from time to time. */
export interface Rotatable {
  readonly kind: 'api_key' | 'client_secret'
  /** Of the key or of the secret. */
  readonly id: string
  readonly owner: ApiKeyOwner
  /** Of the key, or of the client. */
  readonly name: string
  readonly tier?: string | undefined
  readonly createdAt: Date
  /** When it should have a successor, or ends by itself, whichever is first. */
  readonly dueAt: Date
  /** It ends by itself then. */
  readonly ends: boolean
  /** A key by which requests are signed. */
  readonly signing?: boolean | undefined
}

export interface DueOptions {
  readonly now: Date
  readonly until: Date
  /** Seconds; 0: never. For what has no tier, or one that leaves it open. */
  readonly rotateEvery: number
  /** Rows that one statement reads. Default 1000. */
  readonly pageSize?: number
}

/** The SQL of the time at which something is due: of two times the first, and of none no time. */
const dueAt = (row: string, every: string) => `
  CROSS JOIN LATERAL (
    SELECT LEAST(${row}.expires_at,
                 ${row}.created_at + NULLIF(COALESCE(t.rotate_every, ${every}), 0) * interval '1 second') AS due_at OFFSET 0) d`

const keys = (position: string, order: string) => `
  SELECT 'api_key' AS kind, k.id, k.owner_kind, k.owner, k.name, k.tier, ${seconds('k.created_at')} AS created_at,
         ${seconds('d.due_at')} AS due_at, d.due_at IS NOT DISTINCT FROM k.expires_at AS ends,
         k.kind = 'signing' AS signing, k.expires_at::text AS expires_at
    FROM api_key k
    LEFT JOIN tier t ON t.name = k.tier ${dueAt('k', '$2::int')}
   WHERE k.ended_at IS NULL AND k.successor IS NULL AND ${position} AND d.due_at <= $1::timestamptz
   ORDER BY ${order} LIMIT $3`

/** A secret has a successor where there is a later one of its client. */
const secrets = `
  SELECT 'client_secret' AS kind, s.id, 'client' AS owner_kind, s.client_id AS owner, COALESCE(c.client_name, c.client_id) AS name,
         c.rate_tier AS tier, ${seconds('s.created_at')} AS created_at, ${seconds('d.due_at')} AS due_at,
         d.due_at IS NOT DISTINCT FROM s.expires_at AS ends
    FROM client_secret s
    JOIN client c ON c.client_id = s.client_id
    LEFT JOIN tier t ON t.name = c.rate_tier ${dueAt('s', '$2::int')}
   WHERE s.id > $4::uuid AND c.disabled_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $5::timestamptz)
     AND d.due_at <= $1::timestamptz
     AND NOT EXISTS (SELECT FROM client_secret n WHERE n.client_id = s.client_id AND n.created_at > s.created_at)
   ORDER BY s.id LIMIT $3`

/**
 * What is due up to then, keys and client secrets alike, in pages of no particular order. What has ended or expired is over, and
 * what has a successor is done. It reads what lives: what ended before costs nothing.
 */
export async function* due(db: Db, options: DueOptions): AsyncGenerator<readonly Rotatable[]> {
  const { now, until, rotateEvery, pageSize = 1_000 } = options
  const common = [until.toISOString(), rotateEvery, pageSize]
  yield* pages(pageSize, ['', now.toISOString()], async ([id, expiresAt]) => {
    const position = '(k.expires_at, k.id) > ($5::timestamptz, $4) AND k.expires_at > $6::timestamptz'
    const values = [...common, id, expiresAt, now.toISOString()]
    return db.query('rotations.keys', keys(position, 'k.expires_at, k.id'), values)
  })
  yield* pages(pageSize, ['', null], ([id]) =>
    db.query('rotations.lasting_keys', keys('k.expires_at IS NULL AND k.id > $4', 'k.expires_at, k.id'), [
      ...common,
      id,
    ]),
  )
  yield* pages(pageSize, ['00000000-0000-0000-0000-000000000000', null], ([id]) =>
    db.query('rotations.secrets', secrets, [...common, id, now.toISOString()]),
  )
}

type Position = readonly [id: string, expiresAt: string | null]

async function* pages(
  size: number,
  first: Position,
  read: (position: Position) => Promise<readonly Row[]>,
): AsyncGenerator<readonly Rotatable[]> {
  for (let position = first; ; ) {
    const rows = await read(position)
    const last = rows.at(-1)
    if (!last) return
    yield rows.map(toRotatable)
    if (rows.length < size) return
    position = [last['id'], last['expires_at'] ?? null]
  }
}

function toRotatable(row: Row): Rotatable {
  return {
    kind: row['kind'],
    id: row['id'],
    owner: { kind: row['owner_kind'], id: row['owner'] },
    name: row['name'],
    tier: row['tier'] ?? undefined,
    createdAt: toTime(row['created_at']),
    dueAt: toTime(row['due_at']),
    ends: row['ends'],
    signing: row['signing'] === true || undefined,
  }
}
