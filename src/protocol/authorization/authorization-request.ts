import { Type } from '@sinclair/typebox'
import { type Client, needsPkce, registeredRedirectUris } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { PageError } from '../../http/index.js'
import { type ClientDemands, findEnabledClient, type Prompt } from '../../interaction/index.js'
import {
  compileParameters,
  findRedirectUri,
  type ImplicitResponseType,
  InvalidRequestError,
  InvalidRequestObjectError,
  InvalidRequestUriError,
  isCodeChallenge,
  type OAuthError,
  type Parameters,
  RegistrationNotSupportedError,
  readParameters,
  UnauthorizedClientError,
  UnsupportedResponseTypeError,
} from '../../oauth/index.js'
import { scopeForGrant } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'
import { readIdentityRequest } from './identity-request.js'
import { implicitMode, implicitTypeOf, readImplicitRequest } from './implicit.js'
import { readRequestObject } from './request-object.js'
import { type Channel, isResponseMode, type ResponseMode, responseModes } from './response-channel.js'

/** What is left of a request that was checked: to whom it answers, and what it asks of its user. */
export interface AuthorizationRequest {
  readonly client: Client
  readonly demands: ClientDemands
}

/** What the code is bound to, and what goes back to the client unread. */
export interface AuthorizationDetail {
  /** As in the request; undefined where it had none. RFC 6749 §4.1.3 */
  readonly redirectUri?: string
  readonly codeChallenge?: string
  readonly state?: string
  readonly responseMode?: ResponseMode
  /** Undefined: code. */
  readonly responseType?: ImplicitResponseType
  /** OIDC Core §3.1.2.1. */
  readonly nonce?: string
  /** What was asked for claim by claim, as JSON. OIDC Core §5.5 */
  readonly claims?: string
  /** Scopes that only single claims were asked of: the user is asked, and the scope is not granted. */
  readonly implied?: string
}

/** Whom the request is from and where its answer goes. Known before anything else is looked at. */
export interface RequestChannel extends Channel {
  readonly client: Client
  /** Undefined: code, or one that there is not. */
  readonly responseType: ImplicitResponseType | undefined
  /** What was wrong with the rest already: it is told through the channel. */
  readonly error?: OAuthError
  readonly parameters: Parameters
}

/** A state comes back in the address: longer ones would be cut by servers on the way. */
const maxState = 4096

/** It comes back in the ID token. */
const maxNonce = 1024

const channelNames = ['client_id', 'redirect_uri', 'state', 'response_mode'] as const

const readChannel = compileParameters(
  Type.Object({
    redirect_uri: Type.Optional(Type.String()),
    state: Type.Optional(Type.String({ maxLength: maxState })),
    response_mode: Type.Optional(Type.String()),
  }),
)

const readRest = compileParameters(
  Type.Object({
    response_type: Type.String(),
    scope: Type.Optional(Type.String()),
    resource: Type.Optional(Type.Array(Type.String())),
    code_challenge: Type.Optional(Type.String()),
    code_challenge_method: Type.Optional(Type.String()),
    prompt: Type.Optional(Type.String()),
    max_age: Type.Optional(Type.String({ pattern: '^(0|[1-9][0-9]{0,8})$' })),
    login_hint: Type.Optional(Type.String({ maxLength: 320 })),
    nonce: Type.Optional(Type.String({ maxLength: maxNonce })),
    claims: Type.Optional(Type.String()),
    acr_values: Type.Optional(Type.String()),
    id_token_hint: Type.Optional(Type.String()),
  }),
)

/** Everything that has a meaning here, and so belongs to the same request made again. */
const repeatedNames = [...channelNames, 'response_type', 'scope', 'resource'].concat([
  'code_challenge',
  'code_challenge_method',
  'prompt',
  'max_age',
  'login_hint',
  'nonce',
  'claims',
  'acr_values',
  // Else it would be whoever is signed in who answers, and not the one who is meant (attack 22).
  'id_token_hint',
])

