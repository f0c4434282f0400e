import type { Context } from '../context.js'
import type { Resource } from '../resources/index.js'
import { type HeldRole, roles } from '../store/index.js'

/**
 * The roles of a holder, and as of when they are known: one that was withdrawn before is not among them.
 *
 * A role that is withdrawn ends what was issued up to that second, and a process may not have heard of it, or have read the
 * roles just before. So a token is never younger than what it says of roles: its `iat` is not the time at which it is
 * signed, but this one. Whatever was withdrawn later ends it.
 */
export interface KnownRoles {
  readonly roles: readonly HeldRole[]
  readonly asOf: Date
}

/** @param from what was known before is too old */
export type ReadRoles = (from?: Date) => Promise<KnownRoles>

/** Milliseconds that memory may be old for a token to be issued from it: as much older it is than it could be. */
const mostBehind = 3_000

/** Whether a token for this resource depends on what roles its holder has. */
export function saysRoles(resource: Resource | undefined): boolean {
  return resource !== undefined && (resource.usesRoles || resource.claims.includes('roles'))
}

/**
 * A client is in memory, and is dropped there when the revocation list names it or its role: so it is right as of the last
 * look into the list. No statement, while that is done twice a second.
 */
export function rolesOfClient(ctx: Context, clientId: string): ReadRoles {
  return async (from = new Date(ctx.clock.now().getTime() - mostBehind)) => {
    if (ctx.revocations.readAt() < from) await ctx.revocations.refresh()
    // Before the client is found: one that is being read may be dropped in between.
    const asOf = ctx.revocations.readAt()
    const client = await ctx.clients.find(clientId)
    return { roles: client?.roles ?? [], asOf }
  }
}

/** @param known as they were read with the grant */
export function rolesOfUser(ctx: Context, userId: string, known: KnownRoles): ReadRoles {
  return async (from) => {
    if (!from) return known
    const asOf = ctx.clock.now()
    return { roles: await roles.heldBy(ctx.db, { kind: 'user', holder: userId }), asOf }
  }
}
