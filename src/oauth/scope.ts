import { InvalidScopeError } from './errors.js'

/**
 * The scopes that every server knows without a resource, and the sentence that the consent page shows for each.
 * OIDC Core §5.4, §11. A map, so that a scope called `constructor` is not found in it.
 */
export const wellKnownScopes: ReadonlyMap<string, string> = new Map([
  ['openid', 'Confirm who you are.'],
  ['profile', 'See your name and the other details of your profile.'],
  ['email', 'See your e-mail address.'],
  ['address', 'See your postal address.'],
  ['phone', 'See your phone number.'],
  ['offline_access', 'Keep this access while you are signed out.'],
  ['api_keys', 'See, make, change and end API keys that act for you.'],
  ['leaks', 'Report API keys that were found in public.'],
])

/** Opens `/api-keys`: well known, and a client can have it for itself. */
export const apiKeysScope = 'api_keys'

/** Opens `/leaks`, for clients that act for themselves alone. */
export const leaksScope = 'leaks'

/** Whether a scope is about a person, so that there is none of it without one. */
export function concernsUser(name: string): boolean {
  return wellKnownScopes.has(name) && name !== apiKeysScope && name !== leaksScope
}

/** A scope of this server itself, for the clients of resource servers: to follow the revocation feed. */
export const revocationsScope = 'revocations'

/** `scope-token` and the space between two. RFC 6749 §3.3. */
const scopeCharacters = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/**
 * Splits a scope at its single spaces, without duplicates and in the order given. The empty text is the empty scope.
 * RFC 6749 §3.3.
 *
 * @throws {InvalidScopeError} for a character outside the section's, or for a space too many (attack 29)
 */
export function parseScope(text: string): readonly string[] {
  if (text === '') return []
  const scope = text.split(' ')
  if (!scopeCharacters.test(text) || scope.includes('')) {
    throw new InvalidScopeError('The scope is not a list of names, each separated from the next by one space.', {
      reason: 'scope_malformed',
    })
  }
  return scope.length === 1 ? scope : [...new Set(scope)]
}

/** The inverse of `parseScope`. RFC 6749 §3.3. */
export function formatScope(scope: readonly string[]): string {
  return scope.join(' ')
}

/** The scopes that are in both, in the order of the first. */
export function intersect(scope: readonly string[], other: readonly string[]): readonly string[] {
  const others = new Set(other)
  return scope.filter((name) => others.has(name))
}

/** Whether `whole` has every scope that `part` has. */
export function isSubset(part: readonly string[], whole: readonly string[]): boolean {
  const all = new Set(whole)
  return part.every((name) => all.has(name))
}