/**
 * Finds whom the answer goes to. Until that is certain a failure is a page of ours, never a redirect. RFC 6749 §4.1.2.1.
 *
 * @param encoded the query or the body
 * @throws {PageError} when the client is unknown or disabled, or what its document says cannot be had, or the redirect URI is not exactly one of its own
 */
export async function openChannel(ctx: Context, encoded: string, origin: Origin): Promise<RequestChannel> {
  const read = readLeniently(encoded)
  const { client_id } = read.parameters
  if (typeof client_id !== 'string') throw onPage('invalidRequest', 'client_id_missing')
  await ctx.clientDocuments.refresh(client_id, origin)
  const client = await findEnabledClient(ctx, client_id)
  const { parameters, error } = await withRequestObject(ctx, client, read)
  const { redirect_uri, state, response_mode } = readOnPage(() => readChannel(parameters))
  const redirectUri = findRedirectUri(registeredRedirectUris(client), redirect_uri)
  if (redirectUri === undefined) {
    throw onPage(
      'invalidRedirectUri',
      redirect_uri === undefined ? 'redirect_uri_missing' : 'redirect_uri_unregistered',
    )
  }
  // Attack 16. Errors take this way too: a mode that we do not have is refused by the one that is the default.
  const isKnown = isResponseMode(response_mode)
  const unknown = response_mode !== undefined && !isKnown
  const asked = isKnown ? response_mode : undefined
  const responseType = implicitTypeOf(ctx, parameters['response_type'])
  return {
    client,
    redirectUri,
    state,
    responseMode: responseType ? implicitMode(asked) : asked,
    responseType,
    error:
      error ??
      (unknown
        ? invalid(`The response_mode is none of ${responseModes.join(', ')}.`, 'response_mode_unknown')
        : undefined),
    parameters,
  }
}

/**
 * Checks the rest of the request. Whatever is thrown here goes to the client, through the channel.
 *
 * @throws {OAuthError} RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6
 */
export async function readAuthorizationRequest(ctx: Context, channel: RequestChannel): Promise<AuthorizationRequest> {
  const { client, redirectUri, state, responseMode, responseType, error, parameters } = channel
  if (error) throw error
  refuseUnsupported(parameters)
  const rest = readRest(parameters)
  if (!responseType) requireCode(ctx, client, rest.response_type)

  const codeChallenge = responseType ? undefined : readCodeChallenge(ctx, client, rest)
  const { scope, resources } = responseType
    ? readImplicitRequest(ctx, client, responseType, { ...rest, response_mode: parameters['response_mode'] })
    : scopeForGrant(ctx, client, { scope: rest.scope, resources: rest.resource ?? [] })
  const sentRedirectUri = parameters['redirect_uri'] === undefined ? undefined : redirectUri
  const asked = await readIdentityRequest(ctx, client, { ...rest, scope, responseType })
  const detail: AuthorizationDetail = {
    redirectUri: sentRedirectUri,
    codeChallenge,
    state,
    responseMode,
    responseType,
    nonce: rest.nonce,
    claims: asked.claims && JSON.stringify(asked.claims),
    implied: asked.implied.length > 0 ? asked.implied.join(' ') : undefined,
  }
  const demands: ClientDemands = {
    clientId: client.clientId,
    scope: [...scope, ...asked.implied],
    resources,
    prompt: readPrompt(rest.prompt),
    maxAge: rest.max_age === undefined ? client.defaultMaxAge : Number(rest.max_age),
    loginHint: rest.login_hint,
    subject: asked.subject,
    destination: redirectUri,
    restart: `/authorize?${sameAgain(parameters)}`,
    detail: { ...detail },
  }
  return { client, demands }
}

/** What is kept of a request that is refused once its user has signed in: where the answer goes, and what it is. */
export function demandsOfRefused(
  { client, redirectUri, state, responseMode }: RequestChannel,
  error: OAuthError,
): ClientDemands {
  const { error: code, error_description: description } = error.toJSON()
  const detail: AuthorizationDetail = { redirectUri, state, responseMode }
  // Not what was wrong: who starts again asks for nothing, and is told so.
  const restart = `/authorize?${new URLSearchParams({ client_id: client.clientId, redirect_uri: redirectUri })}`
  const refusal = { code, description, reason: error.reason }
  return {
    ...{ clientId: client.clientId, scope: [], resources: [], prompt: [] },
    ...{ destination: redirectUri, restart, refusal, detail: { ...detail } },
  }
}

