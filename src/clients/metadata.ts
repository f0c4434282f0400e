import {
  type ApplicationType,
  checkImplicitRedirectUri,
  checkRedirectUri,
  formatScope,
  InvalidClientMetadataError,
  implicitGrantType,
  isSubset,
  parseResponseType,
  responseTypesAgree,
  responseTypesOf,
} from '../oauth/index.js'
import { nearest } from '../platform/config/edit-distance.js'
import { readClientKey } from './keys/index.js'
import {
  allowedNetworks,
  allowedOrigins,
  allowedResources,
  type ClientJwks,
  contacts,
  displayText,
  fetchableUri,
  flag,
  invalid,
  jwks,
  link,
  list,
  listOf,
  oneOf,
  type SupportedAddresses,
  scope,
  seconds,
  text,
  type WireMetadata,
} from './metadata-fields.js'
import { checkOpenIdConsistency, type OpenIdMetadata, openIdWireNames, readOpenIdMetadata } from './openid-metadata.js'

export type { ClientJwks } from './metadata-fields.js'

/** What is registered about a client: RFC 7591 §2, and ours. Lists that were not given are empty. */
export type ClientMetadata = OpenIdMetadata & {
  /** Undefined where the client did not bring one: the server draws it. */
  readonly clientId?: string
  /** Brought along in plain text. It is in no metadata that was stored. */
  readonly clientSecret?: string
  readonly clientName?: string
  readonly clientUri?: string
  readonly logoUri?: string
  readonly policyUri?: string
  readonly tosUri?: string
  readonly contacts: readonly string[]
  readonly redirectUris: readonly string[]
  readonly grantTypes: readonly string[]
  readonly responseTypes: readonly string[]
  readonly tokenEndpointAuthMethod: string
  readonly applicationType: ApplicationType
  readonly scope: readonly string[]
  /** Granted where a request names none. */
  readonly defaultScope: readonly string[]
  /** What the user cannot untick on the consent page. */
  readonly requiredScope: readonly string[]
  readonly jwks?: ClientJwks
  readonly jwksUri?: string
  readonly requirePkce: boolean
  /** An administrator's word that this client is ours: it needs no consent. */
  readonly firstParty: boolean
  /** Where a browser may call /token from. */
  readonly allowedOrigins: readonly string[]
  /** Identifiers. Empty: any resource. */
  readonly allowedResources: readonly string[]
  /** In CIDR notation: where it may prove itself from. Empty: anywhere. */
  readonly allowedNetworks: readonly string[]
  /** Seconds. Undefined: the resource's, or the server's. */
  readonly accessTokenLifetime?: number
  /** Seconds without use. Undefined: the server's. */
  readonly refreshTokenIdleLifetime?: number
  /** Seconds since the grant, rotated or not. Undefined: the server's. */
  readonly refreshTokenLifetime?: number
  readonly refreshTokenRotation: boolean
  /** Seconds in which a repeated refresh gets the same answer. */
  readonly refreshTokenRetryWindow: number
  readonly softwareId?: string
  readonly softwareVersion?: string
  /** The limit on its requests. Undefined: none. */
  readonly rateTier?: string
}

/** What this server has, taken from the lists that it also works by. */
export type SupportedMetadata = {
  readonly grantTypes: readonly string[]
  readonly authenticationMethods: readonly string[]
  readonly addresses: SupportedAddresses
}

const day = 24 * 60 * 60

/** Name on the wire → name here, in the order in which metadata is shown. */
const wireNames = {
  client_id: 'clientId',
  client_secret: 'clientSecret',
  client_name: 'clientName',
  client_uri: 'clientUri',
  logo_uri: 'logoUri',
  policy_uri: 'policyUri',
  tos_uri: 'tosUri',
  contacts: 'contacts',
  application_type: 'applicationType',
  redirect_uris: 'redirectUris',
  grant_types: 'grantTypes',
  response_types: 'responseTypes',
  token_endpoint_auth_method: 'tokenEndpointAuthMethod',
  scope: 'scope',
  default_scope: 'defaultScope',
  required_scope: 'requiredScope',
  jwks: 'jwks',
  jwks_uri: 'jwksUri',
  require_pkce: 'requirePkce',
  first_party: 'firstParty',
  allowed_origins: 'allowedOrigins',
  allowed_resources: 'allowedResources',
  allowed_networks: 'allowedNetworks',
  access_token_lifetime: 'accessTokenLifetime',
  refresh_token_idle_lifetime: 'refreshTokenIdleLifetime',
  refresh_token_lifetime: 'refreshTokenLifetime',
  refresh_token_rotation: 'refreshTokenRotation',
  refresh_token_retry_window: 'refreshTokenRetryWindow',
  software_id: 'softwareId',
  software_version: 'softwareVersion',
  rate_tier: 'rateTier',
  ...openIdWireNames,
} as const satisfies Record<string, keyof ClientMetadata>

