import type { Context } from '../context.js'
import { InvalidScopeError, selectResource, wellKnownScopes } from '../oauth/index.js'
import type { StoredClient } from '../store/index.js'

type Scopes = Pick<StoredClient, 'scope' | 'defaultScope' | 'allowedResources'>

/**
 * The scope of a request that names none (RFC 6749 §3.3): what was registered as `default_scope`; where nothing was, all
 * that the client is registered for, if that is of one resource. Left out is what no resource owns (yet), and of what was
 * not chosen as a default, `offline_access`: access while the user is away is asked for, not assumed.
 */
export function defaultScopeOf(ctx: Pick<Context, 'resources'>, client: Scopes): readonly string[] {
  const chosen = known(ctx, client, client.defaultScope)
  if (client.defaultScope.length > 0) return chosen
  const all = known(ctx, client, client.scope).filter((name) => name !== 'offline_access')
  return spansOneResource(ctx, client, all) ? all : []
}

/** Whether a token can have all of the scopes without the client naming a resource. */
export function spansOneResource(ctx: Pick<Context, 'resources'>, client: Scopes, scope: readonly string[]): boolean {
  try {
    selectResource({ scope: known(ctx, client, scope), ownersOf: ownersFor(ctx, client), requested: [] })
    return true
  } catch (error) {
    if (error instanceof InvalidScopeError) return false
    throw error
  }
}

function known(ctx: Pick<Context, 'resources'>, client: Scopes, scope: readonly string[]): readonly string[] {
  const ownersOf = ownersFor(ctx, client)
  return scope.filter((name) => wellKnownScopes.has(name) || ownersOf(name).length > 0)
}

/** The resources that own a scope, of those that this client may reach. */
function ownersFor(ctx: Pick<Context, 'resources'>, { allowedResources }: Scopes) {
  return (name: string): readonly string[] => {
    const owners = ctx.resources.ownersOf(name)
    return allowedResources.length === 0 ? owners : owners.filter((owner) => allowedResources.includes(owner))
  }
}
