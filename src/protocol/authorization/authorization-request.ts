import { Type } from '@sinclair/typebox'
import { type Client, isPublicClient } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import { type Demands, findEnabledClient, type Prompt } from '../../interaction/index.js'
import {
  compileParameters,
  findRedirectUri,
  InvalidRequestError,
  isCodeChallenge,
  type OAuthError,
  type Parameters,
  RegistrationNotSupportedError,
  RequestNotSupportedError,
  RequestUriNotSupportedError,
  readParameters,
  UnauthorizedClientError,
  UnsupportedResponseTypeError,
} from '../../oauth/index.js'
import { scopeForGrant } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'
import type { Channel } from './response-channel.js'

/** What is left of a request that was checked: to whom it answers, and what it asks of its user. */
export interface AuthorizationRequest {
  readonly client: Client
  readonly demands: Demands
}

/** What the code is bound to, and what goes back to the client unread. */
export interface AuthorizationDetail {
  /** As in the request; undefined where it had none. RFC 6749 §4.1.3 */
  readonly redirectUri?: string
  readonly codeChallenge?: string
  readonly state?: string
}

/** Whom the request is from and where its answer goes. Known before anything else is looked at. */
export interface RequestChannel extends Channel {
  readonly client: Client
  /** What was wrong with the rest already: it is told through the channel. */
  readonly error?: OAuthError
  readonly parameters: Parameters
}

/** A state comes back in the address: longer ones would be cut by servers on the way. */
const maxState = 4096

const channelNames = ['client_id', 'redirect_uri', 'state'] as const

const readChannel = compileParameters(
  Type.Object({
    client_id: Type.Optional(Type.String()),
    redirect_uri: Type.Optional(Type.String()),
    state: Type.Optional(Type.String({ maxLength: maxState })),
  }),
)

const readRest = compileParameters(
  Type.Object({
    response_type: Type.String(),
    response_mode: Type.Optional(Type.String()),
    scope: Type.Optional(Type.String()),
    resource: Type.Optional(Type.Array(Type.String())),
    code_challenge: Type.Optional(Type.String()),
    code_challenge_method: Type.Optional(Type.String()),
    prompt: Type.Optional(Type.String()),
    max_age: Type.Optional(Type.String({ pattern: '^(0|[1-9][0-9]{0,8})$' })),
    login_hint: Type.Optional(Type.String({ maxLength: 320 })),
  }),
)

/** Everything that has a meaning here, and so belongs to the same request made again. */
const repeatedNames = [...channelNames, 'response_type', 'response_mode', 'scope', 'resource'].concat([
  'code_challenge',
  'code_challenge_method',
  'prompt',
  'max_age',
  'login_hint',
  'nonce',
])

/**
 * Finds whom the answer goes to. Until that is certain a failure is a page of ours, never a redirect. RFC 6749 §4.1.2.1.
 *
 * @param encoded the query or the body
 * @throws {PageError} when the client is unknown or disabled, or the redirect URI is not exactly one of its own
 */
export async function openChannel(ctx: Context, encoded: string): Promise<RequestChannel> {
  const { parameters, error } = readLeniently(encoded)
  const { client_id, redirect_uri, state } = readOnPage(() => readChannel(parameters))
  if (client_id === undefined) throw onPage('invalidRequest', 'client_id_missing')
  const client = await findEnabledClient(ctx, client_id)
  const { redirectUris: registered, applicationType } = client
  const redirectUri = findRedirectUri({ registered, applicationType }, redirect_uri)
  if (redirectUri === undefined) {
    throw onPage(
      'invalidRedirectUri',
      redirect_uri === undefined ? 'redirect_uri_missing' : 'redirect_uri_unregistered',
    )
  }
  return { client, redirectUri, state, error, parameters }
}

/**
 * Checks the rest of the request. Whatever is thrown here goes to the client, through the channel.
 *
 * @throws {OAuthError} RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6
 */
export function readAuthorizationRequest(ctx: Context, channel: RequestChannel): AuthorizationRequest {
  const { client, redirectUri, state, error, parameters } = channel
  if (error) throw error
  refuseUnsupported(parameters)
  const rest = readRest(parameters)
  if (rest.response_type !== 'code') {
    throw new UnsupportedResponseTypeError('The only response type is code.', { reason: 'response_type_unknown' })
  }
  // Attack 16. Errors take this way too, so a mode that we do not have is refused by the one that we have.
  if (rest.response_mode !== undefined && rest.response_mode !== 'query') {
    throw invalid('The only response mode is query.', 'response_mode_unknown')
  }
  if (!client.grantTypes.includes('authorization_code') || !client.responseTypes.includes('code')) {
    throw new UnauthorizedClientError('The client is not registered for the authorization code grant.', {
      reason: 'grant_type_not_registered',
    })
  }

  const codeChallenge = readCodeChallenge(client, rest)
  const { scope, resources } = scopeForGrant(ctx, client, { scope: rest.scope, resources: rest.resource ?? [] })
  const sentRedirectUri = parameters['redirect_uri'] === undefined ? undefined : redirectUri
  const detail: AuthorizationDetail = { redirectUri: sentRedirectUri, codeChallenge, state }
  const demands: Demands = {
    clientId: client.clientId,
    scope,
    resources,
    prompt: readPrompt(rest.prompt),
    maxAge: rest.max_age === undefined ? undefined : Number(rest.max_age),
    loginHint: rest.login_hint,
    destination: redirectUri,
    restart: `/authorize?${sameAgain(parameters)}`,
    detail: { ...detail },
  }
  return { client, demands }
}

