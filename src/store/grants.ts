import type { ClaimsRequest } from '../oauth/index.js'
import { type AuditEvent, insertColumns } from './audit-events.js'
import { weekBucket } from './buckets.js'
import type { Decision } from './consents.js'
import type { BatchedStatement, Database, Db } from './database.js'
import type { Interaction } from './interactions.js'
import { shownHash } from './shown-clients.js'

/** What a user allowed a client. */
export interface Grant {
  readonly bucket: number
  readonly id: string
  readonly clientId: string
  /** The user's id, which is the `sub`. */
  readonly userId: string
  /** Ends with this session, unless `offline`. */
  readonly session?: { readonly bucket: number; readonly id: string } | undefined
  readonly scope: readonly string[]
  readonly resources: readonly string[]
  readonly offline: boolean
  readonly authTime: Date
  /** The claims that were asked for one by one. OIDC Core §5.5 */
  readonly claims?: ClaimsRequest | undefined
  readonly createdAt: Date
  readonly expiresAt: Date
}

/** The code that stands for a new grant. */
export interface NewCode {
  readonly bucket: number
  readonly hash: Buffer
  /** As in the request; undefined where it had none. */
  readonly redirectUri?: string | undefined
  readonly codeChallenge?: string | undefined
  /** Comes back in the ID token. OIDC Core §3.1.2.1 */
  readonly nonce?: string | undefined
  readonly expiresAt: Date
}

export interface NewGrant {
  readonly grant: Grant
  readonly code: NewCode
  readonly event: AuditEvent
  /** Of the client as the user was shown it; undefined where an administrator vouches for it. */
  readonly shownHash?: Buffer | undefined
  /** The interaction that this is the answer to. */
  readonly answers?: AnsweredInteraction | undefined
}

export interface AnsweredInteraction {
  readonly interaction: Interaction
  /** What the user decided on the way, and is not to be asked again. */
  readonly decisions: readonly Decision[]
  /** The one that they are about; undefined where they are about all of the client. */
  readonly destination?: string | undefined
  /** Undefined where the user was not asked. */
  readonly consentEvent: AuditEvent | undefined
}

/**
 * The SQL that says whether a grant `g` of client `c` and user `u` in session `s` stands, at the time `$now`.
 *
 * For the user it is the login that counts, not when the grant was made: one that was made while a revocation was on its
 * way, in a session that it ends, is younger than the revocation's instant.
 */
export function standing(now: string): string {
  return `g.ended_at IS NULL AND g.expires_at > ${now}
      AND c.disabled_at IS NULL AND (c.not_before IS NULL OR g.created_at > c.not_before)
      AND u.disabled_at IS NULL AND (u.not_before IS NULL OR g.auth_time > u.not_before)
      AND (g.offline OR g.session_id IS NULL OR (s.ended_at IS NULL AND s.expires_at > ${now}))`
}

/**
 * Joins for `standing`. A deleted client, user or session ends the grant. Each is looked up by itself (`OFFSET 0` keeps it so):
 * a plan that was made while there were three clients might begin with all of them, and keep to that for a million.
 */
export const standingJoins = `
       CROSS JOIN LATERAL (SELECT not_before, disabled_at FROM client WHERE client_id = g.client_id OFFSET 0) c
       CROSS JOIN LATERAL (SELECT email, name, not_before, disabled_at FROM user_account WHERE id = g.user_id OFFSET 0) u
        LEFT JOIN LATERAL (SELECT ended_at, expires_at FROM session
                            WHERE bucket = g.session_bucket AND id = g.session_id OFFSET 0) s ON true`

/**
 * `answered`: the interaction was answered before, or has expired. `ended`: the session, user or client ended meanwhile.
 * `changed`: the client is described otherwise by now than its user was shown; the interaction still waits.
 */
export type GrantOutcome = 'created' | 'answered' | 'ended' | 'changed'

