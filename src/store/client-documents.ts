import { notify } from './changes.js'
import type { Database, Db } from './database.js'

/** When a client's document was read, and how long that counts. */
export interface DocumentReading {
  readonly clientId: string
  /** SHA-256 of it. */
  readonly hash: Buffer
  readonly fetchedAt: Date
  readonly freshUntil: Date
}

/**
 * The document was read again and says what it said. Where the client is another by now, nothing happens. It is not kept longer for
 * that: else whoever reads theirs again each day would fill the place that there is for those without a token (attack 93).
 */
export async function touch(db: Db, reading: DocumentReading): Promise<void> {
  const { clientId, hash, fetchedAt, freshUntil } = reading
  await db.query(
    'client_documents.touch',
    `UPDATE client
        SET document_fetched_at = $3, document_fresh_until = $4
      WHERE client_id = $1 AND document_hash = $2`,
    [clientId, hash, fetchedAt, freshUntil],
  )
  await notify(db, { kind: 'client', id: clientId })
}

/** Whether so many clients with a document are there that never got a token. They are found by the time of their end. */
export async function areUnused(database: Database, count: number): Promise<boolean> {
  const rows = await database.query(
    'client_documents.are_unused',
    `SELECT count(*) >= $1 AS full FROM (
       SELECT 1 FROM client WHERE unused_until IS NOT NULL AND document_hash IS NOT NULL LIMIT $1
     ) unused`,
    [count],
  )
  return rows[0]?.['full'] === true
}
