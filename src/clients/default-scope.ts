import type { Context } from '../context.js'
import { InvalidScopeError, selectResource, wellKnownScopes } from '../oauth/index.js'
import type { StoredClient } from '../store/index.js'

type Reach = Pick<StoredClient, 'allowedResources'>

/**
 * Whether a token can have all of the scopes without the client naming a resource. Scopes that nobody owns (yet) do not
 * count, nor do resources that the client may not reach.
 */
export function spansOneResource(ctx: Pick<Context, 'resources'>, client: Reach, scope: readonly string[]): boolean {
  try {
    selectResource({ scope: known(ctx, client, scope), ownersOf: ownersFor(ctx, client), requested: [] })
    return true
  } catch (error) {
    if (error instanceof InvalidScopeError) return false
    throw error
  }
}

function known(ctx: Pick<Context, 'resources'>, client: Reach, scope: readonly string[]): readonly string[] {
  const ownersOf = ownersFor(ctx, client)
  return scope.filter((name) => wellKnownScopes.has(name) || ownersOf(name).length > 0)
}

/** The resources that own a scope, of those that this client may reach. */
function ownersFor(ctx: Pick<Context, 'resources'>, { allowedResources }: Reach) {
  return (name: string): readonly string[] => {
    const owners = ctx.resources.ownersOf(name)
    return allowedResources.length === 0 ? owners : owners.filter((owner) => allowedResources.includes(owner))
  }
}
