import { STATUS_CODES } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import {
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  MissingTokenError,
  OAuthError,
  type OAuthErrorOptions,
  TooManyRequestsError,
} from '../oauth/errors.js'
import {
  ConflictError,
  InvalidValueError,
  NotFoundError,
  ReservedValueError,
} from '../platform/administration-errors.js'
import { bearerChallenge, nameError } from './describe-error.js'
import { takeJson } from './json-body.js'
import { type Register, registerWithAllMethods } from './methods.js'
import { pageSettings } from './pages.js'
import { HttpError } from './refusal.js'
import { originOf } from './request.js'
import { noStore } from './security-headers.js'

/** What is wrong with one member of what was sent. */
export interface FieldProblem {
  /** RFC 6901; empty: the whole of it. Of a query: the parameter's name behind the slash. */
  readonly pointer: string
  readonly detail: string
}

/** Why an API of JSON did not do what it was asked for. RFC 9457. */
export class ProblemError extends OAuthError {
  override readonly code = 'invalid_request'
  override readonly status: number
  /** The last part of its `type`. */
  readonly kind: string
  readonly errors: readonly FieldProblem[]

  constructor(
    message: string,
    { status = 400, kind = 'invalid-request', errors = [], ...options }: ProblemErrorOptions,
  ) {
    super(message, options)
    this.status = status
    this.kind = kind
    this.errors = errors
  }
}

export interface ProblemErrorOptions extends OAuthErrorOptions {
  readonly status?: number
  readonly kind?: string
  readonly errors?: readonly FieldProblem[]
}

export const problemSchema = Type.Object(
  {
    type: Type.String({ description: 'A URN that stays the same for problems of this kind.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What is wrong this time, for a developer.' }),
    instance: Type.String({ description: 'The request, as it is named in the log and the audit trail.' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.String({ description: 'A JSON pointer (RFC 6901) into the body or the query.' }),
            detail: Type.String(),
          },
          { additionalProperties: false },
        ),
      ),
    ),
  },
  { $id: 'Problem', additionalProperties: false, description: 'RFC 9457' },
)

/**
 * A scope for APIs of JSON that an access token opens: errors are RFC 9457 problem documents, with an RFC 6750 §3 challenge
 * where the token is what is wrong; bodies are JSON, and nothing is ever stored.
 */
export function problemScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendProblem)
    takeJson(
      scope,
      (cause) =>
        new ProblemError('The body is not JSON in UTF-8.', { kind: 'malformed', reason: 'json_malformed', cause }),
    )
    scope.addHook('onRequest', (_request, reply, done) => {
      noStore(reply)
      done()
    })
    await registerWithAllMethods(scope, register)
  })
}

function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const onRefusal = (error: OAuthError): void => pageSettings(reply).onRefusal?.(error, originOf(request).ip)
  const { error, status, headers } = nameError(asProblem(thrown), request.log, request.id, onRefusal)
  reply.code(status).headers(headers)
  if (isAboutToken(error)) reply.header('WWW-Authenticate', bearerChallenge(error, pageSettings(reply).issuer))
  const errors = error instanceof ProblemError && error.errors.length > 0 ? { errors: error.errors } : {}
  // As text: an object would be serialised as the route's answer.
  return reply.type('application/problem+json').send(
    JSON.stringify({
      type: `urn:ostiary:problem:${kindOf(error)}`,
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: error.message,
      instance: `urn:uuid:${request.id}`,
      ...errors,
    }),
  )
}

/** RFC 6750 §3.1: also a request whose token is malformed or stands in the address. */
function isAboutToken(error: OAuthError): boolean {
  return (
    error instanceof InvalidTokenError ||
    error instanceof InsufficientScopeError ||
    error instanceof InvalidRequestError
  )
}

/** What administration refuses, as what HTTP calls it; everything else as it came. */
export function asProblem(thrown: unknown): unknown {
  if (thrown instanceof NotFoundError) {
    return new ProblemError(thrown.message, { status: 404, kind: 'not-found', reason: `${thrown.noun}_unknown` })
  }
  if (thrown instanceof ConflictError) {
    return new ProblemError(thrown.message, { status: 409, kind: 'conflict', reason: 'conflict' })
  }
  if (thrown instanceof InvalidValueError) {
    const errors = thrown.field === undefined ? [] : [{ pointer: `/${thrown.field}`, detail: thrown.message }]
    if (thrown instanceof ReservedValueError) {
      const options = { status: 403, kind: 'forbidden', reason: 'value_reserved', cause: thrown, errors }
      return new ProblemError(thrown.message, options)
    }
    return new ProblemError(thrown.message, { kind: 'invalid-value', reason: 'value_invalid', errors })
  }
  return thrown
}

function kindOf(error: OAuthError): string {
  if (error instanceof ProblemError) return error.kind
  if (error instanceof MissingTokenError) return 'token-missing'
  if (error instanceof TooManyRequestsError) return 'too-many-requests'
  if (error instanceof HttpError) return `http-${error.status}`
  return error.code.replaceAll('_', '-')
}
