import { authenticationMethods, openIdSigningAlgs, supportedMetadata } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { acrValues } from '../../identity/index.js'
import { responseTypesOf, wellKnownScopes } from '../../oauth/index.js'
import { statusListsPath } from '../../revocation/index.js'
import { prompts, requestableClaims, requestObjectAlgs, responseModes } from '../authorization/index.js'
import { takesRegistrations } from '../registration/index.js'
import { grantTypes } from '../token/index.js'

/** The same with what OpenID Connect adds. OIDC Discovery §3. */
export function openIdProviderMetadata(ctx: Context): Readonly<Record<string, unknown>> {
  return {
    ...authorizationServerMetadata(ctx),
    userinfo_endpoint: `${ctx.config.server.issuer}/userinfo`,
    // RP-Initiated Logout §2.1, Back-Channel Logout §2.1.
    end_session_endpoint: `${ctx.config.server.issuer}/logout`,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    subject_types_supported: ['public', 'pairwise'],
    id_token_signing_alg_values_supported: openIdSigningAlgs,
    userinfo_signing_alg_values_supported: openIdSigningAlgs,
    acr_values_supported: acrValues,
    claim_types_supported: ['normal'],
    claims_supported: [...standardClaims, ...requestableClaims],
    claims_parameter_supported: true,
    require_request_uri_registration: true,
    display_values_supported: ['page'],
    ui_locales_supported: ['en'],
    // Initiating User Registration §4.2.
    prompt_values_supported: prompts,
  }
}

/** Of each ID token. */
const standardClaims = ['iss', 'aud', 'iat', 'exp', 'nonce', 'at_hash', 'sid']

/**
 * What this server can do, read from the lists that do it. RFC 8414 §2. Addresses come from ISSUER, never from a Host
 * header.
 */
export function authorizationServerMetadata(ctx: Context): Readonly<Record<string, unknown>> {
  const { issuer } = ctx.config.server
  const methods = authenticationMethods.map(({ name }) => name)
  const supported = supportedMetadata(ctx, { grantTypes: grantTypes.map(({ name }) => name) })
  const confidential = methods.filter((name) => name !== 'none')
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    ...(takesRegistrations(ctx) ? { registration_endpoint: `${issuer}/register` } : {}),
    // Client ID Metadata Document §5.
    ...(ctx.config.registration.documents ? { client_id_metadata_document_supported: true } : {}),
    revocation_endpoint: `${issuer}/revoke`,
    introspection_endpoint: `${issuer}/introspect`,
    // Of ours: what is revoked, as it happens, for resource servers.
    revocation_feed_endpoint: `${issuer}/revocations`,
    revocation_snapshot_endpoint: `${issuer}/revocations/snapshot`,
    rate_limits_endpoint: `${issuer}/rate-limits`,
    usage_endpoint: `${issuer}/usage`,
    scopes_supported: [...wellKnownScopes.keys(), ...ctx.resources.scopes()],
    response_types_supported: responseTypesOf(supported.grantTypes),
    response_modes_supported: responseModes,
    grant_types_supported: supported.grantTypes,
    token_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_methods_supported: confidential,
    // Of private_key_jwt.
    token_endpoint_auth_signing_alg_values_supported: openIdSigningAlgs,
    revocation_endpoint_auth_signing_alg_values_supported: openIdSigningAlgs,
    introspection_endpoint_auth_signing_alg_values_supported: openIdSigningAlgs,
    // RFC 7636 §6.2.2; RFC 9700 §2.1.1 asks to say so.
    code_challenge_methods_supported: ['S256'],
    // Unsigned where a client has registered that; by reference where it has registered the address.
    request_parameter_supported: true,
    request_uri_parameter_supported: true,
    request_object_signing_alg_values_supported: requestObjectAlgs,
    // RFC 9207 §3.
    authorization_response_iss_parameter_supported: true,
    ui_locales_supported: ['en'],
    // Token Status List §9.1.
    ...(ctx.config.statusLists.enabled === 'on'
      ? { status_list_aggregation_endpoint: `${issuer}${statusListsPath}` }
      : {}),
  }
}