/** @throws {UnsupportedResponseTypeError} {UnauthorizedClientError} RFC 6749 §4.1.2.1; attack 15 */
function requireCode({ config }: Context, client: Client, responseType: string): void {
  if (responseType !== 'code') {
    const message = config.clients.implicit
      ? 'The response type is none of response_types_supported.'
      : 'The only response type is code.'
    throw new UnsupportedResponseTypeError(message, { reason: 'response_type_unknown' })
  }
  if (!client.grantTypes.includes('authorization_code') || !client.responseTypes.includes('code')) {
    throw new UnauthorizedClientError('The client is not registered for the authorization code grant.', {
      reason: 'grant_type_not_registered',
    })
  }
}

/** RFC 7636 §4.3, and only S256 (attacks 43 and 44). */
function readCodeChallenge(
  ctx: Context,
  client: Client,
  { code_challenge, code_challenge_method }: { code_challenge?: string; code_challenge_method?: string },
): string | undefined {
  if (code_challenge === undefined) {
    if (code_challenge_method !== undefined) {
      throw invalid('There is a code_challenge_method without a code_challenge.', 'code_challenge_missing')
    }
    if (needsPkce(ctx, client)) {
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

/** OIDC Core §3.1.2.1. What is listed here is accepted and published. */
export const prompts: readonly Prompt[] = ['none', 'login', 'consent', 'select_account']

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
  if (parameters['registration'] !== undefined) {
    throw new RegistrationNotSupportedError('A client is not registered by the parameter registration.', {
      reason: 'registration_not_supported',
    })
  }
}

interface ReadRequest {
  readonly parameters: Parameters
  /** What is wrong with them. */
  readonly error?: OAuthError
}

const refusals = [InvalidRequestObjectError, InvalidRequestUriError, InvalidRequestError]

/**
 * The parameters that count where there is a request object. One that cannot be believed says nothing of where its answer goes:
 * that is told by what stands outside, by the same comparison as without.
 */
async function withRequestObject(ctx: Context, client: Client, read: ReadRequest): Promise<ReadRequest> {
  const { parameters, error } = read
  if (error || (parameters['request'] === undefined && parameters['request_uri'] === undefined)) return read
  try {
    return { parameters: await readRequestObject(ctx, client, parameters) }
  } catch (error) {
    if (!refusals.some((refusal) => error instanceof refusal)) throw error
    return { parameters, error: error as OAuthError }
  }
}

/**
 * The parameters; where they break a rule, at least those of the channel, so that the client can be told. RFC 6749
 * §4.1.2.1: a repeated parameter is an error for the redirect URI, as long as that one is certain.
 */
function readLeniently(encoded: string): ReadRequest {
  try {
    return { parameters: readParameters(encoded, { repeatable: ['resource'], long: ['id_token_hint', 'request'] }) }
  } catch (error) {
    if (!(error instanceof InvalidRequestError)) throw error
    const pairs = encoded.split('&', 201)
    // Too many are not looked through (attack 120).
    if (pairs.length > 200) throw onPage('invalidRequest', error.reason, error)
    const only = (names: readonly string[]): Parameters =>
      readParameters(pairs.filter((pair) => names.includes(pair.split('=', 1)[0] ?? '')).join('&'))
    // The response type, too: it says where an error goes.
    for (const names of [[...channelNames, 'response_type'], channelNames]) {
      try {
        return { parameters: only(names), error }
      } catch {}
    }
    return { parameters: readOnPage(() => only(['client_id', 'redirect_uri'])), error }
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
  const field = cause instanceof InvalidRequestError ? cause.field : undefined
  return new PageError(message, { reason, field, advice, cause })
}

function invalid(message: string, reason: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason })
}
