import {
  type ClientMetadata,
  clientMetadataNames,
  formatClientMetadata,
  isPublicClient,
  readClientMetadata,
  type SupportedMetadata,
} from '../../clients/index.js'
import {
  InvalidClientMetadataError,
  InvalidRedirectUriError,
  InvalidScopeError,
  InvalidSoftwareStatementError,
  implicitGrantType,
  intersect,
  isImplicit,
  parseResponseType,
  parseScope,
  responseTypesOf,
} from '../../oauth/index.js'
import type { RegistrationConfig } from '../../platform/config/registration.js'
import type { StoredClient } from '../../store/index.js'

/** What a client may say of itself: RFC 7591 §2, OIDC Registration §2, RFC 7523, and of logout. */
export const registrable: ReadonlySet<string> = new Set([
  ...['redirect_uris', 'token_endpoint_auth_method', 'grant_types', 'response_types', 'client_name', 'client_uri'],
  ...['logo_uri', 'scope', 'contacts', 'tos_uri', 'policy_uri', 'jwks_uri', 'jwks', 'software_id', 'software_version'],
  ...['application_type', 'sector_identifier_uri', 'subject_type', 'id_token_signed_response_alg'],
  ...['userinfo_signed_response_alg', 'request_object_signing_alg', 'token_endpoint_auth_signing_alg'],
  ...['request_uris'],
  ...['default_max_age', 'require_auth_time', 'default_acr_values', 'initiate_login_uri', 'post_logout_redirect_uris'],
  ...['backchannel_logout_uri', 'backchannel_logout_session_required'],
])

/**
 * What the server or its administrator says of a client. Refused and not ignored: whoever sends one of these learns that it
 * had no effect (attack 94). Every other name that is not known has none either (RFC 7591 §2).
 */
export const serverSet: ReadonlySet<string> = new Set([
  ...['client_id', 'client_secret', 'client_id_issued_at', 'client_secret_expires_at'],
  ...['registration_access_token', 'registration_client_uri', 'created_at', 'updated_at', 'disabled_at'],
  ...['last_used_at', 'not_before', 'secrets', 'roles', 'self_registered', 'unused_until'],
  ...['first_party', 'require_pkce', 'default_scope', 'required_scope', 'allowed_origins', 'allowed_resources'],
  ...['allowed_networks', 'access_token_lifetime', 'refresh_token_idle_lifetime', 'refresh_token_lifetime'],
  ...['refresh_token_rotation', 'refresh_token_retry_window', 'rate_tier', 'client_assertion_audience'],
  ...['__proto__', 'constructor', 'prototype'],
])

/** What an administrator may have set, and a client keeps when it replaces the rest. */
const kept = clientMetadataNames.filter((name) => serverSet.has(name) && !['client_id', 'client_secret'].includes(name))

export interface RegistrationPolicy {
  readonly config: RegistrationConfig
  readonly supported: SupportedMetadata
}

/**
 * Reads what a client wants to register, or to have registered instead: names that nobody knows are ignored, what the policy
 * does not allow is left out where something is left of it, and the answer says what was registered. RFC 7591 §2, §3.2.1.
 *
 * @param before as it is registered: what an administrator added to it stays possible
 * @throws {InvalidRedirectUriError} {InvalidClientMetadataError} {InvalidSoftwareStatementError}
 */
export function readRegistration(
  input: unknown,
  { config, supported }: RegistrationPolicy,
  before?: StoredClient,
): ClientMetadata {
  const asked = registrableFields(input)
  const wire: Record<string, unknown> = {
    // OIDC Registration §2.
    id_token_signed_response_alg: 'RS256',
    ...(before ? keptOf(before) : {}),
    ...asked,
    grant_types: capList(
      asked,
      'grant_types',
      ['authorization_code'],
      intersect(supported.grantTypes, [...config.grantTypes, ...(before?.grantTypes ?? [])]),
    ),
    scope: capScope(asked['scope'], [...config.scopes, ...(before?.scope ?? [])]),
  }
  if (asked['response_types'] !== undefined) wire['response_types'] = capResponseTypes(asked, wire['grant_types'])
  leaveOutUseless(wire)
  const metadata = withPkce(readClientMetadata(withoutBroken(wire), supported), before)
  checkRedirectHosts(metadata, config, before)
  return metadata
}

