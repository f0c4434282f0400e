import type { Database } from './database.js'

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
 */
export async function list(database: Database, userId: string, clientId: string): Promise<readonly Decision[]> {
  const rows = await database.query(
    'consents.list',
    `SELECT c.resource, c.scope, c.granted FROM consent c JOIN user_account u ON u.id = c.user_id
      WHERE c.user_id = $1 AND c.client_id = $2 AND (u.not_before IS NULL OR date_trunc('second', c.decided_at) > u.not_before)`,
    [userId, clientId],
  )
  return rows.map((row) => ({ resource: row['resource'], scope: row['scope'], granted: row['granted'] }))
}
