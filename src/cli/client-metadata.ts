import { clientMetadataNames } from '../clients/index.js'
import { grantTypes } from '../protocol/token/index.js'
import {
  atMostOne,
  type CommandIo,
  closest,
  type OptionSpecs,
  type OptionValues,
  UsageError,
  wholeNumber,
} from './command.js'
import { readJsonObject } from './input.js'
import { openIdOptions } from './openid-metadata.js'

/** One option for each field of the metadata, as a person writes it. */
export const metadataOptions = {
  'from-json': {
    type: 'string',
    value: 'FILE|-',
    description: 'Metadata as in RFC 7591 §2; other options come over it.',
  },
  name: { type: 'string', value: 'TEXT', description: 'What people know it by (client_name).' },
  'redirect-uri': { type: 'string', value: 'URI', multiple: true, description: 'Where answers go; compared exactly.' },
  'grant-type': {
    type: 'string',
    value: 'TYPE',
    multiple: true,
    description: `${grantTypes.map(({ name }) => name).join(', ')}; with IMPLICIT=on, implicit. Default: authorization_code.`,
  },
  'response-type': { type: 'string', value: 'TYPE', multiple: true, description: 'Follows from the grant types.' },
  'auth-method': {
    type: 'string',
    value: 'METHOD',
    description:
      'client_secret_basic (default), client_secret_post, private_key_jwt or none (token_endpoint_auth_method).',
  },
  public: { type: 'boolean', description: 'It can keep no secret: --auth-method none.' },
  native: { type: 'boolean', description: "An app on the user's device: --application-type native." },
  'application-type': { type: 'string', value: 'TYPE', description: 'web (default) or native.' },
  scope: { type: 'string', value: '"A B"', description: 'All that it may ask for.' },
  'default-scope': {
    type: 'string',
    value: '"A B"',
    description: 'What it gets where it asks for none: of one resource. Left out: all, if they are of one.',
  },
  'required-scope': { type: 'string', value: '"A B"', description: 'What a user cannot untick when consenting.' },
  'first-party': {
    type: 'boolean',
    description: 'It is ours: users are not asked for consent (but by native clients, always).',
  },
  'no-first-party': { type: 'boolean', description: 'Users are asked (default).' },
  'require-pkce': { type: 'boolean', description: 'PKCE is required (default).' },
  'no-require-pkce': { type: 'boolean', description: 'Exempts a confidential client from PKCE.' },
  'allowed-origin': {
    type: 'string',
    value: 'ORIGIN',
    multiple: true,
    description: 'Whose pages may call /token (CORS).',
  },
  'allowed-resource': {
    type: 'string',
    value: 'URI',
    multiple: true,
    description: 'All that it may reach. Default: any.',
  },
  allow: {
    type: 'string',
    value: 'CIDR',
    multiple: true,
    description: 'A network that it may prove itself from (allowed_networks). Default: any.',
  },
  'access-token-lifetime': { type: 'string', value: 'SECONDS', description: '60 to 3600.' },
  'refresh-token-idle-lifetime': { type: 'string', value: 'SECONDS', description: 'Without use.' },
  'refresh-token-lifetime': { type: 'string', value: 'SECONDS', description: 'Since the login, however often used.' },
  'refresh-token-rotation': { type: 'boolean', description: 'A refresh token is used once (default).' },
  'no-refresh-token-rotation': { type: 'boolean', description: 'For confidential clients that cannot keep up.' },
  'refresh-token-retry-window': { type: 'string', value: 'SECONDS', description: 'For a lost answer. Default 10.' },
  'client-uri': { type: 'string', value: 'URL', description: 'Its home page.' },
  'logo-uri': { type: 'string', value: 'URL', description: 'Its logo.' },
  'policy-uri': { type: 'string', value: 'URL', description: 'Its privacy policy.' },
  'tos-uri': { type: 'string', value: 'URL', description: 'Its terms of service.' },
  contact: { type: 'string', value: 'TEXT', multiple: true, description: 'Who answers for it.' },
  jwks: { type: 'string', value: 'FILE', description: 'Its public keys, a JWK Set.' },
  'jwks-uri': { type: 'string', value: 'URL', description: 'Where its public keys are.' },
  'software-id': { type: 'string', value: 'TEXT', description: 'RFC 7591 §2.' },
  'software-version': { type: 'string', value: 'TEXT', description: 'RFC 7591 §2.' },
  'rate-tier': { type: 'string', value: 'TIER', description: 'The limit on its requests. Default: none.' },
  ...openIdOptions,
} as const satisfies OptionSpecs

