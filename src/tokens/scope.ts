import type { Client } from '../clients/index.js'
import type { Context } from '../context.js'
import {
  InvalidScopeError,
  InvalidTargetError,
  isSubset,
  narrowScope,
  parseResources,
  parseScope,
  revocationsScope,
  selectResource,
  wellKnownScopes,
} from '../oauth/index.js'
import { allowedByRoles, type Resource } from '../resources/index.js'
import type { HeldRole } from '../store/index.js'

/** What a client asks for, at /authorize or /token. */
export interface Asked {
  /** The parameter; undefined: the client's default. */
  readonly scope: string | undefined
  /** The parameters. RFC 8707 §2. */
  readonly resources: readonly string[]
}

/**
 * The scopes asked for, each one registered for the client; without the parameter its default.
 *
 * @throws {InvalidScopeError} for a scope that is not registered. RFC 6749 §3.3
 */
export function askedScope(ctx: Context, client: Client, { scope, resources }: Asked): readonly string[] {
  if (scope === undefined) return defaultScope(ownersFor(ctx, client), client, resources)
  const asked = parseScope(scope)
  if (!isSubset(asked, client.scope)) {
    throw new InvalidScopeError('The client is not registered for one of the scopes.', {
      reason: 'scope_not_registered',
    })
  }
  return asked
}

/**
 * The resources asked for, each one known and allowed to the client.
 *
 * @throws {InvalidTargetError} RFC 8707 §2
 */
export function askedResources(ctx: Context, client: Client, list: readonly string[]): readonly string[] {
  // One that is known was parsed when it was registered.
  const isKnown = list.length === 1 && ctx.resources.find(list[0]!) !== undefined
  const resources = isKnown ? list : parseResources(list)
  for (const identifier of resources) requireReachable(ctx, client, identifier)
  return resources
}

/**
 * What a request without `scope` asks for. RFC 6749 §3.3. Of the registered default, what no resource owns (any more) and
 * what belongs to other resources than those named is left out. A client without one asks for what it is registered for
 * at one resource; what concerns the person (`openid`, `email`, …) is never asked for unless somebody said so.
 */
function defaultScope(
  ownersOf: (scope: string) => readonly string[],
  { defaultScope: registered, scope }: Client,
  resources: readonly string[],
): readonly string[] {
  if (registered.length > 0) return knownScope(ownersOf, registered, resources)
  const known = knownScope(ownersOf, scope, resources).filter((name) => !wellKnownScopes.has(name))
  if (resources.length > 0) return known
  const [first = [], ...others] = known.map(ownersOf)
  const shared = others.reduce((left, owners) => left.filter((owner) => owners.includes(owner)), first)
  return shared.length === 1 ? known : []
}

/** What of a scope still exists: well known, or owned by one of the resources (by any, where none is named). */
export function knownScope(
  ownersOf: (scope: string) => readonly string[],
  scope: readonly string[],
  resources: readonly string[],
): readonly string[] {
  return scope.filter((name) => {
    const owners = ownersOf(name)
    if (owners.length === 0) return wellKnownScopes.has(name)
    return resources.length === 0 || owners.some((owner) => resources.includes(owner))
  })
}

/** Which resources own a scope, of those that this client may reach. */
export function ownersFor(ctx: Context, client: Client): (scope: string) => readonly string[] {
  const { allowedResources } = client
  if (allowedResources.length === 0) return ctx.resources.ownersOf
  return (scope) => ctx.resources.ownersOf(scope).filter((identifier) => allowedResources.includes(identifier))
}

/**
 * Whether the client of a resource server asks for what is this server's own, and nobody registers: the token is for us.
 * What else has the name `revocations` is a resource's, and is asked for by its resource.
 */
export function asksForOwnScope(client: Client, scope: unknown, resource: unknown): boolean {
  return client.resourceServerOf !== undefined && scope === revocationsScope && resource === undefined
}

export interface TokenScope {
  /** Undefined: the token is for this server itself. */
  readonly resource: Resource | undefined
  readonly scope: readonly string[]
}

/**
 * The one resource that a token is for, and its scopes there, whatever roles its holder has.
 *
 * @throws {InvalidScopeError} when they leave open which resource is meant
 * @throws {InvalidTargetError} RFC 8707 §2
 */
export function scopeForToken(
  ctx: Context,
  client: Client,
  asked: { readonly scope: readonly string[]; readonly resources: readonly string[] },
): TokenScope {
  const ownersOf = ownersFor(ctx, client)
  const selected = selectResource({ scope: asked.scope, ownersOf, requested: asked.resources })
  requireScopeOf(ownersOf, asked.resources, selected.scope)
  const resource = selected.resource === undefined ? undefined : requireReachable(ctx, client, selected.resource)
  return { resource, scope: selected.scope }
}

/**
 * Of these scopes those that the roles allow.
 *
 * @throws {InvalidScopeError} when none is left
 */
export function allowedScope({ resource, scope }: TokenScope, roles: readonly HeldRole[]): readonly string[] {
  const allowed = allowedByRoles(resource, scope, roles)
  if (allowed.length > 0 || scope.length === 0) return allowed
  throw new InvalidScopeError('None of the scopes is allowed.', { reason: 'scope_not_allowed_by_role' })
}

/** What an authorization request may span: the resources that its scopes belong to. RFC 8707 §2.1. */
export function scopeForGrant(
  ctx: Context,
  client: Client,
  asked: Asked,
): { scope: readonly string[]; resources: readonly string[] } {
  const resources = askedResources(ctx, client, asked.resources)
  const scope = askedScope(ctx, client, { scope: asked.scope, resources })
  const ownersOf = ownersFor(ctx, client)
  if (resources.length > 0) {
    const narrowed = narrowScope({ scope, ownersOf, requested: resources })
    requireScopeOf(ownersOf, resources, narrowed)
    return { scope: narrowed, resources }
  }
  const selected = selectResource({ scope, ownersOf, requested: [] })
  return { scope: selected.scope, resources: selected.resource === undefined ? [] : [selected.resource] }
}

/**
 * A token is for an API only where something is allowed there: else `openid` alone would open each that asks for no scope, and
 * nobody would have been asked. RFC 8707 §2, RFC 9700 §2.3.
 *
 * @throws {InvalidTargetError}
 */
function requireScopeOf(
  ownersOf: (scope: string) => readonly string[],
  resources: readonly string[],
  scope: readonly string[],
): void {
  const owners = new Set(scope.flatMap(ownersOf))
  if (resources.every((identifier) => owners.has(identifier))) return
  throw new InvalidTargetError('None of the scopes is one of the resource.', { reason: 'resource_without_scope' })
}

function requireReachable(ctx: Context, client: Client, identifier: string): Resource {
  const resource = ctx.resources.find(identifier)
  const allowed = client.allowedResources.length === 0 || client.allowedResources.includes(identifier)
  if (resource && allowed) return resource
  throw new InvalidTargetError('The resource is unknown, or not one that this client may reach.', {
    reason: resource ? 'resource_not_allowed' : 'resource_unknown',
  })
}
