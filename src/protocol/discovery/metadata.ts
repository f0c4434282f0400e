import { authenticationMethods } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { wellKnownScopes } from '../../oauth/index.js'
import { statusListsPath } from '../../revocation/index.js'
import { grantTypes } from '../token/index.js'

/**
 * What this server can do, read from the lists that do it. RFC 8414 §2. Addresses come from ISSUER, never from a Host
 * header.
 */
export function authorizationServerMetadata(ctx: Context): Readonly<Record<string, unknown>> {
  const { issuer } = ctx.config.server
  const methods = authenticationMethods.map(({ name }) => name)
  const confidential = methods.filter((name) => name !== 'none')
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    revocation_endpoint: `${issuer}/revoke`,
    introspection_endpoint: `${issuer}/introspect`,
    // Of ours: what is revoked, as it happens, for resource servers.
    revocation_feed_endpoint: `${issuer}/revocations`,
    revocation_snapshot_endpoint: `${issuer}/revocations/snapshot`,
    rate_limits_endpoint: `${issuer}/rate-limits`,
    scopes_supported: [...wellKnownScopes.keys(), ...ctx.resources.scopes()],
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: grantTypes.map(({ name }) => name),
    token_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_methods_supported: confidential,
    // RFC 7636 §6.2.2; RFC 9700 §2.1.1 asks to say so.
    code_challenge_methods_supported: ['S256'],
    // RFC 9207 §3.
    authorization_response_iss_parameter_supported: true,
    ui_locales_supported: ['en'],
    // Token Status List §9.1.
    ...(ctx.config.statusLists.enabled === 'on'
      ? { status_list_aggregation_endpoint: `${issuer}${statusListsPath}` }
      : {}),
  }
}
