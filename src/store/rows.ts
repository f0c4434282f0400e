import type { Row } from './database.js'
import type { Grant } from './grants.js'

/** The scopes that a role allows its holder at one resource. */
export interface HeldRole {
  readonly resource: string
  readonly name: string
  readonly scope: readonly string[]
}

/** A subquery that gives the roles of a holder as JSON. */
export function heldRoles(holder: string): string {
  return `(SELECT json_agg(json_build_object('resource', r.resource, 'name', r.name, 'scope', r.scope))
             FROM role_holder h JOIN role r ON r.id = h.role_id WHERE h.kind = 'user' AND h.holder = ${holder})`
}

export function toGrant(row: Row): Grant {
  return {
    bucket: row['grant_bucket'],
    id: row['grant_id'],
    clientId: row['client_id'],
    userId: row['user_id'],
    session: row['session_id'] ? { bucket: row['session_bucket'], id: row['session_id'] } : undefined,
    scope: row['scope'],
    resources: row['resources'],
    offline: row['offline'],
    authTime: row['auth_time'],
    createdAt: row['grant_created_at'],
    expiresAt: row['grant_expires_at'],
  }
}
