import { insertColumns, messageId } from './outbox.js'

/** What a message of the outbox, of kind `logout`, holds; its destination is the id of the client. */
export interface AnnouncedLogout {
  /** The user's id, whatever the client knows them by. */
  readonly user: string
  /** The session that ended; null: all of the user. */
  readonly sid: string | null
  /** The audit event that says who and why. */
  readonly event: string
}

/** Clients of one user that are looked at. Whoever has more made them, perhaps to hold up whoever else revokes. */
const mostClients = 1_000

/** Sessions that one client is told of one by one, the youngest, where all of a user end. */
const mostSessions = 100

/** The SQL of whether the client `c` got an ID token of the user of `l`. By itself (`OFFSET 0`): a join would read all grants. */
const identified = (session: string) => `
  EXISTS (SELECT FROM authorization_grant g
           WHERE g.user_id = l.user_id AND g.client_id = c.client_id ${session} AND 'openid' = ANY (g.scope) OFFSET 0)`

/**
 * The SQL of the messages to the clients that want to hear of it (Back-Channel Logout 1.0), for a statement that ends sessions
 * and users. So whoever does need not know, and nobody can forget.
 *
 * The clients of the user are looked up one after the other, each by the index behind the one before it: so the cost is that
 * of the applications that somebody uses, not of the grants that they ever gave. Where all sessions end, a client hears that
 * once, by `sub` alone, but if it has registered that it needs the `sid` of each.
 *
 * @param input rows of what is revoked
 * @param endedSessions those rows of sessions that this statement has ended
 */
export function tellClients(input: string, endedSessions: string): string {
  return `
    logged_out AS MATERIALIZED (
      SELECT DISTINCT ON (s.id) s.user_id, s.id AS sid, i.event_id AS event, i.event_time AS time
        FROM ${endedSessions} s JOIN ${input} i ON i.kind = 'session' AND i.row_id = s.id
       UNION ALL
      SELECT DISTINCT ON (i.row_id) i.row_id, NULL, i.event_id, i.event_time FROM ${input} i WHERE i.kind = 'user'
    ), told AS (
      ${insertColumns}
      SELECT ${messageId(`l.event::text || ' logout ' || COALESCE(which.sid::text, '')`, 'c.client_id')}, 'logout', c.client_id,
             jsonb_build_object('user', l.user_id, 'sid', which.sid, 'event', l.event), l.time, l.time, 0
        FROM logged_out l
       CROSS JOIN LATERAL (
         WITH RECURSIVE used (client_id, n) AS (
           (SELECT client_id, 1 FROM authorization_grant WHERE user_id = l.user_id ORDER BY client_id LIMIT 1)
            UNION ALL
           SELECT behind.client_id, n + 1
             FROM used
            CROSS JOIN LATERAL (SELECT a.client_id FROM authorization_grant a
                                 WHERE a.user_id = l.user_id AND a.client_id > used.client_id
                                 ORDER BY a.client_id LIMIT 1) behind
            WHERE n < ${mostClients}
         )
         SELECT client_id FROM used
       ) known
       CROSS JOIN LATERAL (
         SELECT client_id, backchannel_logout_session_required IS TRUE AS by_session FROM client
          WHERE client_id = known.client_id AND backchannel_logout_uri IS NOT NULL AND disabled_at IS NULL OFFSET 0
       ) c
       CROSS JOIN LATERAL (
         SELECT l.sid WHERE l.sid IS NOT NULL AND ${identified('AND g.session_id = l.sid')}
          UNION ALL
         SELECT NULL WHERE l.sid IS NULL AND NOT c.by_session AND ${identified('')}
          UNION ALL
         (SELECT s.id FROM session s
           WHERE l.sid IS NULL AND c.by_session AND s.user_id = l.user_id AND s.ended_at IS NULL AND s.idle_expires_at > l.time
             AND ${identified('AND g.session_id = s.id')}
           ORDER BY s.created_at DESC LIMIT ${mostSessions})
       ) which
      RETURNING id
    )`
}
