import type { Context } from '../../context.js'
import { type AcceptedCredential, acceptedNow, type Gateway } from '../../gateways/index.js'
import { type DirectReply, nameError } from '../../http/index.js'
import {
  basicChallenge,
  InsufficientScopeError,
  InvalidClientError,
  InvalidRequestError,
  MissingTokenError,
  type OAuthError,
} from '../../oauth/index.js'

/**
 * A gateway that could not prove itself. Neither 401 nor 403: proxies pass these on, and the caller would be told that
 * their credential is wrong.
 */
export function refuseGateway(ctx: Context, thrown: unknown, requestId: string): DirectReply {
  const log = ctx.log.child({ requestId })
  const { error, status, headers } = nameError(thrown, log, requestId)
  if (!(error instanceof InvalidClientError)) return withBody(status, headers, error.toJSON())
  log.warn({ reason: error.reason }, 'a gateway could not be authenticated')
  const detail = 'The gateway did not prove itself by X-Gateway-Authorization.'
  const body = { type: 'about:blank', title: 'Bad Request', status: 400, detail }
  return withBody(400, headers, body, 'application/problem+json')
}

/** What the gateway passes on to its caller. */
export function refuseCaller(ctx: Context, gateway: Gateway, thrown: unknown, requestId: string): DirectReply {
  const named = nameError(thrown, ctx.log.child({ requestId, gateway: gateway.name }), requestId)
  const { error } = named
  // A proxy passes 401 on, and takes 400 for a failure of ours.
  const status = error instanceof InvalidRequestError ? 401 : named.status
  if (status !== 401 && status !== 403) return withBody(status, named.headers, error.toJSON())
  const challenge = challengeOf(ctx.config.server.issuer, acceptedNow(ctx, gateway), error)
  const headers = challenge === '' ? named.headers : { ...named.headers, 'WWW-Authenticate': challenge }
  return error instanceof MissingTokenError ? { status, headers } : withBody(status, headers, error.toJSON())
}

function withBody(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: object,
  type = 'application/json; charset=utf-8',
): DirectReply {
  return { status, headers: { ...headers, 'Content-Type': type }, body: JSON.stringify(body) }
}

/**
 * Every scheme that would do, in one field: some proxies pass on one alone. RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2.
 * A password does not get anybody further who lacks a scope.
 */
function challengeOf(issuer: string, accepted: readonly AcceptedCredential[], error: OAuthError): string {
  const lacksScope = error instanceof InsufficientScopeError
  const challenges: string[] = []
  if (accepted.some((kind) => kind !== 'basic')) challenges.push(bearerChallenge(issuer, error))
  if (accepted.includes('basic') && !lacksScope) challenges.push(basicChallenge(issuer))
  return challenges.join(', ')
}

function bearerChallenge(issuer: string, error: OAuthError): string {
  const realm = `Bearer realm="${issuer}"`
  // RFC 6750 §3.1: no error code for a request that knew of no token; nor is a wrong password one.
  if (error instanceof MissingTokenError || error instanceof InvalidClientError) return realm
  const { error: code, error_description: description } = error.toJSON()
  const scope = error instanceof InsufficientScopeError ? `, scope="${error.scope}"` : ''
  return `${realm}, error="${code}", error_description="${description}"${scope}`
}