type MetadataValues = OptionValues<typeof metadataOptions>

/** Names on the wire where they are not those of the option with `_` for `-`. */
const wireNames: Readonly<Record<string, string>> = {
  name: 'client_name',
  'auth-method': 'token_endpoint_auth_method',
  'redirect-uri': 'redirect_uris',
  'grant-type': 'grant_types',
  'response-type': 'response_types',
  'allowed-origin': 'allowed_origins',
  'allowed-resource': 'allowed_resources',
  allow: 'allowed_networks',
  contact: 'contacts',
  'default-acr-value': 'default_acr_values',
  'request-uri': 'request_uris',
  'post-logout-redirect-uri': 'post_logout_redirect_uris',
}

const seconds = [
  'access-token-lifetime',
  'refresh-token-idle-lifetime',
  'refresh-token-lifetime',
  'refresh-token-retry-window',
  'default-max-age',
] as const

const switches = ['first-party', 'require-pkce', 'refresh-token-rotation'] as const

/** These are no fields, or are read in a way of their own. */
const special: ReadonlySet<string> = new Set(['from-json', 'public', 'native', 'jwks', ...seconds])

/** A field as it is written in metadata, or as its option is. @throws {UsageError} for any other */
export function fieldName(text: string): string {
  const name = wireNames[text] ?? text.replaceAll('-', '_')
  if (clientMetadataNames.includes(name)) return name
  const suggestion = closest(name, clientMetadataNames)
  throw new UsageError(`--unset names no field of the metadata.${suggestion ? ` Did you mean ${suggestion}?` : ''}`)
}

/** The document and the options over it, in the names of the wire. */
export async function readMetadata(io: CommandIo, values: MetadataValues): Promise<Record<string, unknown>> {
  atMostOne(values, ['public', 'auth-method'])
  atMostOne(values, ['native', 'application-type'])
  const path = values['from-json']
  const metadata = path === undefined ? {} : withoutState(await readJsonObject(io, path, 'from-json'))
  for (const [option, value] of Object.entries(values)) {
    if (special.has(option) || /^no-/.test(option)) continue
    metadata[wireNames[option] ?? option.replaceAll('-', '_')] = value
  }
  for (const option of seconds) {
    const value = values[option]
    if (value !== undefined) metadata[option.replaceAll('-', '_')] = wholeNumber(value, option)
  }
  for (const option of switches) {
    atMostOne(values, [option, `no-${option}`])
    if (values[`no-${option}`]) metadata[option.replaceAll('-', '_')] = false
  }
  if (values.public) metadata.token_endpoint_auth_method = 'none'
  if (values.native) metadata.application_type = 'native'
  if (values.jwks !== undefined) metadata.jwks = await readJsonObject(io, values.jwks, 'jwks')
  return metadata
}

/** What `client show --json` and other servers say about a client beyond its metadata. */
const stateNames = [
  'client_id_issued_at',
  'created_at',
  'updated_at',
  'last_used_at',
  'secrets',
  'roles',
  'resource_server_of',
  'self_registered',
  'unused_until',
]

/**
 * A document that was printed for a client is good for registering it anew: what it says about the past is dropped. What
 * would make a difference (that it is disabled, that its secret expires) is left, and refused.
 */
function withoutState(document: Record<string, unknown>): Record<string, unknown> {
  const metadata = Object.fromEntries(Object.entries(document).filter(([name]) => !stateNames.includes(name)))
  if (metadata.client_secret_expires_at === 0) delete metadata.client_secret_expires_at
  if (metadata.disabled_at === null) delete metadata.disabled_at
  return metadata
}
