import type { HeldRole, Resource } from '../store/index.js'

/**
 * Of the scopes, those that the holder may have at the resource: all of them where it does not use roles. A scope that
 * the resource does not own (such as `openid`) needs no role.
 */
export function allowedByRoles(
  resource: Resource | undefined,
  scope: readonly string[],
  roles: readonly HeldRole[],
): readonly string[] {
  if (!resource?.usesRoles) return scope
  const owned = new Set(resource.scopes.map(({ name }) => name))
  const held = new Set(roles.filter((role) => role.resource === resource.identifier).flatMap((role) => role.scope))
  return scope.filter((name) => !owned.has(name) || held.has(name))
}
