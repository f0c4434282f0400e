import { type ApplicationType, checkRedirectUri, InvalidRedirectUriError } from '../oauth/index.js'
import {
  fetchableUri,
  fetchableUris,
  flag,
  invalid,
  link,
  list,
  oneOf,
  type SupportedAddresses,
  seconds,
  text,
  type WireMetadata,
} from './metadata-fields.js'

/** What is registered of OpenID Connect and RFC 7523. Undefined: the default of the specification. */
export type OpenIdMetadata = {
  readonly subjectType?: 'public' | 'pairwise'
  /** Whose host, and what it lists, are one party to pairwise subjects. OIDC Core §8.1 */
  readonly sectorIdentifierUri?: string
  /** Undefined: RS256. */
  readonly idTokenSignedResponseAlg?: OpenIdSigningAlg
  /** Undefined: UserInfo is plain JSON. */
  readonly userinfoSignedResponseAlg?: OpenIdSigningAlg
  /** Undefined: any that is supported, but `none`. */
  readonly requestObjectSigningAlg?: string
  /** All addresses that its request objects are fetched from; a fragment says nothing. OIDC Core §6.2 */
  readonly requestUris: readonly string[]
  readonly tokenEndpointAuthSigningAlg?: string
  /** Of ours: what `aud` of an assertion may name besides the issuer. Undefined: the server's setting. */
  readonly clientAssertionAudience?: 'issuer' | 'endpoint'
  /** Seconds. */
  readonly defaultMaxAge?: number
  readonly requireAuthTime?: boolean
  readonly defaultAcrValues: readonly string[]
  /** OIDC Core §4. */
  readonly initiateLoginUri?: string
  readonly postLogoutRedirectUris: readonly string[]
  readonly backchannelLogoutUri?: string
  readonly backchannelLogoutSessionRequired?: boolean
}

/** Name on the wire → name here, as in `metadata.ts`. */
export const openIdWireNames = {
  subject_type: 'subjectType',
  sector_identifier_uri: 'sectorIdentifierUri',
  id_token_signed_response_alg: 'idTokenSignedResponseAlg',
  userinfo_signed_response_alg: 'userinfoSignedResponseAlg',
  request_object_signing_alg: 'requestObjectSigningAlg',
  request_uris: 'requestUris',
  token_endpoint_auth_signing_alg: 'tokenEndpointAuthSigningAlg',
  client_assertion_audience: 'clientAssertionAudience',
  default_max_age: 'defaultMaxAge',
  require_auth_time: 'requireAuthTime',
  default_acr_values: 'defaultAcrValues',
  initiate_login_uri: 'initiateLoginUri',
  post_logout_redirect_uris: 'postLogoutRedirectUris',
  backchannel_logout_uri: 'backchannelLogoutUri',
  backchannel_logout_session_required: 'backchannelLogoutSessionRequired',
} as const satisfies Record<string, keyof OpenIdMetadata>

/** By which both sides sign here; the default of an ID token comes first. */
export const openIdSigningAlgs = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const

export type OpenIdSigningAlg = (typeof openIdSigningAlgs)[number]

const longestMaxAge = 400 * 24 * 60 * 60

/** @throws {InvalidClientMetadataError} {InvalidRedirectUriError} */
export function readOpenIdMetadata(
  wire: WireMetadata,
  applicationType: ApplicationType,
  addresses: SupportedAddresses,
): OpenIdMetadata {
  const postLogoutRedirectUris = list(wire, 'post_logout_redirect_uris', 100) ?? []
  // They are compared as redirect URIs are, and as dangerous (attack 12).
  for (const uri of postLogoutRedirectUris) checkPostLogoutRedirectUri(uri, applicationType)
  return {
    subjectType: oneOf(wire, 'subject_type', ['public', 'pairwise']),
    sectorIdentifierUri: fetchableUri(wire, 'sector_identifier_uri', addresses),
    idTokenSignedResponseAlg: oneOf(wire, 'id_token_signed_response_alg', openIdSigningAlgs),
    userinfoSignedResponseAlg: oneOf(wire, 'userinfo_signed_response_alg', openIdSigningAlgs),
    requestObjectSigningAlg: oneOf(wire, 'request_object_signing_alg', [...openIdSigningAlgs, 'none']),
    requestUris: fetchableUris(wire, 'request_uris', addresses),
    tokenEndpointAuthSigningAlg: oneOf(wire, 'token_endpoint_auth_signing_alg', openIdSigningAlgs),
    clientAssertionAudience: oneOf(wire, 'client_assertion_audience', ['issuer', 'endpoint']),
    defaultMaxAge: seconds(wire, 'default_max_age', 0, longestMaxAge),
    requireAuthTime: flag(wire, 'require_auth_time'),
    defaultAcrValues: acrValues(wire),
    initiateLoginUri: link(wire, 'initiate_login_uri'),
    postLogoutRedirectUris,
    backchannelLogoutUri: fetchableUri(wire, 'backchannel_logout_uri', addresses),
    backchannelLogoutSessionRequired: flag(wire, 'backchannel_logout_session_required'),
  }
}

/** What depends on the rest of the registration. @throws {InvalidClientMetadataError} */
export function checkOpenIdConsistency(
  metadata: OpenIdMetadata & { readonly redirectUris: readonly string[]; readonly tokenEndpointAuthMethod: string },
): void {
  const { subjectType, sectorIdentifierUri, redirectUris } = metadata
  if (subjectType === 'pairwise' && sectorIdentifierUri === undefined) {
    const urls = redirectUris.map((uri) => new URL(uri))
    // OIDC Core §8.1: several hosts are one sector only where a document of theirs says so. What an app's own scheme calls a
    // host is anybody's, and so is this device: by them an app would learn the subjects of another.
    if (new Set(urls.map(({ host }) => host)).size !== 1 || urls.some(({ protocol }) => protocol !== 'https:')) {
      throw invalid(
        'sector_identifier_uri',
        'is needed: the subject type is pairwise, and redirect_uris are not all https at one host',
      )
    }
  }
  if (metadata.tokenEndpointAuthSigningAlg !== undefined && metadata.tokenEndpointAuthMethod !== 'private_key_jwt') {
    throw invalid('token_endpoint_auth_signing_alg', 'has no use without the authentication method private_key_jwt')
  }
  if (metadata.backchannelLogoutSessionRequired && metadata.backchannelLogoutUri === undefined) {
    throw invalid('backchannel_logout_session_required', 'has no use without backchannel_logout_uri')
  }
}

function checkPostLogoutRedirectUri(uri: string, applicationType: ApplicationType): void {
  try {
    checkRedirectUri(uri, applicationType)
  } catch (error) {
    if (!(error instanceof InvalidRedirectUriError)) throw error
    const { message, reason, cause } = error
    throw new InvalidRedirectUriError(message, { reason, field: 'post_logout_redirect_uris', cause })
  }
}

function acrValues(wire: WireMetadata): readonly string[] {
  const items = list(wire, 'default_acr_values', 20) ?? []
  for (const item of items) text({ default_acr_values: item }, 'default_acr_values', acrForm)
  return items
}

const acrForm = { maxLength: 255, pattern: /^[\x21-\x7e]+$/, form: 'printable ASCII, no spaces' }