/** All names that client metadata may have, as a client writes them. */
export const clientMetadataNames = Object.keys(wireNames)

/** Those that are shown even if empty, since that is not what leaving them out means. RFC 7591 §2. */
const shownEmpty: ReadonlySet<string> = new Set(['grant_types', 'response_types'])

/** Those whose value is a scope: text with spaces on the wire, a list here. RFC 7591 §2. */
const scopeNames: ReadonlySet<string> = new Set(['scope', 'default_scope', 'required_scope'])

/** What only this server sets. Named, so that who sends one learns that it was not merely misspelt (attack 94). */
const serverOwned: ReadonlySet<string> = new Set([
  'client_id_issued_at',
  'client_secret_expires_at',
  'created_at',
  'disabled_at',
  'last_used_at',
  'not_before',
  'registration_access_token',
  'registration_client_uri',
  'secrets',
  'updated_at',
])

/** A client on the user's device, or one without a secret: it cannot prove who it is. RFC 6749 §2.1, RFC 8252 §8.4. */
export function isPublicClient({
  applicationType,
  tokenEndpointAuthMethod,
}: Pick<ClientMetadata, 'applicationType' | 'tokenEndpointAuthMethod'>): boolean {
  return applicationType === 'native' || tokenEndpointAuthMethod === 'none'
}

/**
 * Reads client metadata in the names of RFC 7591 §2 and ours, fills in the defaults and checks the whole. Nothing is
 * ignored: a client whose setting had no effect would be less safe than its owner believes. `null` is the same as not
 * given.
 *
 * Whether scopes and resources exist is asked elsewhere, and so is the strength of a secret that was brought along.
 *
 * @throws {InvalidRedirectUriError} for a redirect URI that may not be registered
 * @throws {InvalidClientMetadataError} for anything else, with the name of the field
 */
export function readClientMetadata(input: unknown, supported: SupportedMetadata): ClientMetadata {
  const wire = knownFields(input)

  const applicationType = oneOf(wire, 'application_type', ['web', 'native']) ?? 'web'
  const redirectUris = list(wire, 'redirect_uris', 100)
  for (const uri of redirectUris ?? []) checkRedirectUri(uri, applicationType)

  const grantTypes = listOf(wire, 'grant_types', supported.grantTypes) ?? ['authorization_code']

  const metadata: ClientMetadata = {
    clientId: text(wire, 'client_id', {
      maxLength: 255,
      pattern: /^[\x21-\x7e]+$/,
      form: 'printable ASCII, no spaces',
    }),
    clientSecret: text(wire, 'client_secret', { maxLength: 512, pattern: /^[\x20-\x7e]+$/, form: 'printable ASCII' }),
    clientName: displayText(wire, 'client_name', 200),
    clientUri: link(wire, 'client_uri'),
    logoUri: fetchableUri(wire, 'logo_uri', supported.addresses),
    policyUri: link(wire, 'policy_uri'),
    tosUri: link(wire, 'tos_uri'),
    contacts: contacts(wire),
    applicationType,
    redirectUris: redirectUris ?? [],
    grantTypes,
    responseTypes: responseTypes(wire, supported) ?? responseTypesOf(grantTypes),
    tokenEndpointAuthMethod:
      oneOf(wire, 'token_endpoint_auth_method', supported.authenticationMethods) ??
      (applicationType === 'native' ? 'none' : 'client_secret_basic'),
    scope: scope(wire, 'scope'),
    defaultScope: scope(wire, 'default_scope'),
    requiredScope: scope(wire, 'required_scope'),
    jwks: jwks(wire),
    jwksUri: fetchableUri(wire, 'jwks_uri', supported.addresses),
    requirePkce: flag(wire, 'require_pkce') ?? true,
    firstParty: flag(wire, 'first_party') ?? false,
    allowedOrigins: allowedOrigins(wire),
    allowedResources: allowedResources(wire),
    allowedNetworks: allowedNetworks(wire),
    accessTokenLifetime: seconds(wire, 'access_token_lifetime', 60, 3600),
    refreshTokenIdleLifetime: seconds(wire, 'refresh_token_idle_lifetime', 60, 400 * day),
    refreshTokenLifetime: seconds(wire, 'refresh_token_lifetime', 60, 400 * day),
    refreshTokenRotation: flag(wire, 'refresh_token_rotation') ?? true,
    refreshTokenRetryWindow: seconds(wire, 'refresh_token_retry_window', 0, day) ?? 10,
    softwareId: displayText(wire, 'software_id', 200),
    softwareVersion: displayText(wire, 'software_version', 200),
    rateTier: text(wire, 'rate_tier', { maxLength: 64, pattern: /^[a-z0-9._-]+$/, form: 'the name of a tier' }),
    ...readOpenIdMetadata(wire, applicationType, supported.addresses),
  }
  checkConsistency(metadata)
  return metadata
}

