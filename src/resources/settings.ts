import { isResourceIdentifier, parseScope, wellKnownScopes } from '../oauth/index.js'
import { InvalidValueError } from '../platform/administration-errors.js'
import { type KeysConfig, keysVariables } from '../platform/config/keys.js'
import { plainText } from '../platform/plain-text.js'
import type { Resource, ResourceScope } from '../store/index.js'

/** What an administrator says about a resource. What is not given keeps its default, or what it was. */
export interface ResourceSettings {
  readonly name?: string | undefined
  readonly tokenFormat?: string | undefined
  /** Seconds. */
  readonly tokenLifetime?: number | undefined
  readonly signingAlg?: string | undefined
  readonly claims?: readonly string[] | undefined
  readonly usesRoles?: boolean | undefined
  readonly acceptsBasic?: boolean | undefined
  /** All of its scopes. */
  readonly scopes?: readonly ResourceScope[] | undefined
}

/** Settings that can be taken back, so that the server's own hold again. */
export type ClearableSetting = 'name' | 'tokenLifetime' | 'signingAlg'

/** Claims that a resource may ask for beyond those of RFC 9068 §2.2. */
export const resourceClaims = ['roles', 'auth_time', 'email', 'name'] as const

export const tokenFormats = ['jwt', 'opaque'] as const

type SigningAlg = KeysConfig['signingAlg']

export const resourceSigningAlgs: readonly SigningAlg[] = keysVariables.properties.signingAlg.anyOf.map(
  ({ const: alg }) => alg,
)

const maxScopes = 500
const maxTextLength = 200

/**
 * The identifier of an API. RFC 8707 §2.
 *
 * @throws {InvalidValueError} for what is no absolute URI without a fragment, or is this server's own name
 */
export function checkIdentifier(identifier: string, issuer: string): void {
  if (!isResourceIdentifier(identifier)) {
    throw new InvalidValueError('The identifier is not an absolute URI without a fragment, as https://api.example.com.')
  }
  if (identifier === issuer) {
    throw new InvalidValueError('The identifier is the issuer: tokens for this server itself are told apart by it.')
  }
}

/** Checks what was given and puts it over what was. @throws {InvalidValueError} */
export function applySettings(
  before: Omit<Resource, 'identifier' | 'clientId' | 'createdAt' | 'updatedAt'>,
  settings: ResourceSettings,
  cleared: readonly ClearableSetting[] = [],
): typeof before & { readonly signingAlg?: SigningAlg | undefined } {
  const { name, tokenFormat, tokenLifetime, signingAlg, claims, usesRoles, acceptsBasic, scopes } = settings
  const kept = <Key extends ClearableSetting>(key: Key) => (cleared.includes(key) ? undefined : before[key])
  return {
    name: name === undefined ? kept('name') : readText(name, 'name'),
    tokenFormat: tokenFormat === undefined ? before.tokenFormat : oneOf(tokenFormat, tokenFormats, 'token format'),
    tokenLifetime: tokenLifetime === undefined ? kept('tokenLifetime') : readLifetime(tokenLifetime, 'token lifetime'),
    signingAlg: oneOfOrNone(signingAlg ?? kept('signingAlg'), resourceSigningAlgs, 'signing algorithm'),
    claims: claims === undefined ? before.claims : [...new Set(claims)].map((c) => oneOf(c, resourceClaims, 'claim')),
    usesRoles: usesRoles ?? before.usesRoles,
    acceptsBasic: acceptsBasic ?? before.acceptsBasic,
    scopes: scopes === undefined ? before.scopes : readScopes(scopes),
  }
}

/** What a resource is before anything is said about it. */
export const newResource = {
  tokenFormat: 'jwt',
  claims: [],
  usesRoles: false,
  acceptsBasic: false,
  scopes: [],
} as const satisfies Partial<Resource>

function readScopes(scopes: readonly ResourceScope[]): readonly ResourceScope[] {
  if (scopes.length > maxScopes) throw new InvalidValueError(`A resource has ${maxScopes} scopes at most.`)
  const names = new Set<string>()
  return scopes.map(({ name, description, tokenLifetime }) => {
    if (name === '' || name.length > maxTextLength || !isScopeName(name)) {
      throw new InvalidValueError(
        `A scope's name is 1 to ${maxTextLength} printable ASCII characters without spaces, " and \\. RFC 6749 §3.3`,
      )
    }
    if (wellKnownScopes.has(name)) {
      throw new InvalidValueError(`The scope ${name} is this server's own. Choose another name, as orders:${name}.`)
    }
    if (names.has(name)) throw new InvalidValueError(`The scope ${name} is given twice.`)
    names.add(name)
    return {
      name,
      description: description === undefined ? undefined : readText(description, `description of the scope ${name}`),
      tokenLifetime:
        tokenLifetime === undefined ? undefined : readLifetime(tokenLifetime, `lifetime of the scope ${name}`),
    }
  })
}

function isScopeName(name: string): boolean {
  try {
    return parseScope(name).length === 1
  } catch {
    return false
  }
}

function readText(value: string, what: string): string {
  const text = plainText(value, maxTextLength)
  if (text === undefined) {
    throw new InvalidValueError(`The ${what} is not a text of 1 to ${maxTextLength} visible characters.`)
  }
  return text
}

function readLifetime(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 60 || value > 3600) {
    throw new InvalidValueError(`The ${what} is not a whole number of seconds from 60 to 3600.`)
  }
  return value
}

function oneOf<T extends string>(value: string, values: readonly T[], what: string): T {
  const found = values.find((candidate) => candidate === value)
  if (found === undefined) throw new InvalidValueError(`The ${what} is not one of ${values.join(', ')}.`)
  return found
}

function oneOfOrNone<T extends string>(value: string | undefined, values: readonly T[], what: string): T | undefined {
  return value === undefined ? undefined : oneOf(value, values, what)
}
