import type { FastifyReply, FastifyRequest } from 'fastify'
import { InvalidTokenError, MissingTokenError, OAuthError, type OAuthErrorOptions } from '../oauth/errors.js'
import { ErrorPage, errorTexts } from '../ui/index.js'
import { bearerChallenge, challenge, challengeOfBearer, nameError } from './describe-error.js'
import { pageSettings, sendPage } from './pages.js'
import { originOf, wantsPage } from './request.js'

/** A dead end on a page, with a way on. For what has no code in the specifications or needs other words than theirs. */
export class PageError extends OAuthError {
  override readonly code = 'invalid_request'
  override readonly status: number
  readonly advice: string | undefined
  readonly actions: readonly { readonly href: string; readonly label: string }[]

  constructor(message: string, { status = 400, advice, actions = [], ...options }: PageErrorOptions) {
    super(message, options)
    this.status = status
    this.advice = advice
    this.actions = actions
  }
}

export interface PageErrorOptions extends OAuthErrorOptions {
  readonly status?: number
  /** What the reader can do. */
  readonly advice?: string
  /** Ways on. The first is the one that most readers want. */
  readonly actions?: readonly { readonly href: string; readonly label: string }[]
}

/** RFC 6749 §5.2: the error as JSON. `toJSON` is sent, since Fastify would handle an Error as one once more. */
export function sendJsonError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = prepareError(thrown, request, reply)
  reply.headers(challenge(error.status, pageSettings(reply).issuer))
  return reply.type('application/json; charset=utf-8').send(error.toJSON())
}

/** RFC 6750 §3: the error as JSON, and as a challenge. */
export function sendBearerError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = prepareError(thrown, request, reply)
  reply.headers(challengeOfBearer(error, pageSettings(reply).issuer))
  // RFC 6750 §3.1: no error code for a request that knew of no authentication.
  if (error instanceof MissingTokenError) return reply.header('Content-Length', '0').send()
  return reply.type('application/json; charset=utf-8').send(error.toJSON())
}

/** RFC 7591 §3.2.2: JSON in any case; where the token is what is wrong, an RFC 6750 §3 challenge besides. */
export function sendRegistrationError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = prepareError(thrown, request, reply)
  if (error instanceof InvalidTokenError) {
    reply.header('WWW-Authenticate', bearerChallenge(error, pageSettings(reply).issuer))
  }
  return reply.type('application/json; charset=utf-8').send(error.toJSON())
}

/** The error as a page, at the address that was asked for. */
export function sendErrorPage(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = prepareError(thrown, request, reply)
  const { message, advice, actions } = pageText(error)
  return sendPage(
    reply,
    error.status,
    <ErrorPage message={message} advice={advice} actions={actions} status={error.status} requestId={request.id} />,
  )
}

/** Where no scope says which form an error has: a page for a browser, JSON for everybody else. */
export function sendAnyError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return wantsPage(request) ? sendErrorPage(thrown, request, reply) : sendJsonError(thrown, request, reply)
}

/** Names the error, writes it down and sets what both forms share. */
function prepareError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): OAuthError {
  const onRefusal = (error: OAuthError): void => pageSettings(reply).onRefusal?.(error, originOf(request).ip)
  const { error, status, headers } = nameError(thrown, request.log, request.id, onRefusal)
  reply.code(status).headers(headers)
  return error
}

function pageText(error: OAuthError): Partial<Pick<PageError, 'advice' | 'actions'>> & { readonly message: string } {
  if (error instanceof PageError) return error
  return textOf(error.status) ?? { message: error.message }
}

/** What a person is told where the error's own words are for developers. */
function textOf(status: number): { readonly message: string; readonly advice?: string } | undefined {
  if (status === 404) return errorTexts.notFound
  if (status === 405) return errorTexts.methodNotAllowed
  if (status === 429) return errorTexts.tooManyRequests
  if (status === 503) return errorTexts.unavailable
  if (status >= 500) return errorTexts.internal
  return undefined
}