/** RFC 7636 §4.3, and only S256 (attacks 43 and 44). */
function readCodeChallenge(
  client: Client,
  { code_challenge, code_challenge_method }: { code_challenge?: string; code_challenge_method?: string },
): string | undefined {
  if (code_challenge === undefined) {
    if (code_challenge_method !== undefined) {
      throw invalid('There is a code_challenge_method without a code_challenge.', 'code_challenge_missing')
    }
    // RFC 9700 §2.1.1: an administrator may exempt a confidential client, and no other.
    if (client.requirePkce || isPublicClient(client)) {
      throw invalid('The parameter code_challenge is missing: PKCE is required.', 'code_challenge_missing')
    }
    return undefined
  }
  if (code_challenge_method !== 'S256') {
    // RFC 7636 §4.3: left out, it means plain.
    throw invalid('The only code_challenge_method is S256.', 'code_challenge_method_not_s256')
  }
  if (!isCodeChallenge(code_challenge)) {
    throw invalid('The code_challenge is not the base64url of a SHA-256.', 'code_challenge_malformed')
  }
  return code_challenge
}

const prompts: readonly Prompt[] = ['none', 'login', 'consent', 'select_account']

/** OIDC Core §3.1.2.1. */
function readPrompt(text: string | undefined): readonly Prompt[] {
  if (text === undefined) return []
  const names = [...new Set(text.split(' '))]
  const known = prompts.filter((prompt) => names.includes(prompt))
  if (known.length !== names.length) throw invalid('The parameter prompt has an unknown value.', 'prompt_unknown')
  if (known.includes('none') && known.length > 1) {
    throw invalid('The prompt none goes with no other.', 'prompt_none_with_others')
  }
  return known
}

/** OIDC Core §3.1.2.6: what would change the request must not be ignored. */
function refuseUnsupported(parameters: Parameters): void {
  if (parameters['request'] !== undefined) {
    throw new RequestNotSupportedError('Request objects are not supported.', { reason: 'request_not_supported' })
  }
  if (parameters['request_uri'] !== undefined) {
    throw new RequestUriNotSupportedError('Request objects are not supported.', { reason: 'request_uri_not_supported' })
  }
  if (parameters['registration'] !== undefined) {
    throw new RegistrationNotSupportedError('Clients are registered by an administrator.', {
      reason: 'registration_not_supported',
    })
  }
}

/**
 * The parameters; where they break a rule, at least those of the channel, so that the client can be told. RFC 6749
 * §4.1.2.1: a repeated parameter is an error for the redirect URI, as long as that one is certain.
 */
function readLeniently(encoded: string): { readonly parameters: Parameters; readonly error?: OAuthError } {
  try {
    return { parameters: readParameters(encoded, { repeatable: ['resource'] }) }
  } catch (error) {
    if (!(error instanceof InvalidRequestError)) throw error
    const pairs = encoded.split('&', 201)
    // Too many are not looked through (attack 120).
    if (pairs.length > 200) throw onPage('invalidRequest', error.reason, error)
    const only = (names: readonly string[]): Parameters =>
      readParameters(pairs.filter((pair) => names.includes(pair.split('=', 1)[0] ?? '')).join('&'))
    try {
      return { parameters: only(channelNames), error }
    } catch {
      return { parameters: readOnPage(() => only(['client_id', 'redirect_uri'])), error }
    }
  }
}

function readOnPage<Result>(read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    if (error instanceof InvalidRequestError) throw onPage('invalidRequest', error.reason, error)
    throw error
  }
}

function sameAgain(parameters: Parameters): URLSearchParams {
  const again = new URLSearchParams()
  for (const name of repeatedNames) {
    for (const value of [parameters[name] ?? []].flat()) again.append(name, value)
  }
  return again
}

function onPage(text: keyof typeof errorTexts, reason: string, cause?: unknown): PageError {
  const { message, advice } = errorTexts[text]
  return new PageError(message, { reason, advice, cause })
}

function invalid(message: string, reason: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason })
}