const createAll: BatchedStatement<NewGrant, GrantOutcome> = {
  name: 'grants.create',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int[], $2::uuid[], $3::text[], $4::uuid[], $5::int[], $6::uuid[], $7::text[], $8::text[],
                           $9::bool[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                           $13::int[], $14::bytea[], $15::text[], $16::text[], $17::timestamptz[],
                           $18::int[], $19::uuid[], $20::text[], $21::text[], $22::text[],
                           $23::int[], $24::bytea[], $25::uuid[], $26::text[], $27::jsonb[], $32::text[], $33::jsonb[],
                           $34::bytea[])
        WITH ORDINALITY
        AS i (bucket, id, client_id, user_id, session_bucket, session_id, scope, resources, offline, auth_time, created_at,
              expires_at, code_bucket, code_hash, redirect_uri, code_challenge, code_expires_at,
              event_bucket, event_id, event_type, event_ip, event_request_id,
              interaction_bucket, interaction_hash, consent_event_id, consent_event_type, consent_detail, nonce, claims,
              shown_hash, n)
    ), allowed AS (
      -- Under a live session of a live user and client: a revocation that came first leaves nothing to redeem.
      -- Nobody consented to what they did not see (attacks 96 and 98): as_shown is whether it is the same.
      SELECT i.*, ${shownHash} IS NOT DISTINCT FROM i.shown_hash AS as_shown
        FROM input i
        JOIN client c ON c.client_id = i.client_id AND c.disabled_at IS NULL
        JOIN user_account u ON u.id = i.user_id AND u.disabled_at IS NULL
        JOIN session s ON s.bucket = i.session_bucket AND s.id = i.session_id AND s.ended_at IS NULL
         AND (u.not_before IS NULL OR s.created_at > u.not_before)
    ), first AS (
      -- The same interaction twice in one batch has one winner.
      SELECT DISTINCT ON (interaction_bucket, interaction_hash) * FROM allowed
       WHERE interaction_hash IS NOT NULL AND as_shown ORDER BY interaction_bucket, interaction_hash, n
    ), waiting AS (
      -- No bounds of the buckets from parameters: with them PostgreSQL 18 would lose who stands behind a row that is waited
      -- for (see untilDecided), and a form that is sent twice would have somebody else's refused.
      SELECT t.bucket, t.id_hash
        FROM first i JOIN interaction t ON t.bucket = i.interaction_bucket AND t.id_hash = i.interaction_hash
       WHERE t.completed_at IS NULL AND t.expires_at > i.created_at
       ORDER BY t.bucket, t.id_hash
         FOR UPDATE OF t
    ), answered AS (
      UPDATE interaction t SET completed_at = i.created_at
        FROM first i JOIN waiting w ON w.bucket = i.interaction_bucket AND w.id_hash = i.interaction_hash
       WHERE t.bucket = i.interaction_bucket AND t.id_hash = i.interaction_hash
      RETURNING i.n
    ), granted AS (
      INSERT INTO authorization_grant (bucket, id, client_id, user_id, session_bucket, session_id, scope, resources, offline,
                                       auth_time, created_at, expires_at, claims)
      SELECT i.bucket, i.id, i.client_id, i.user_id, i.session_bucket, i.session_id, string_to_array(i.scope, ' '),
             string_to_array(i.resources, ' '), i.offline, i.auth_time, i.created_at, i.expires_at, i.claims
        FROM allowed i
       WHERE i.as_shown AND (i.interaction_hash IS NULL OR i.n IN (SELECT n FROM answered))
      RETURNING id
    ), coded AS (
      INSERT INTO authorization_code (bucket, code_hash, grant_bucket, grant_id, client_id, redirect_uri, code_challenge,
                                      created_at, expires_at, nonce)
      SELECT i.code_bucket, i.code_hash, i.bucket, i.id, i.client_id, i.redirect_uri, i.code_challenge, i.created_at,
             i.code_expires_at, i.nonce
        FROM input i JOIN granted USING (id)
    ), consented AS (
      -- With what was shown: this and a change of it may pass each other unseen.
      -- Each row is about the destination that it was decided for last: who comes from another one is asked.
      INSERT INTO consent (user_id, client_id, resource, scope, granted, decided_at, document_hash, destination)
      SELECT DISTINCT ON (i.user_id, i.client_id, d.resource, d.scope)
             i.user_id, i.client_id, d.resource, d.scope, d.granted, i.created_at, i.shown_hash, d.destination
        FROM unnest($28::int[], $29::text[], $30::text[], $31::bool[], $35::text[])
               AS d (n, resource, scope, granted, destination)
        JOIN input i ON i.n = d.n
        JOIN granted USING (id)
       ORDER BY i.user_id, i.client_id, d.resource, d.scope, d.n DESC
          ON CONFLICT (user_id, client_id, resource, scope)
          DO UPDATE SET granted = excluded.granted, decided_at = excluded.decided_at, document_hash = excluded.document_hash,
                        destination = excluded.destination
    ), audited AS (
      ${insertColumns}
      SELECT i.event_bucket, e.id, i.created_at, e.type, 'user:' || i.user_id, i.client_id, i.user_id::text, i.id,
             i.event_ip, i.event_request_id, NULL, e.detail, 1
        FROM input i JOIN granted USING (id)
       CROSS JOIN LATERAL (
         SELECT i.event_id AS id, i.event_type AS type, jsonb_build_object('scope', i.scope, 'resources', i.resources) AS detail
          UNION ALL
         SELECT i.consent_event_id, i.consent_event_type, i.consent_detail WHERE i.consent_event_id IS NOT NULL
       ) e
    )
    SELECT i.n, EXISTS (SELECT FROM granted g WHERE g.id = i.id) AS created,
           (SELECT a.as_shown FROM allowed a WHERE a.n = i.n) AS as_shown
      FROM input i`,
  parameters: (items) => [
    items.map(({ grant }) => grant.bucket),
    items.map(({ grant }) => grant.id),
    items.map(({ grant }) => grant.clientId),
    items.map(({ grant }) => grant.userId),
    items.map(({ grant }) => grant.session?.bucket ?? null),
    items.map(({ grant }) => grant.session?.id ?? null),
    items.map(({ grant }) => grant.scope.join(' ')),
    items.map(({ grant }) => grant.resources.join(' ')),
    items.map(({ grant }) => grant.offline),
    items.map(({ grant }) => grant.authTime),
    items.map(({ grant }) => grant.createdAt),
    items.map(({ grant }) => grant.expiresAt),
    items.map(({ code }) => code.bucket),
    items.map(({ code }) => code.hash),
    items.map(({ code }) => code.redirectUri ?? null),
    items.map(({ code }) => code.codeChallenge ?? null),
    items.map(({ code }) => code.expiresAt),
    items.map(({ event }) => weekBucket(event.time)),
    items.map(({ event }) => event.id),
    items.map(({ event }) => event.type),
    items.map(({ event }) => event.ip ?? null),
    items.map(({ event }) => event.requestId ?? null),
    items.map(({ answers }) => answers?.interaction.bucket ?? null),
    items.map(({ answers }) => answers?.interaction.idHash ?? null),
    items.map(({ answers }) => answers?.consentEvent?.id ?? null),
    items.map(({ answers }) => answers?.consentEvent?.type ?? null),
    items.map(({ answers }) => (answers?.consentEvent?.detail ? JSON.stringify(answers.consentEvent.detail) : null)),
    items.flatMap(({ answers }, index) => (answers?.decisions ?? []).map(() => index + 1)),
    items.flatMap(({ answers }) => (answers?.decisions ?? []).map(({ resource }) => resource)),
    items.flatMap(({ answers }) => (answers?.decisions ?? []).map(({ scope }) => scope)),
    items.flatMap(({ answers }) => (answers?.decisions ?? []).map(({ granted }) => granted)),
    items.map(({ code }) => code.nonce ?? null),
    items.map(({ grant }) => (grant.claims ? JSON.stringify(grant.claims) : null)),
    items.map((item) => item.shownHash ?? null),
    items.flatMap(({ answers }) => (answers?.decisions ?? []).map(() => answers?.destination ?? null)),
  ],
  results: (items, rows) => {
    const outcomes: GrantOutcome[] = items.map(() => 'ended')
    for (const { n, created, as_shown: asShown } of rows) {
      if (asShown === null) continue
      outcomes[Number(n) - 1] = asShown ? (created ? 'created' : 'answered') : 'changed'
    }
    return outcomes
  },
}

/**
 * The grant, its code and the audit event, in one statement; where it answers an interaction, that is decided by the same
 * statement, and what the user decided is remembered: of concurrent answers exactly one is `created`. Nothing is written
 * for any other outcome.
 */
export function create(database: Database, grant: NewGrant): Promise<GrantOutcome> {
  return database.run(createAll, grant)
}

/** A grant by its id alone, for the command line: looks into every partition. */
export async function findById(
  db: Db,
  id: string,
): Promise<{ bucket: number; clientId: string; userId: string; resources: readonly string[] } | undefined> {
  const row = await db.prisma.grant.findFirst({
    where: { id },
    select: { bucket: true, clientId: true, userId: true, resources: true },
  })
  return row ?? undefined
}

/** What a user allows a client, as they see it. */
export interface AllowedUse {
  readonly clientId: string
  readonly scope: readonly string[]
  readonly resources: readonly string[]
  /** Also when the user is not signed in. */
  readonly offline: boolean
  readonly since: Date
  readonly latest: Date
}

/** Of all grants of the user that stand: what each allows, and those of the same together. @param limit of the whole */
export async function listAllowed(db: Db, userId: string, now: Date, limit: number): Promise<readonly AllowedUse[]> {
  const rows = await db.query(
    'grants.list_allowed',
    `SELECT g.client_id, g.scope, g.resources, bool_or(g.offline) AS offline, min(g.created_at) AS since, max(g.created_at) AS latest
       FROM authorization_grant g
       ${standingJoins}
      WHERE g.user_id = $1::uuid AND ${standing('$2::timestamptz')}
      GROUP BY g.client_id, g.scope, g.resources ORDER BY max(g.created_at) DESC LIMIT $3::int`,
    [userId, now, limit],
  )
  return rows.map((row) => ({
    clientId: row['client_id'],
    scope: row['scope'],
    resources: row['resources'],
    offline: row['offline'],
    since: row['since'],
    latest: row['latest'],
  }))
}

/** What of a client's grants by the user is left to be ended. */
export async function listUnended(
  db: Db,
  { userId, clientId, now, limit }: { userId: string; clientId: string; now: Date; limit: number },
): Promise<readonly Pick<Grant, 'bucket' | 'id' | 'resources'>[]> {
  const rows = await db.query(
    'grants.list_unended',
    `SELECT bucket, id, resources FROM authorization_grant
      WHERE user_id = $1::uuid AND client_id = $2::text AND ended_at IS NULL AND expires_at > $3::timestamptz LIMIT $4::int`,
    [userId, clientId, now, limit],
  )
  return rows.map((row) => ({ bucket: row['bucket'], id: row['id'], resources: row['resources'] }))
}
