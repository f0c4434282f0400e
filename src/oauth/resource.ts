import { InvalidScopeError, InvalidTargetError } from './errors.js'
import { wellKnownScopes } from './scope.js'

export type ResourceSelection = {
  /** What is asked for, or was granted and is now narrowed. */
  readonly scope: readonly string[]
  /** The identifiers of the resources that own a scope of this name. Several may. */
  readonly ownersOf: (scope: string) => readonly string[]
  /** What the `resource` parameters named. RFC 8707 §2. */
  readonly requested: readonly string[]
}

export type SelectedResource = {
  /** The audience of the token. Undefined: this server itself. */
  readonly resource: string | undefined
  /** The scopes of that resource, and those that need none. */
  readonly scope: readonly string[]
}

const maxLength = 2048

/** Whether this may name a resource: an absolute URI without a fragment. RFC 8707 §2, RFC 3986 §4.3. */
export function isResourceIdentifier(text: string): boolean {
  return (
    text.length <= maxLength &&
    /^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?[\]@!$&'()*+,;=%-]+$/.test(text) &&
    !/%(?![0-9A-Fa-f]{2})/.test(text) &&
    URL.canParse(text)
  )
}

/**
 * Checks the `resource` parameters and drops duplicates. They are compared as strings, with the registered ones and
 * with each other. RFC 8707 §2.
 *
 * @throws {InvalidTargetError} for one that is not an absolute URI without a fragment
 */
export function parseResources(list: readonly string[]): readonly string[] {
  if (!list.every(isResourceIdentifier)) {
    throw new InvalidTargetError('A resource is not an absolute URI without a fragment.', {
      reason: 'resource_malformed',
    })
  }
  return [...new Set(list)]
}

/**
 * Decides which resource one access token is for. A token has one audience, so that no resource server can use it at
 * another. Without scopes of a resource that is this server; with scopes that one resource owns all of, that one; with
 * scopes of several, the one requested, and the scopes of the others are left out.
 *
 * Whether the requested resource exists, and is one that this client or grant may reach, is the caller's question.
 *
 * @throws {InvalidScopeError} when a scope is neither well known nor anybody's, when the scopes leave open which
 *   resource is meant, or when none of them is the requested one's
 * @throws {InvalidTargetError} when several resources are requested: each token is for one. RFC 8707 §2.2
 */
export function selectResource({ scope, ownersOf, requested }: ResourceSelection): SelectedResource {
  if (requested.length > 1) {
    throw new InvalidTargetError('A token is for one resource: name one by the parameter resource.', {
      reason: 'resource_ambiguous',
    })
  }
  const [named] = requested
  if (named !== undefined) return { resource: named, scope: narrowScope({ scope, ownersOf, requested }) }

  // Of what owns the first scope of a resource, whatever also owns all the others.
  let candidates: readonly string[] | undefined
  for (const name of scope) {
    const owners = ownersOf(name)
    if (isUnowned(name, owners)) continue
    candidates = candidates ? candidates.filter((candidate) => owners.includes(candidate)) : owners
  }
  if (candidates === undefined) return { resource: undefined, scope }
  if (candidates.length === 1) return { resource: candidates[0], scope }
  throw new InvalidScopeError('The scopes do not say which resource is meant: name it by the parameter resource.', {
    reason: 'resource_ambiguous',
  })
}

/**
 * The scopes that belong to the requested resources, and those that belong to none and are well known. An authorization
 * request may name several resources; each token that comes of it is for one. RFC 8707 §2.1, §2.2.
 *
 * @throws {InvalidScopeError} when a scope is neither well known nor anybody's, or when scopes of resources are asked
 *   for and all of them are other resources'
 */
export function narrowScope({ scope, ownersOf, requested }: ResourceSelection): readonly string[] {
  let ofResources = 0
  let ofRequested = 0
  const narrowed = scope.filter((name) => {
    const owners = ownersOf(name)
    if (isUnowned(name, owners)) return true
    ofResources++
    if (!owners.some((owner) => requested.includes(owner))) return false
    ofRequested++
    return true
  })
  if (ofResources > 0 && ofRequested === 0) {
    throw new InvalidScopeError('None of the scopes is one of the requested resource.', {
      reason: 'scope_of_another_resource',
    })
  }
  return narrowed
}

function isUnowned(name: string, owners: readonly string[]): boolean {
  if (owners.length > 0) return false
  if (!wellKnownScopes.has(name)) {
    // The name is scope characters only, and it is what an honest developer needs to see.
    throw new InvalidScopeError(`There is no scope ${name}.`, { reason: 'scope_unknown' })
  }
  return true
}
