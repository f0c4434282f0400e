import type { AccessToken } from './access-token.js'
import { checkLimits, type Limit } from './limits/count-request.js'
import type { RequirementProblem } from './problems.js'

/** What a route wants of a token, beyond that it is good. */
export interface Requirement {
  /** All of them. */
  readonly scopes?: readonly string[]
  /** All of them; the resource's `claims` must have `roles`. */
  readonly roles?: readonly string[]
  /** How the user was authenticated: any of them. RFC 9470 §4. */
  readonly acrValues?: readonly string[]
  /** Seconds since then, at most. RFC 9470 §4. */
  readonly maxAge?: number
  /** On requests: each must allow it, besides those of `protect`. They need `credentials`. */
  readonly limits?: readonly Limit[]
}

/**
 * @returns the requirement itself
 * @throws {TypeError} where it says what could not stand in a challenge
 */
export function checkedRequirement(requirement: Requirement): Requirement {
  const { scopes = [], roles = [], acrValues = [], maxAge } = requirement
  for (const scope of scopes) if (!isScopeToken(scope)) throw new TypeError(`${JSON.stringify(scope)} is no scope`)
  for (const acr of acrValues) if (!isScopeToken(acr)) throw new TypeError(`${JSON.stringify(acr)} is no acr value`)
  for (const role of roles) if (typeof role !== 'string' || role === '') throw new TypeError('a role has no name')
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0)) {
    throw new TypeError('maxAge is a whole number of seconds')
  }
  checkLimits(requirement.limits ?? [])
  return requirement
}

/** `scope-token`, RFC 6749 §3.3: printable, without space, quotation mark and backslash. */
function isScopeToken(text: unknown): boolean {
  return typeof text === 'string' && /^[!#-[\]-~]+$/.test(text)
}

/**
 * Scopes and roles come first: what a user may not do, no new login gives them.
 *
 * @param now seconds since 1970
 */
export function problemOfRequirement(
  { scope, roles, claims }: AccessToken,
  required: Requirement,
  now: number,
): RequirementProblem | undefined {
  if (required.scopes && !required.scopes.every((each) => scope.includes(each))) return 'scope_missing'
  if (required.roles && !required.roles.every((each) => roles.includes(each))) return 'role_missing'
  const { acr, auth_time } = claims
  if (required.acrValues && !(typeof acr === 'string' && required.acrValues.includes(acr))) {
    return 'authentication_insufficient'
  }
  // What does not say when it was, was too long ago.
  if (required.maxAge !== undefined && !(typeof auth_time === 'number' && now - auth_time <= required.maxAge)) {
    return 'authentication_insufficient'
  }
  return undefined
}
