import { InsufficientScopeError, MissingTokenError, type OAuthError } from '../oauth/errors.js'
import { expectationOf } from '../oauth/expectations.js'
import type { Logger } from '../platform/log.js'
import { asOAuthError, HttpError } from './refusal.js'
import { noStoreHeaders } from './security-headers.js'

/** What both forms of an error, and both ways of an answer, share. */
export interface DescribedError {
  readonly error: OAuthError
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** Hears of requests that the protocol refused: not of what is no address here, too large or too often. */
export type RefusalListener = (error: OAuthError) => void

/** Whether the protocol said no. */
export function isRefusal(error: OAuthError): boolean {
  return error.status < 500 && error.status !== 429 && !(error instanceof HttpError)
}

/** Names what was thrown, and writes it down. */
export function nameError(
  thrown: unknown,
  log: Pick<Logger, 'error' | 'warn' | 'info'>,
  requestId: string,
  onRefusal?: RefusalListener,
): DescribedError {
  const error = asOAuthError(thrown)
  const { code, reason, field, status } = error
  if (isRefusal(error)) onRefusal?.(error)
  if (status === 500) log.error({ err: error.cause ?? error, reason }, 'request failed')
  else if (status === 503) log.warn({ err: error.cause, reason }, 'request not served')
  else log.info({ error: code, reason, field, ...expectationOf(reason) }, 'request refused')
  const { retryAfter } = error
  return {
    error,
    status,
    headers: {
      ...noStoreHeaders,
      'X-Request-Id': requestId,
      ...(retryAfter === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retryAfter))) }),
      ...error.headers,
      // What is left of a body that was refused is not read as the next request.
      ...(status === 413 || status === 415 ? { Connection: 'close' } : {}),
    },
  }
}

interface Asked {
  readonly log: Logger
  readonly requestId: string
  readonly issuer: string
  readonly onRefusal?: RefusalListener | undefined
}

export interface ErrorAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: object
}

/** RFC 6749 §5.2: the error as JSON. */
export function describeError(thrown: unknown, { log, requestId, issuer, onRefusal }: Asked): ErrorAnswer {
  const { error, status, headers } = nameError(thrown, log.child({ requestId }), requestId, onRefusal)
  return { status, headers: { ...headers, ...challenge(status, issuer) }, body: error.toJSON() }
}

/** RFC 6750 §3.1: there is no body for a request that knew of no authentication. */
export function describeBearerError(
  thrown: unknown,
  { log, requestId, issuer, onRefusal }: Asked,
): Omit<ErrorAnswer, 'body'> & { readonly body: object | undefined } {
  const { error, status, headers } = nameError(thrown, log.child({ requestId }), requestId, onRefusal)
  return {
    status,
    headers: { ...headers, ...challengeOfBearer(error, issuer) },
    body: error instanceof MissingTokenError ? undefined : error.toJSON(),
  }
}

/** RFC 6750 §3: for whoever comes with an access token, the challenge says what is wrong with it. */
export function challengeOfBearer(error: OAuthError, issuer: string): Readonly<Record<string, string>> {
  const isTold = [400, 401, 403].includes(error.status)
  return isTold ? { 'WWW-Authenticate': bearerChallenge(error, issuer) } : {}
}

/** RFC 6750 §3: what an access token would have to be. */
export function bearerChallenge(error: OAuthError, issuer: string): string {
  const realm = `Bearer realm="${issuer}"`
  if (error instanceof MissingTokenError) return realm
  const { error: code, error_description: description } = error.toJSON()
  const scope = error instanceof InsufficientScopeError ? `, scope="${error.scope}"` : ''
  return `${realm}, error="${code}", error_description="${description}"${scope}`
}

/** RFC 6749 §5.2, RFC 7617 §2: asked of those that used the header; HTTP asks it of every 401. */
export function challenge(status: number, issuer: string): Readonly<Record<string, string>> {
  return status === 401 ? { 'WWW-Authenticate': `Basic realm="${issuer}", charset="UTF-8"` } : {}
}
