import { type Client, countIssued, keepUsed } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import { type Granted, startAgain } from '../../interaction/index.js'
import {
  type ImplicitResponseType,
  InvalidClientError,
  InvalidRequestError,
  InvalidScopeError,
  isImplicit,
  type OAuthError,
  parseResponseType,
  UnauthorizedClientError,
  UnsupportedResponseTypeError,
} from '../../oauth/index.js'
import { type AuthorizationCode, authorizationCodes } from '../../store/index.js'
import { makeIdToken, makeTokens, type Opaque, scopeForGrant, scopeForToken } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'
import type { ResponseMode } from './response-channel.js'

// The implicit flow: tokens in the answer to the authorization request itself. OIDC Core §3.2. Where IMPLICIT is off, which is
// the default, there is none. This file has all that is other than with a code, from the request to the answer.

/** Which of its response types a request asks for; undefined: none, and of course none where it is off. */
export function implicitTypeOf({ config }: Context, responseType: unknown): ImplicitResponseType | undefined {
  if (!config.clients.implicit || typeof responseType !== 'string') return undefined
  const parsed = parseResponseType(responseType)
  return isImplicit(parsed) ? parsed : undefined
}

/**
 * How its answers go back, errors included: never in the query, which servers log and `Referer` tells (attack 16). Multiple
 * Response Types §3, §5; OIDC Core §3.2.2.5, §3.2.2.6.
 */
export function implicitMode(asked: ResponseMode | undefined): ResponseMode {
  return asked === 'form_post' ? 'form_post' : 'fragment'
}

/**
 * Why a client may not use a response type of this flow, if it may not: it has to be registered for it. Asked at the request and
 * again before the answer, since both the registration and the setting may have changed meanwhile.
 */
export function implicitRefusal(
  { config }: Context,
  { grantTypes, responseTypes, scope }: Client,
  responseType: ImplicitResponseType,
): OAuthError | undefined {
  // Attack 15: for a client of the code flow it is as if there were none.
  if (!config.clients.implicit || !grantTypes.includes('implicit')) {
    return new UnsupportedResponseTypeError('The client has no such response type.', {
      reason: 'response_type_not_registered',
    })
  }
  if (!responseTypes.includes(responseType) || !scope.includes('openid')) {
    return new UnauthorizedClientError('The client is not registered for the response type.', {
      reason: 'response_type_not_registered',
    })
  }
  return undefined
}

interface Asked {
  readonly scope?: string
  readonly resource?: readonly string[]
  readonly response_mode?: unknown
  readonly nonce?: string
}

/**
 * What such a request asks for. PKCE has no place in it, as no code is issued. §3.2.2.1.
 *
 * @throws {UnsupportedResponseTypeError} {UnauthorizedClientError} {InvalidRequestError} {InvalidScopeError} {InvalidTargetError}
 */
export function readImplicitRequest(
  ctx: Context,
  client: Client,
  responseType: ImplicitResponseType,
  { scope: text, resource: resources = [], response_mode, nonce }: Asked,
): { readonly scope: readonly string[]; readonly resources: readonly string[] } {
  const refusal = implicitRefusal(ctx, client, responseType)
  if (refusal) throw refusal
  if (response_mode === 'query') throw invalid('Tokens do not come in a query.', 'response_mode_query')
  // By it alone a client sees that an ID token is of its own request, and no other's that somebody put in its place.
  if (nonce === undefined) throw invalid('The parameter nonce is missing.', 'nonce_missing')
  const asked = { scope: text && withoutOffline(text.split(' ')).join(' '), resources }
  const granted = scopeForGrant(ctx, client, asked)
  const scope = withoutOffline(granted.scope)
  if (!scope.includes('openid')) {
    throw new InvalidScopeError('The scope openid is missing: each answer has an ID token.', {
      reason: 'openid_missing',
    })
  }
  // No token request follows, in which the client could say which of several APIs it means. RFC 8707 §2.2
  if (responseType !== 'id_token') scopeForToken(ctx, client, { ...granted, scope })
  return { scope, resources: granted.resources }
}

/** OIDC Core §11: without a code there is no refresh token, and the scope is ignored. */
function withoutOffline(scope: readonly string[]): readonly string[] {
  return scope.filter((name) => name !== 'offline_access')
}

/** The parameters of an answer, but for those that every answer has. §3.2.2.5 */
export type ImplicitAnswer = Readonly<Record<string, string>>

/**
 * Redeems the code of a new grant at once, in the place of its client, and gives what came of it. Nobody else has seen the code,
 * so all is as with one: the tokens are the grant's, are written where it still stands, and end with it.
 *
 * @throws {PageError} with a way on, when the grant was ended meanwhile
 */
export async function redeemAtOnce(
  ctx: Context,
  { client, demands, origin }: Granted,
  { bucket, hash }: Opaque,
  responseType: ImplicitResponseType,
): Promise<ImplicitAnswer> {
  const asOf = ctx.clock.now()
  const code = await authorizationCodes.find(ctx.db, bucket, hash, asOf)
  const made = code?.standing
    ? await makeAnswer(ctx, client, { ...code, asOf }, responseType).catch(asOfAuthorization)
    : undefined
  const redemption = { attemptId: ctx.random.uuid(), eventId: ctx.random.uuid(), ...origin, now: ctx.clock.now() }
  if (!code || !made || !(await authorizationCodes.redeemAtOnce(ctx.db, { code, tokens: made.rows, ...redemption }))) {
    const { message, advice } = errorTexts.interactionExpired
    throw new PageError(message, { reason: 'grant_ended', advice, actions: startAgain(ctx, demands) })
  }
  // It is the browser that asks: from where says nothing of the client.
  if (made.issued) countIssued(ctx, client, { grantType: 'implicit', ...made.issued }, {})
  return made.answer
}

/** A client that was deleted meanwhile: /authorize has no `invalid_client`. RFC 6749 §4.2.2.1 */
function asOfAuthorization(error: unknown): never {
  if (!(error instanceof InvalidClientError)) throw error
  throw new UnauthorizedClientError('The client was deleted.', { reason: error.reason, cause: error })
}

type FoundCode = AuthorizationCode & { readonly asOf: Date }

async function makeAnswer(ctx: Context, client: Client, code: FoundCode, responseType: ImplicitResponseType) {
  if (responseType === 'id_token') {
    const { grant, nonce } = code
    if (client.unusedUntil !== undefined) await keepUsed(ctx, client.clientId)
    const id_token = await makeIdToken(ctx, { client, grant, nonce, accessToken: undefined })
    return { answer: { id_token }, rows: {}, issued: undefined }
  }
  const { response, rows, audience } = await makeTokens(ctx, client, code, {}, 'none')
  const { access_token, token_type, expires_in, id_token = '', scope } = response
  const answer = { access_token, token_type, expires_in: String(expires_in), id_token, scope }
  return { answer, rows, issued: { audience, scope } }
}

function invalid(message: string, reason: string): InvalidRequestError {
  return new InvalidRequestError(message, { reason })
}
