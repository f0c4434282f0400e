import { type Static, Type } from '@sinclair/typebox'
import { quote, type Source } from './variables.js'

export const registrationVariables = Type.Object({
  mode: Type.Union([Type.Literal('off'), Type.Literal('token'), Type.Literal('open')], {
    variable: 'REGISTRATION',
    default: 'off',
    description:
      'Whether clients register themselves by POST /register (RFC 7591): not at all, with a token of `registration-token create`, or whoever asks. What they get is bounded by the settings below.',
  }),
  documents: Type.Union([Type.Literal('off'), Type.Literal('on')], {
    variable: 'CLIENT_ID_METADATA_DOCUMENTS',
    default: 'off',
    description:
      'Whether a client_id may be an https URL with a document that describes the client (draft-ietf-oauth-client-id-metadata-document), as MCP clients have: it is fetched, bounded by OUTBOUND_ALLOW and the settings below. Off, since with it whoever asks for a login names an address that this server asks.',
  }),
  scopes: Type.String({
    variable: 'REGISTRATION_SCOPES',
    default: 'openid profile email address phone offline_access',
    description:
      'All that a client which registers itself may ask for, separated by spaces. Those of an API are left out until they stand here: a stranger asks for what you name.',
  }),
  grantTypes: Type.String({
    variable: 'REGISTRATION_GRANT_TYPES',
    default: 'authorization_code refresh_token',
    description:
      'Grant types that a client which registers itself may have, separated by spaces. With client_credentials it needs no user to get a token.',
  }),
  redirectHosts: Type.Optional(
    Type.String({
      variable: 'REGISTRATION_REDIRECT_HOSTS',
      description:
        'Hosts that redirect URIs of a client which registers itself may name, separated by spaces: app.example.com, *.example.com for all below, localhost, or com.example.app: for the scheme of an app. Without it: any.',
    }),
  ),
  requirePkce: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    variable: 'REGISTRATION_REQUIRE_PKCE',
    default: 'on',
    description:
      'Whether confidential clients that registered themselves need PKCE, whenever they did; public ones always do. Off for certification clients, which do not know it.',
  }),
  unsignedRequests: Type.Union([Type.Literal('on'), Type.Literal('off')], {
    variable: 'REGISTRATION_UNSIGNED_REQUESTS',
    default: 'off',
    description:
      'Whether clients that register themselves and say nothing of it may send request objects that are not signed. On for certification clients, which do; whoever wants it otherwise registers request_object_signing_alg as none.',
  }),
  clientAssertionAudience: Type.Optional(
    Type.Union([Type.Literal('issuer'), Type.Literal('endpoint')], {
      variable: 'REGISTRATION_ASSERTION_AUDIENCE',
      description:
        'What assertions (RFC 7523) of clients that register themselves may name: the issuer alone, or the token endpoint besides, as older libraries do. Without it: what holds for all clients.',
    }),
  ),
  quota: Type.Integer({
    variable: 'REGISTRATION_QUOTA',
    // A run of the conformance suite registers 68 within minutes.
    default: 100,
    minimum: 1,
    maximum: 100_000,
    weakerAbove: 1000,
    weakness: 'one network can fill the database with clients faster than unused ones are deleted.',
    description:
      'Registrations from one network (/24, /64), and changes of one registration, in an hour before 429; ten times as many registrations from one IPv6 /48, and changes from one /24 or /48. With a registration token its number of uses counts instead.',
  }),
  unusedDays: Type.Integer({
    variable: 'REGISTRATION_UNUSED_DAYS',
    default: 30,
    minimum: 1,
    maximum: 3650,
    description: 'Days after which a client that registered itself is deleted, unless it got a token. Most never do.',
  }),
})

export interface RegistrationConfig {
  readonly mode: 'off' | 'token' | 'open'
  /** Whether a document at a client_id describes its client. */
  readonly documents: boolean
  readonly scopes: readonly string[]
  readonly grantTypes: readonly string[]
  /** In small letters: a host, `*.` and a domain, or a scheme with its colon. Empty: any. */
  readonly redirectHosts: readonly string[]
  readonly requirePkce: boolean
  readonly unsignedRequests: boolean
  readonly clientAssertionAudience: 'issuer' | 'endpoint' | undefined
  readonly quota: number
  readonly unusedDays: number
}

export function resolveRegistration(values: Static<typeof registrationVariables>, source: Source): RegistrationConfig {
  const { mode, clientAssertionAudience, quota, unusedDays } = values
  const requirePkce = values.requirePkce === 'on'
  // Also where registration is off: those that registered before are there. Documents are never exempted.
  if (!requirePkce) {
    source.warn(
      'REGISTRATION_REQUIRE_PKCE is off: confidential clients that register themselves may leave PKCE out (RFC 9700 §2.1.1).',
    )
  }
  const unsignedRequests = values.unsignedRequests === 'on'
  // Also where registration is off: those that registered before are there, and documents make clients of this kind.
  if (unsignedRequests) {
    source.warn(
      'REGISTRATION_UNSIGNED_REQUESTS is on: request objects of clients that register themselves need no signature (OIDC Core §6.1).',
    )
  }
  const scopes = words(values.scopes)
  for (const scope of scopes) {
    if (/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) continue
    source.refuse('REGISTRATION_SCOPES', `has ${quote(scope)}, which is no scope`, 'Write names separated by spaces.')
  }
  return {
    mode,
    documents: values.documents === 'on',
    scopes,
    grantTypes: words(values.grantTypes),
    redirectHosts: words(values.redirectHosts ?? '').flatMap((word) => readHost(word, source)),
    requirePkce,
    unsignedRequests,
    clientAssertionAudience,
    quota,
    unusedDays,
  }
}

const host = /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$|^\[::1\]$/
const scheme = /^[a-z][a-z0-9.-]*:$/

function readHost(word: string, { refuse }: Source): readonly string[] {
  const text = word.toLowerCase()
  if (host.test(text) || scheme.test(text)) return [text]
  refuse(
    'REGISTRATION_REDIRECT_HOSTS',
    `has ${quote(word)}, which is no host`,
    'Write it like app.example.com, *.example.com or com.example.app:, without a port or path.',
  )
  return []
}

function words(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '')
}
