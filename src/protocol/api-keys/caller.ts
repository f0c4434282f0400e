import type { FastifyRequest } from 'fastify'
import type { By } from '../../audit/index.js'
import type { Context } from '../../context.js'
import { originOf, ProblemError } from '../../http/index.js'
import { apiKeysScope, InsufficientScopeError, InvalidTokenError } from '../../oauth/index.js'
import { isLetIn } from '../../platform/network.js'
import { type ApiKey, type ApiKeyOwner, users } from '../../store/index.js'
import { authorizeBearer, hasEnded } from '../bearer.js'

/** Who asks for something about API keys. */
export interface Caller {
  /** Whose keys are theirs. */
  readonly owner: ApiKeyOwner
  /** The client that the token was given to. */
  readonly clientId: string
  /** May see and change everybody's: an administrator, by an application of the operator's own. */
  readonly admin: boolean
  /**
   * What keys may hold that come from this token: an application that somebody allowed to manage keys must not get by a key
   * what it could not ask for itself. Undefined: whatever the key's owner may, for the operator's own applications and for
   * clients that act for themselves.
   */
  readonly reach: ReadonlySet<string> | undefined
  readonly by: By
}

/**
 * Exact: what was ended by anybody who was answered 200 opens nothing any more.
 *
 * @throws what `authorizeBearer` throws
 * @throws {ProblemError} 403 for a token of a user who may not be where it comes from
 */
export async function authorizeCaller(ctx: Context, request: FastifyRequest): Promise<Caller> {
  const token = await authorizeBearer(ctx, request, apiKeysScope)
  await ctx.revocations.refresh()
  const { client_id: clientId, sub, grant_id: grantId } = token.claims
  const client = await ctx.clients.find(clientId)
  if (hasEnded(ctx, token) || !client || client.disabledAt) throw ended()
  const origin = originOf(request)
  if (grantId === undefined) {
    // Whatever acts for somebody else without their consent is for APIs.
    if (sub !== clientId) throw notForKeys()
    const by = { actor: `client:${clientId}`, origin }
    return { owner: { kind: 'client', id: clientId }, clientId, admin: false, reach: undefined, by }
  }
  const user = await users.findById(ctx.db, sub)
  if (!user || user.disabledAt) throw ended()
  if (!isLetIn(origin.ip, user.allowedNetworks)) {
    const event = { actor: `user:${sub}`, clientId, subject: sub, reason: 'account_network', ip: origin.ip }
    ctx.audit.count({ type: 'api_keys.refused', ...event })
    const error = isElsewhere()
    ctx.audit.told(error)
    throw error
  }
  return {
    owner: { kind: 'user', id: user.id },
    clientId,
    admin: user.admin && client.firstParty,
    reach: client.firstParty ? undefined : new Set(client.scope),
    by: { actor: `user:${user.id}`, origin },
  }
}

/** Whether there is such a key for this caller: somebody else's is one that there is not. */
export function maySee(caller: Caller, key: Pick<ApiKey, 'owner'>): boolean {
  return caller.admin || isOwn(caller, key.owner)
}

export function isOwn({ owner }: Caller, { kind, id }: ApiKeyOwner): boolean {
  return owner.kind === kind && owner.id === id
}

function ended(): InvalidTokenError {
  return new InvalidTokenError('The access token is unknown, expired, revoked or meant for somebody else.', {
    reason: 'token_ended',
  })
}

function isElsewhere(): ProblemError {
  const options = { status: 403, kind: 'forbidden', reason: 'account_network' }
  return new ProblemError('The user may not manage keys from this network.', options)
}

function notForKeys(): InsufficientScopeError {
  return new InsufficientScopeError('The access token is of neither a user nor the client itself.', {
    reason: 'token_of_another',
    scope: apiKeysScope,
  })
}