/** @throws {InvalidClientMetadataError} {InvalidSoftwareStatementError} */
function registrableFields(input: unknown): Readonly<Record<string, unknown>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidClientMetadataError('Client metadata is a JSON object.', { reason: 'metadata_not_an_object' })
  }
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(input)) {
    if (serverSet.has(name)) {
      throw new InvalidClientMetadataError(`${name} is set by the server.`, {
        reason: 'metadata_server_owned',
        field: name,
      })
    }
    // Attack 99, RFC 7591 §3.1.1: nobody is trusted to sign any. Ignored, it would look as if it had been believed.
    if (name === 'software_statement' && value !== null) {
      throw new InvalidSoftwareStatementError('No software statement is accepted here: send the metadata as JSON.', {
        reason: 'software_statement_refused',
        field: name,
      })
    }
    // RFC 9101 §10.5: whoever asks for it relies on it, and unsigned requests are taken here.
    if (name === 'require_signed_request_object' && value === true) {
      throw refused('cannot be had here: unsigned requests are taken, too', name)
    }
    if (registrable.has(name) && value !== null) fields[name] = value
  }
  requireSmall(fields)
  return fields
}

/** What each process keeps of a client: of strangers' there are many, and a directory is bounded by their number. */
const most = { bytes: 16_384, uris: 20, keys: 5 }

function requireSmall(fields: Readonly<Record<string, unknown>>): void {
  if (Buffer.byteLength(JSON.stringify(fields)) > most.bytes) throw refused(`has more than ${most.bytes} bytes`)
  for (const name of ['redirect_uris', 'post_logout_redirect_uris']) {
    const uris = fields[name]
    if (Array.isArray(uris) && uris.length > most.uris) throw refused(`has more than ${most.uris} items`, name)
  }
  const { jwks } = fields
  const keys = typeof jwks === 'object' && jwks !== null && 'keys' in jwks ? jwks.keys : undefined
  if (Array.isArray(keys) && keys.length > most.keys) throw refused(`has more than ${most.keys} keys`, 'jwks')
}

function keptOf(before: StoredClient): Readonly<Record<string, unknown>> {
  const wire = formatClientMetadata(before)
  return Object.fromEntries(kept.flatMap((name) => (wire[name] === undefined ? [] : [[name, wire[name]]])))
}

/** What may be had of the list that is asked for. Where that is nothing, the registration is refused. */
function capList(
  asked: Readonly<Record<string, unknown>>,
  name: string,
  otherwise: readonly string[],
  allowed: readonly string[],
): unknown {
  const value = asked[name] ?? otherwise
  // What is no list is refused by whoever reads it.
  if (!Array.isArray(value)) return value
  const left = value.filter((item) => allowed.includes(item))
  if (left.length > 0) return left
  throw refused('has nothing that a client which registers itself may have', name)
}

/** Those of the implicit flow go with its grant type alone. RFC 7591 §2.1 */
function capResponseTypes(asked: Readonly<Record<string, unknown>>, grantTypes: unknown): unknown {
  const given = asked['response_types']
  const inOrder = (each: unknown) => (typeof each === 'string' ? (parseResponseType(each) ?? each) : each)
  const names = Array.isArray(given) ? given.map(inOrder) : given
  const hasImplicit = Array.isArray(grantTypes) && grantTypes.includes(implicitGrantType)
  const allowed = ['code', ...(hasImplicit ? responseTypesOf([implicitGrantType]) : [])]
  return capList({ response_types: names }, 'response_types', [], allowed)
}