/**
 * The same metadata as RFC 7591 JSON: only names that are set, scopes separated by spaces. What comes out may be read
 * again. A client's other members (when it was created, say) are left out.
 */
export function formatClientMetadata(client: ClientMetadata): Record<string, unknown> {
  const wire: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(wireNames)) {
    const value = client[member]
    if (value === undefined || value === null) continue
    if (Array.isArray(value) && value.length === 0 && !shownEmpty.has(name)) continue
    wire[name] = scopeNames.has(name) && Array.isArray(value) ? formatScope(value) : value
  }
  return wire
}

/**
 * Metadata after a change: what the patch names replaces what was, `null` removes it (so that the default holds again),
 * everything else stays. The result is checked as a whole, as if it had been registered just now.
 *
 * @throws what `readClientMetadata` throws, and {InvalidClientMetadataError} for another `client_id` or a
 *   `client_secret`
 */
export function mergeClientMetadata(
  client: ClientMetadata,
  patch: unknown,
  supported: SupportedMetadata,
): ClientMetadata {
  const change = knownFields(patch, 'keep null')
  if ('client_id' in change && change.client_id !== client.clientId) throw invalid('client_id', 'cannot be changed')
  if ('client_secret' in change) throw invalid('client_secret', 'is changed by rotating it')

  const { client_secret: _, ...before } = formatClientMetadata(client)
  // These two say the same thing, or nearly: whoever changes the first should not have to repeat it in the second.
  const { grant_types: grantTypes } = change
  if (
    grantTypes !== undefined &&
    !(Array.isArray(grantTypes) && responseTypesAgree(client.responseTypes, grantTypes))
  ) {
    delete before.response_types
  }
  return readClientMetadata({ ...before, ...change }, supported)
}

