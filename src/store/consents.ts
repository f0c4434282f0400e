import type { ClientWithSecrets } from './clients.js'
import type { Database, Db } from './database.js'

/** What a user decided about one scope of one client. */
export interface Decision {
  /** Empty for a scope that no resource owns. */
  readonly resource: string
  readonly scope: string
  readonly granted: boolean
}

/**
 * The user's standing decisions; those from before a revocation of the user are gone, and those of the same second: while
 * a revocation waits for its commit, decisions are written that are younger than its instant. Its second is never older
 * than its commit (`coverCommit`), so whole seconds are what can be compared. Whoever decides just after is asked again.
 *
 * @param client what was decided when it was described otherwise does not count (attacks 96 and 98)
 * @param destination nor does what was decided about another one: undefined where the client has none apart (attack 98)
 */
export async function list(
  database: Database,
  userId: string,
  { clientId, shownHash }: Pick<ClientWithSecrets, 'clientId' | 'shownHash'>,
  destination?: string,
): Promise<readonly Decision[]> {
  const rows = await database.query(
    'consents.list',
    `SELECT c.resource, c.scope, c.granted FROM consent c JOIN user_account u ON u.id = c.user_id
      WHERE c.user_id = $1 AND c.client_id = $2 AND (u.not_before IS NULL OR date_trunc('second', c.decided_at) > u.not_before)
        AND c.document_hash IS NOT DISTINCT FROM $3::bytea
        AND c.destination IS NOT DISTINCT FROM $4::text`,
    [userId, clientId, shownHash ?? null, destination ?? null],
  )
  return rows.map((row) => ({ resource: row['resource'], scope: row['scope'], granted: row['granted'] }))
}

/** What a client gets again without a question, at one resource or at none. */
export interface RememberedUse {
  readonly clientId: string
  readonly scope: readonly string[]
  readonly resources: readonly string[]
  readonly since: Date
}

/**
 * What the user allowed and is not asked about again, with and without a grant that stands. Also what was said of a client that is
 * described otherwise by now: to end too much does no harm. @param limit of the whole
 */
export async function listRemembered(db: Db, userId: string, limit: number): Promise<readonly RememberedUse[]> {
  const rows = await db.query(
    'consents.list_remembered',
    `SELECT c.client_id, c.resource, array_agg(c.scope ORDER BY c.scope) FILTER (WHERE c.scope <> '') AS scope,
            min(c.decided_at) AS since
       FROM consent c
       JOIN user_account u ON u.id = c.user_id
       JOIN client t ON t.client_id = c.client_id AND t.disabled_at IS NULL AND NOT t.first_party
      WHERE c.user_id = $1::uuid AND c.granted
        AND (u.not_before IS NULL OR date_trunc('second', c.decided_at) > u.not_before)
      GROUP BY c.client_id, c.resource ORDER BY max(c.decided_at) DESC, c.client_id, c.resource LIMIT $2::int`,
    [userId, limit],
  )
  return rows.map((row) => ({
    clientId: row['client_id'],
    scope: row['scope'] ?? [],
    resources: row['resource'] === '' ? [] : [row['resource']],
    since: row['since'],
  }))
}

/** The user is asked anew. @returns how many decisions there were */
export async function remove(db: Db, userId: string, clientId: string): Promise<number> {
  const { count } = await db.prisma.consent.deleteMany({ where: { userId, clientId } })
  return count
}

/** Forgets what all users decided about a client: they are asked again. */
export async function removeOfClient(db: Db, clientId: string): Promise<void> {
  await db.prisma.consent.deleteMany({ where: { clientId } })
}