function capScope(asked: unknown, allowed: readonly string[]): unknown {
  if (asked !== undefined && typeof asked !== 'string') return asked
  const names = asked === undefined ? allowed : scopeNames(asked)
  const left = intersect([...new Set(names)], allowed)
  if (left.length === 0 && names.length > 0) {
    throw refused('has nothing that a client which registers itself may ask for', 'scope')
  }
  return left.join(' ')
}

function scopeNames(text: string): readonly string[] {
  try {
    return parseScope(text)
  } catch (error) {
    if (!(error instanceof InvalidScopeError)) throw error
    throw refused('is not scopes separated by single spaces', 'scope')
  }
}

/** What says more of something that is not used, as many libraries send it. */
function leaveOutUseless(wire: Record<string, unknown>): void {
  if (wire['token_endpoint_auth_method'] !== 'private_key_jwt') delete wire['token_endpoint_auth_signing_alg']
  if (wire['backchannel_logout_uri'] === undefined) delete wire['backchannel_logout_session_required']
  // Without response_types it is the code that is meant. RFC 7591 §2
  const { grant_types: grantTypes, response_types: responseTypes = ['code'] } = wire
  if (!Array.isArray(grantTypes) || !Array.isArray(responseTypes) || responseTypes.some(isImplicit)) return
  const others = grantTypes.filter((name) => name !== implicitGrantType)
  if (others.length > 0) wire['grant_types'] = others
}

/** What an administrator set for a client as it was, where it has become another. */
function withoutBroken(wire: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const isPublic = wire['token_endpoint_auth_method'] === 'none' || wire['application_type'] === 'native'
  const { require_pkce, refresh_token_rotation, default_scope, required_scope, ...rest } = wire
  const scope = String(wire['scope'] ?? '').split(' ')
  const within = (part: unknown): string =>
    String(part ?? '')
      .split(' ')
      .filter((name) => name !== '' && scope.includes(name))
      .join(' ')
  return {
    ...rest,
    default_scope: within(default_scope),
    required_scope: within(required_scope),
    ...(isPublic ? {} : { require_pkce, refresh_token_rotation }),
  }
}

/**
 * RFC 9700 §2.1.1: what an administrator decided about this one confidential client. What the policy says of all is not kept
 * here: that of today counts (`needsPkce`).
 */
function withPkce(metadata: ClientMetadata, before?: StoredClient): ClientMetadata {
  return { ...metadata, requirePkce: isPublicClient(metadata) || (before?.requirePkce ?? true) }
}

/** @throws {InvalidRedirectUriError} */
function checkRedirectHosts(metadata: ClientMetadata, { redirectHosts }: RegistrationConfig, before?: StoredClient) {
  if (redirectHosts.length === 0) return
  const known = [...(before?.redirectUris ?? []), ...(before?.postLogoutRedirectUris ?? [])]
  const isAllowed = (uri: string) => known.includes(uri) || redirectHosts.some((allowed) => isAt(new URL(uri), allowed))
  for (const [field, uris] of [
    ['redirect_uris', metadata.redirectUris],
    ['post_logout_redirect_uris', metadata.postLogoutRedirectUris],
  ] as const) {
    if (uris.every(isAllowed)) continue
    throw new InvalidRedirectUriError('The redirect URI is at no host that clients may register here.', {
      reason: 'redirect_host_refused',
      field,
    })
  }
}

function isAt({ protocol, hostname }: URL, allowed: string): boolean {
  if (allowed.endsWith(':')) return protocol === allowed
  if (protocol !== 'https:' && protocol !== 'http:') return false
  return allowed.startsWith('*.') ? hostname.endsWith(allowed.slice(1)) : hostname === allowed
}

/** @param field undefined: the whole of it */
function refused(what: string, field?: string): InvalidClientMetadataError {
  return new InvalidClientMetadataError(`${field ?? 'The metadata'} ${what}.`, { reason: 'registration_policy', field })
}