/** RFC 7591 §2.1 for grant and response types; the rest as cited. */
function checkConsistency(metadata: ClientMetadata): void {
  const { grantTypes, responseTypes, redirectUris, tokenEndpointAuthMethod: method } = metadata
  const startsWithCode = grantTypes.includes('authorization_code')

  if (startsWithCode && redirectUris.length === 0) {
    throw invalid(
      'redirect_uris',
      'is missing: a client with the grant type authorization_code, which is the default, needs one at least',
    )
  }
  if (startsWithCode !== responseTypes.includes('code')) {
    throw invalid('response_types', 'has code if, and only if, grant_types has authorization_code')
  }
  if (!responseTypesAgree(responseTypes, grantTypes)) {
    throw invalid('response_types', 'has id_token or id_token token if, and only if, grant_types has implicit')
  }
  if (grantTypes.includes(implicitGrantType)) checkImplicit(metadata)
  if (grantTypes.includes('refresh_token') && !startsWithCode) {
    throw invalid(
      'grant_types',
      'has refresh_token without authorization_code, which is where the first one comes from',
    )
  }

  if (metadata.clientSecret !== undefined && !method.startsWith('client_secret_')) {
    throw invalid('client_secret', `has no use with the authentication method ${method}`)
  }
  if (metadata.jwks && metadata.jwksUri !== undefined) throw invalid('jwks', 'and jwks_uri exclude each other')
  if (method === 'private_key_jwt' && !metadata.jwks && metadata.jwksUri === undefined) {
    throw invalid('jwks', 'or jwks_uri is needed by private_key_jwt')
  }
  const problems = metadata.jwks?.keys.map(readClientKey) ?? []
  if (method === 'private_key_jwt' && problems.length > 0 && problems.every((each) => typeof each === 'string')) {
    throw invalid('jwks', `has no key that signatures could be verified by: ${problems.join('; ')}`)
  }
  checkOpenIdConsistency(metadata)

  if (isPublicClient(metadata)) {
    // RFC 6749 §4.4.
    if (grantTypes.includes('client_credentials')) {
      throw invalid('grant_types', 'has client_credentials, which is for confidential clients')
    }
    // RFC 9700 §2.1.1.
    if (!metadata.requirePkce) throw invalid('require_pkce', 'may be false for confidential clients only')
    // RFC 9700 §4.14.2.
    if (!metadata.refreshTokenRotation) {
      throw invalid('refresh_token_rotation', 'may be false for confidential clients only')
    }
  }

  for (const [name, part] of [
    ['default_scope', metadata.defaultScope],
    ['required_scope', metadata.requiredScope],
  ] as const) {
    if (!isSubset(part, metadata.scope)) throw invalid(name, 'has a scope that is not in scope')
  }

  const { refreshTokenIdleLifetime: idle, refreshTokenLifetime: absolute } = metadata
  if (idle !== undefined && absolute !== undefined && idle > absolute) {
    throw invalid('refresh_token_idle_lifetime', 'is longer than refresh_token_lifetime')
  }
}

/**
 * Whoever reads the address of the answer has the tokens. So it leads to a host that others cannot be in place of. OIDC
 * Registration §2.
 */
function checkImplicit({ redirectUris, applicationType }: ClientMetadata): void {
  if (redirectUris.length === 0) throw invalid('redirect_uris', 'is missing: the grant type implicit needs one')
  // Whatever app took the address would have them, and there is no PKCE: RFC 8252 §8.2.
  if (applicationType === 'native') throw invalid('grant_types', 'has implicit, which is for web applications')
  for (const uri of redirectUris) checkImplicitRedirectUri(uri)
}

/** Each in the order of words that we write. */
function responseTypes(wire: WireMetadata, { grantTypes }: SupportedMetadata): readonly string[] | undefined {
  const given = list(wire, 'response_types', 20)
  if (given === undefined) return undefined
  const inOrder = given.map((responseType) => parseResponseType(responseType) ?? responseType)
  return listOf({ response_types: inOrder }, 'response_types', responseTypesOf(grantTypes))
}

/** The fields of an object, if all have names that we know (attack 94). */
function knownFields(input: unknown, nulls: 'drop null' | 'keep null' = 'drop null'): WireMetadata {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidClientMetadataError('Client metadata is a JSON object.', { reason: 'metadata_not_an_object' })
  }
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(input)) {
    if (serverOwned.has(name)) throw invalid(name, 'is set by the server')
    if (!Object.hasOwn(wireNames, name)) throw unknownName(name)
    if (value !== undefined && (value !== null || nulls === 'keep null')) fields[name] = value
  }
  return fields
}

function unknownName(name: string): InvalidClientMetadataError {
  // What looks like no name of anything is neither compared nor shown: the message may end up in a terminal.
  if (!/^[A-Za-z0-9_.#-]{1,64}$/.test(name)) return unknown('A field of the metadata is unknown.')
  const { name: suggestion, distance } = nearest(name, clientMetadataNames)
  return unknown(distance === 1 ? `${name} is unknown. Did you mean ${suggestion}?` : `${name} is unknown.`)
}

function unknown(message: string): InvalidClientMetadataError {
  return new InvalidClientMetadataError(message, { reason: 'metadata_unknown' })
}
