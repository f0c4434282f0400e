import type { Database, Db } from './database.js'

/**
 * Clients that registered themselves and got no token by their time, the oldest first. They may get one in this very moment:
 * whoever deletes one looks again, with its row held.
 */
export async function list(database: Database, before: Date, limit: number): Promise<readonly string[]> {
  const rows = await database.query(
    'unused_clients.list',
    'SELECT client_id FROM client WHERE unused_until <= $1 ORDER BY unused_until LIMIT $2',
    [before, limit],
  )
  return rows.map((row) => row['client_id'])
}

/** Of those with a document, what comes behind so many that are newer, the oldest first. */
export async function listBeyond(
  database: Database,
  count: number,
  before: Date,
  limit: number,
): Promise<readonly string[]> {
  const rows = await database.query(
    'unused_clients.list_beyond',
    `SELECT client_id FROM (
       SELECT client_id, unused_until FROM client WHERE unused_until IS NOT NULL AND document_hash IS NOT NULL
        ORDER BY unused_until DESC OFFSET $1
     ) beyond WHERE unused_until <= $2 ORDER BY unused_until LIMIT $3`,
    [count, before, limit],
  )
  return rows.map((row) => row['client_id'])
}

/**
 * The client stays: it gets a token, or an administrator takes care of it. Of this and its deletion one comes first, and the row says
 * which. Alone it holds nothing while it waits for that row, so it can deadlock with nobody.
 *
 * @returns false when there is no such client any more
 */
export async function keep(db: Db, clientId: string): Promise<boolean> {
  const rows = await db.query(
    'unused_clients.keep',
    'UPDATE client SET unused_until = NULL WHERE client_id = $1 RETURNING 1 AS kept',
    [clientId],
  )
  return rows.length === 1
}
