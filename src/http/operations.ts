import { FormatRegistry, type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { Value, type ValueErrorIterator } from '@sinclair/typebox/value'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { InvalidRequestError, OAuthError } from '../oauth/errors.js'
import { readParameters } from '../oauth/parameters.js'
import { isRefusal } from './describe-error.js'
import { asProblem, type FieldProblem, ProblemError } from './problem-scope.js'
import { encodedQuery } from './request.js'

/** What an operation says of itself. From it come the route, the check of what comes in, and the OpenAPI document. */
export interface DescribedOperation<Caller, Query extends TObject, Body extends TObject> {
  /** Its name, for generated clients. */
  readonly id: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** As OpenAPI writes it: `/things/{id}`. */
  readonly path: string
  readonly summary: string
  readonly description?: string
  /** Both refuse what they do not name. */
  readonly query?: Query
  readonly body?: Body
  /** No body is one without members. */
  readonly bodyOptional?: boolean
  readonly success: {
    readonly status: 200 | 201 | 204
    readonly description: string
    readonly schema?: TSchema
    /** Header fields that matter, and what they say. */
    readonly headers?: Readonly<Record<string, string>>
  }
  /** What it is refused with besides what is common to all. */
  readonly failures?: Readonly<Record<number, string>>
  readonly handle: (call: OperationCall<Caller, Static<Query>, Static<Body>>) => Promise<OperationResult>
}

export interface OperationCall<Caller, Query = Readonly<Record<string, unknown>>, Body = unknown> {
  readonly request: FastifyRequest
  readonly caller: Caller
  /** What stands in place of `{id}`; empty where the path has none. */
  readonly id: string
  readonly query: Query
  readonly body: Body
}

export interface OperationResult {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object
}

export interface Operation<Caller> extends Omit<DescribedOperation<Caller, TObject, TObject>, 'handle'> {
  /** Checks what came in, then does it. */
  readonly run: (call: OperationCall<Caller>) => Promise<OperationResult>
}

const noQuery = Type.Object({}, { additionalProperties: false })

/** Compiles the schemas once. */
export function operation<Caller, Query extends TObject, Body extends TObject>(
  described: DescribedOperation<Caller, Query, Body>,
): Operation<Caller> {
  const { handle, ...plain } = described
  const querySchema = described.query ?? noQuery
  const query = TypeCompiler.Compile(querySchema)
  const body = described.body && TypeCompiler.Compile(described.body)
  return {
    ...plain,
    async run(call) {
      const asked = Value.Convert(querySchema, { ...call.query })
      check(query, asked, 'query')
      const sent = call.body ?? (described.bodyOptional ? {} : undefined)
      if (body) check(body, sent, 'body')
      return handle({ ...call, query: asked as Static<Query>, body: sent as Static<Body> })
    },
  }
}

export interface OperationCallers<Caller> {
  /** Runs before the body is read: who may not send one does not learn what would be wrong with it. */
  readonly authorize: (request: FastifyRequest) => Promise<Caller>
  /** Hears of what a caller was refused, before the scope does, which knows of none. */
  readonly onRefusal?: (error: OAuthError, caller: Caller, request: FastifyRequest) => void
}

export function operationRoutes<Caller>(
  scope: FastifyInstance,
  operations: readonly Operation<Caller>[],
  { authorize, onRefusal }: OperationCallers<Caller>,
): void {
  const callers = new WeakMap<FastifyRequest, Caller>()
  for (const { method, path, success, run } of operations) {
    scope.route<{ Params: { readonly id?: string } }>({
      method,
      url: path.replace(/\{(\w+)\}/g, ':$1'),
      onRequest: async (request) => {
        callers.set(request, await authorize(request))
      },
      handler: async (request, reply) => {
        const { id = '' } = request.params
        const query = readQuery(request)
        const caller = callers.get(request)!
        const { headers = {}, body } = await run({ request, caller, id, query, body: request.body }).catch((thrown) => {
          const error = asProblem(thrown)
          if (error instanceof OAuthError && isRefusal(error)) onRefusal?.(error, caller, request)
          throw error
        })
        reply.code(success.status).headers(headers)
        return body ?? reply.send()
      },
    })
  }
}

/** @throws {ProblemError} where `readParameters` refuses: here that says nothing about the token */
function readQuery(request: FastifyRequest): Readonly<Record<string, unknown>> {
  try {
    return readParameters(encodedQuery(request))
  } catch (error) {
    if (!(error instanceof InvalidRequestError)) throw error
    throw new ProblemError(error.message, { reason: error.reason, cause: error })
  }
}

/** Fields that one answer names. */
const mostProblems = 20

/** Characters. Whatever is longer is no name of ours, and may be a key that somebody put there (attack 118). */
const longestName = 32

function check<Schema extends TSchema>(compiled: TypeCheck<Schema>, value: unknown, what: 'query' | 'body'): void {
  if (compiled.Check(value)) return
  const errors = problemsOf(compiled.Errors(value))
  const subject = what === 'body' ? 'The body' : 'The query'
  throw new ProblemError(`${subject} is not what this address takes.`, {
    kind: 'invalid-members',
    reason: `${what}_invalid`,
    errors,
  })
}

function problemsOf(found: ValueErrorIterator): readonly FieldProblem[] {
  const problems = new Map<string, FieldProblem>()
  for (const { path, message } of found) {
    const pointer = path.slice(0, 200).replace(/[^/]+/g, (name) => (name.length > longestName ? '…' : name))
    // The first is what is missing or unexpected; what follows for the same place are consequences.
    if (!problems.has(pointer)) problems.set(pointer, { pointer, detail: `${message}.` })
    if (problems.size === mostProblems) break
  }
  return [...problems.values()]
}

const dateTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/

// RFC 3339 §5.6. TypeBox knows no format before it is told, and refuses every text until then.
FormatRegistry.Set('date-time', (text) => dateTime.test(text) && !Number.isNaN(Date.parse(text)))
