import { type AuditEvent, insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { Database } from './database.js'

/** A request that waits for its user. `request` is what the feature that created it reads back. */
export interface Interaction {
  readonly bucket: number
  readonly idHash: Buffer
  /** The browser that started it. */
  readonly browserHash: Buffer
  /** Undefined where it leads to a page of ours. */
  readonly clientId?: string | undefined
  readonly request: unknown
  /** When its user signed in, in this interaction. */
  readonly authenticatedAt?: Date | undefined
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly completedAt?: Date | undefined
}

export async function create(database: Database, interaction: Interaction): Promise<void> {
  await database.query(
    'interactions.create',
    `INSERT INTO interaction (bucket, id_hash, browser_hash, client_id, request, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      interaction.bucket,
      interaction.idHash,
      interaction.browserHash,
      interaction.clientId ?? null,
      JSON.stringify(interaction.request),
      interaction.createdAt,
      interaction.expiresAt,
    ],
  )
}

/** Also one that is completed or has expired, as long as its row is there: the page says which. */
export async function find(database: Database, bucket: number, idHash: Buffer): Promise<Interaction | undefined> {
  const [row] = await database.query(
    'interactions.find',
    `SELECT browser_hash, client_id, request, authenticated_at, created_at, expires_at, completed_at
       FROM interaction WHERE bucket = $1 AND id_hash = $2`,
    [bucket, idHash],
  )
  if (!row) return undefined
  return {
    bucket,
    idHash,
    browserHash: row['browser_hash'],
    clientId: row['client_id'] ?? undefined,
    request: row['request'],
    authenticatedAt: row['authenticated_at'] ?? undefined,
    createdAt: row['created_at'],
    expiresAt: row['expires_at'],
    completedAt: row['completed_at'] ?? undefined,
  }
}

/** Replaces what the interaction remembers, as long as it waits. */
export async function setRequest(database: Database, interaction: Interaction, request: object): Promise<void> {
  await database.query(
    'interactions.set_request',
    'UPDATE interaction SET request = $3 WHERE bucket = $1 AND id_hash = $2 AND completed_at IS NULL',
    [interaction.bucket, interaction.idHash, JSON.stringify(request)],
  )
}

/**
 * Answers the interaction without a grant. Of concurrent answers, `grants.create` included, exactly one gets true, and the
 * event, where there is one, is written with it.
 */
export async function complete(
  database: Database,
  interaction: Interaction,
  now: Date,
  event?: AuditEvent,
): Promise<boolean> {
  const rows = await database.query(
    'interactions.complete',
    `WITH completed AS (
       UPDATE interaction SET completed_at = $1
        WHERE bucket = $2 AND id_hash = $3 AND completed_at IS NULL AND expires_at > $1
       RETURNING bucket
     ), recorded AS (
       ${insertColumns}
       SELECT $4::int, $5::uuid, $6::timestamptz, $7::text, $8::text, $9::text, $10::text, NULL, $11::text, $12::text,
              $13::text, $14::jsonb, 1
         FROM completed WHERE $5::uuid IS NOT NULL
     )
     SELECT FROM completed`,
    [now, interaction.bucket, interaction.idHash, ...eventColumns(event)],
  )
  return rows.length === 1
}

function eventColumns(event: AuditEvent | undefined): readonly unknown[] {
  const { id, time, type, actor, clientId, subject, ip, requestId, reason, detail } = event ?? {}
  const text = detail && JSON.stringify(detail)
  return [time && weekBucket(time), id, time, type, actor, clientId, subject, ip, requestId, reason, text]
}
