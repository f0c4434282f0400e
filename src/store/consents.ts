import type { Database, Db } from './database.js'

/** What a user decided about one scope of one client. */
export interface Decision {
  /** Empty for a scope that no resource owns. */
  readonly resource: string
  readonly scope: string
  readonly granted: boolean
}

/** The user's standing decisions; those from before a revocation of the user are gone. */
export async function list(database: Database, userId: string, clientId: string): Promise<readonly Decision[]> {
  const rows = await database.query(
    'consents.list',
    `SELECT c.resource, c.scope, c.granted FROM consent c JOIN user_account u ON u.id = c.user_id
      WHERE c.user_id = $1 AND c.client_id = $2 AND (u.not_before IS NULL OR c.decided_at > u.not_before)`,
    [userId, clientId],
  )
  return rows.map((row) => ({ resource: row['resource'], scope: row['scope'], granted: row['granted'] }))
}

export async function save(
  db: Db,
  userId: string,
  clientId: string,
  decisions: readonly Decision[],
  now: Date,
): Promise<void> {
  await db.prisma.$executeRaw`
    INSERT INTO consent (user_id, client_id, resource, scope, granted, decided_at)
    SELECT ${userId}::uuid, ${clientId}, d.resource, d.scope, d.granted, ${now}
      FROM unnest(${decisions.map((d) => d.resource)}::text[], ${decisions.map((d) => d.scope)}::text[],
                  ${decisions.map((d) => d.granted)}::bool[]) AS d (resource, scope, granted)
     ORDER BY d.resource, d.scope
        ON CONFLICT (user_id, client_id, resource, scope) DO UPDATE SET granted = excluded.granted, decided_at = excluded.decided_at`
}

/** Forgets what the user decided about the client, or about all. */
export async function remove(db: Db, userId: string, clientId?: string): Promise<number> {
  const { count } = await db.prisma.consent.deleteMany({ where: { userId, clientId } })
  return count
}
