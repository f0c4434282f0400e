import { InvalidValueError } from '../platform/administration-errors.js'
import { plainText } from '../platform/plain-text.js'
import type { User, UserProfile } from '../store/index.js'

/** Which claims a scope asks for. OIDC Core §5.4. */
export const claimsOfScope: Readonly<Record<string, readonly string[]>> = {
  profile: [
    ...['name', 'family_name', 'given_name', 'middle_name', 'nickname', 'preferred_username', 'profile', 'picture'],
    ...['website', 'gender', 'birthdate', 'zoneinfo', 'locale', 'updated_at'],
  ],
  email: ['email', 'email_verified'],
  address: ['address'],
  phone: ['phone_number', 'phone_number_verified'],
}

/** By which scope a user allows that a claim is told; undefined: it is none of a user. */
export function scopeOfClaim(name: string): string | undefined {
  return Object.entries(claimsOfScope).find(([, names]) => names.includes(name))?.[0]
}

/** All that can be said of a user besides `sub`. OIDC Core §5.1. */
export const userClaimNames: readonly string[] = Object.values(claimsOfScope).flat()

/** What of a user is told. */
export type KnownUser = Pick<User, 'email' | 'name' | 'profile' | 'emailVerifiedAt' | 'updatedAt'>

/** The claims of these names that there are. OIDC Core §5.3.2: one without a value is left out. */
export function claimsAbout(user: KnownUser, names: Iterable<string>): Record<string, unknown> {
  const claims: Record<string, unknown> = {}
  for (const name of names) {
    const value = claimAbout(user, name)
    if (value !== undefined) claims[name] = value
  }
  return claims
}

function claimAbout(user: KnownUser, name: string): unknown {
  switch (name) {
    case 'name':
      return user.name
    case 'email':
      return user.email
    case 'email_verified':
      return user.emailVerifiedAt !== undefined
    case 'updated_at':
      return Math.floor(user.updatedAt.getTime() / 1000)
    default:
      return user.profile && Object.hasOwn(user.profile, name) ? user.profile[name] : undefined
  }
}

const ownColumns = ['name', 'email', 'email_verified', 'updated_at']

/** Members of `address`. OIDC Core §5.1.1. */
const addressParts = ['formatted', 'street_address', 'locality', 'region', 'postal_code', 'country']

const urls: readonly string[] = ['profile', 'picture', 'website']
const longestValue = 1_000

/**
 * The standard claims of a user, by their names, without `name` and `email`.
 *
 * @throws {InvalidValueError} for a name that is none, and a value that is not of its form
 */
export function readProfile(input: Readonly<Record<string, unknown>>): UserProfile {
  return Object.fromEntries(Object.entries(input).map(([name, value]) => [name, readClaim(name, value)]))
}

function readClaim(name: string, value: unknown): unknown {
  if (!userClaimNames.includes(name) || ownColumns.includes(name)) {
    const known = userClaimNames.filter((each) => !ownColumns.includes(each))
    throw new InvalidValueError(`The profile has a member that is none of ${known.join(', ')}.`)
  }
  if (name === 'phone_number_verified') {
    if (typeof value === 'boolean') return value
    throw new InvalidValueError('phone_number_verified is not true or false.')
  }
  if (name === 'address') return readAddress(value)
  const text = readText(name, value)
  // What a page of a client's may show as a link or an image (attack 127).
  if (urls.includes(name) && !/^https?:\/\//.test(text)) throw new InvalidValueError(`${name} is not a URL.`)
  if (name === 'birthdate' && !/^(?:\d{4}|\d{4}-\d{2}-\d{2})$/.test(text)) {
    throw new InvalidValueError('birthdate is not YYYY-MM-DD or YYYY.')
  }
  return text
}

function readAddress(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidValueError('address is not an object.')
  }
  return Object.fromEntries(
    Object.entries(value).map(([part, text]) => {
      if (!addressParts.includes(part)) throw new InvalidValueError(`address has none but ${addressParts.join(', ')}.`)
      // Its lines.
      const lines = String(text).split(/\r?\n/)
      return [part, lines.map((line) => readText(`address.${part}`, line)).join('\n')]
    }),
  )
}

function readText(name: string, value: unknown): string {
  const text = typeof value === 'string' ? plainText(value, longestValue) : undefined
  if (text !== undefined) return text
  throw new InvalidValueError(`${name} is not a text of 1 to ${longestValue} visible characters.`)
}
