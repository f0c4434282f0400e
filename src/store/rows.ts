import type { Row } from './database.js'
import type { Grant } from './grants.js'

/** The scopes that a role allows its holder at one resource. */
export interface HeldRole {
  readonly resource: string
  readonly name: string
  readonly scope: readonly string[]
}

/** A subquery that gives the roles of a holder as JSON. It begins with what is held, however few roles there are. */
function heldRoles(holder: string): string {
  return `(SELECT json_agg(json_build_object('resource', r.resource, 'name', r.name, 'scope', r.scope))
             FROM role_holder h CROSS JOIN LATERAL (SELECT resource, name, scope FROM role WHERE id = h.role_id OFFSET 0) r
            WHERE h.kind = 'user' AND h.holder = ${holder})`
}

/** A time in seconds since 1970: written and read at a fraction of what the text of a timestamp costs. */
export function seconds(column: string): string {
  return `date_part('epoch', ${column})`
}

/** The columns that `toGrant` reads, of a grant `g`. */
const grantColumns = `g.bucket AS grant_bucket, g.id AS grant_id, g.client_id AS grant_client_id, g.user_id, g.session_bucket,
           g.session_id, ${words('g.scope')} AS scope, ${words('g.resources')} AS resources, g.offline,
           ${seconds('g.auth_time')} AS auth_time, ${seconds('g.created_at')} AS grant_created_at,
           ${seconds('g.expires_at')} AS grant_expires_at, g.claims`

/** The columns that `toHeld` reads: of a grant `g` and its user `u`. */
export const heldColumns = `${grantColumns}, u.email, u.name, ${heldRoles('g.user_id::text')} AS roles`

/** What a code or refresh token stands for. */
export interface Held {
  readonly grant: Grant
  readonly user: { readonly email: string; readonly name?: string | undefined }
  readonly roles: readonly HeldRole[]
}

export function toHeld(row: Row): Held {
  return {
    grant: {
      bucket: row['grant_bucket'],
      id: row['grant_id'],
      clientId: row['grant_client_id'],
      userId: row['user_id'],
      session: row['session_id'] ? { bucket: row['session_bucket'], id: row['session_id'] } : undefined,
      scope: toList(row['scope']),
      resources: toList(row['resources']),
      offline: row['offline'],
      authTime: toTime(row['auth_time']),
      claims: row['claims'] ?? undefined,
      createdAt: toTime(row['grant_created_at']),
      expiresAt: toTime(row['grant_expires_at']),
    },
    user: { email: row['email'], name: row['name'] ?? undefined },
    roles: row['roles'] ?? [],
  }
}

/** @param time as `seconds` gives it: exact to the microsecond, so that rounded it is the millisecond that is kept */
export function toTime(time: number): Date {
  return new Date(Math.round(time * 1000))
}

export function toTimeIfAny(time: number | null): Date | undefined {
  return time === null ? undefined : toTime(time)
}

/** An array of words without a space (scopes, resources, networks, origins) as one text: the driver reads arrays slowly. */
function words(column: string): string {
  return `array_to_string(${column}, ' ')`
}

/** What `words` gives, as a list. */
function toList(text: string | null): readonly string[] {
  return text ? text.split(' ') : []
}
