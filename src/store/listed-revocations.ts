import { dayBucket } from './buckets.js'
import type { Database, Db } from './database.js'
import type { Revocation, RevocationKind } from './revocations.js'
import { seconds, toTime, toTimeIfAny } from './rows.js'

/** What a token can be ended by. */
export interface EndableBy {
  readonly kind: RevocationKind
  readonly target: string
}

export interface PositionedRevocation extends Revocation {
  readonly position: bigint
  readonly expiresAt?: Date | undefined
  /** Identifiers of the resources concerned; empty: all. */
  readonly audiences: readonly string[]
}

type ListedRow = readonly [
  kind: RevocationKind,
  target: string,
  terminal: boolean,
  instant: number,
  position: number,
  expiresAt: number | null,
  audiences: string | null,
]

/** What was listed behind the position and could still end a token, in commit order, the first `limit` of it. */
export async function listBehind(
  database: Pick<Database, 'query'>,
  position: bigint,
  now: Date,
  limit: number,
): Promise<readonly PositionedRevocation[]> {
  const rows = await database.query(
    'revocations.list_behind',
    `SELECT json_agg(json_build_array(kind, target, terminal, ${seconds('instant')}, position, ${seconds('expires_at')},
                                      array_to_string(audiences, ' ')) ORDER BY position) AS entries
       FROM (SELECT * FROM revocation
              WHERE position > $1 AND (expires_at IS NULL OR expires_at > $2::timestamptz)
              ORDER BY position LIMIT $3) behind`,
    [position.toString(), now.toISOString(), limit],
  )
  // Most entries concern the same few APIs: one array for all of them.
  const audiences = new Map<string, readonly string[]>()
  const toAudiences = (text: string): readonly string[] => {
    const list = audiences.get(text) ?? (text === '' ? [] : text.split(' '))
    audiences.set(text, list)
    return list
  }
  // As one value: thousands of rows cost several times as much to read.
  const entries: readonly ListedRow[] = rows[0]?.['entries'] ?? []
  return entries.map(([kind, target, terminal, instant, at, expiresAt, text]) => ({
    kind,
    target,
    terminal,
    instant: toTime(instant),
    position: BigInt(at),
    expiresAt: toTimeIfAny(expiresAt),
    audiences: toAudiences(text ?? ''),
  }))
}

/** The last position that was ever taken here, committed or not. Whoever knows a later one knows another database. */
export async function lastPosition(database: Pick<Database, 'query'>): Promise<bigint> {
  const [row] = await database.query(
    'revocations.last_position',
    'SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS position FROM revocation_position',
    [],
  )
  return BigInt(row?.['position'] ?? 0)
}

/** Of all entries of these targets the last instant; undefined where there are none. */
export async function lastInstant(db: Db, targets: readonly EndableBy[], now: Date): Promise<Date | undefined> {
  const distinct = [...new Map(targets.map((target) => [`${target.kind} ${target.target}`, target])).values()]
  const [row] = await db.query(
    'revocations.last_instant',
    `SELECT ${seconds('max(r.instant)')} AS instant FROM unnest($2::text[], $3::text[]) AS i (kind, target)
       JOIN revocation r ON r.bucket >= $1::int AND r.kind = i.kind AND r.target = i.target`,
    [dayBucket(now), distinct.map(({ kind }) => kind), distinct.map(({ target }) => target)],
  )
  return toTimeIfAny(row?.['instant'] ?? null)
}
