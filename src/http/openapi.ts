import type { TObject, TSchema } from '@sinclair/typebox'
import type { Operation } from './operations.js'
import { problemSchema } from './problem-scope.js'

export interface OpenApiOptions {
  readonly title: string
  readonly version: string
  readonly issuer: string
  readonly apis: readonly DocumentedApi[]
}

/** The operations of an API, and the scope that opens them. */
export interface DocumentedApi {
  readonly tag: string
  readonly scope: string
  readonly scopeSentence: string
  /** Clients alone can have the scope, for themselves. */
  readonly clientsAlone?: boolean
  readonly operations: readonly DocumentedOperation[]
}

/** What their callers are is not asked here, nor how a route comes from it. */
export interface DocumentedOperation extends Omit<Operation<never>, 'run' | 'body'> {
  readonly body?: TSchema
  /** Header fields that prove together who asks, in place of a token, and what each holds. */
  readonly proof?: Readonly<Record<string, string>>
}

type Json = Readonly<Record<string, unknown>>

/** The OpenAPI 3.1 document of operations, from the schemas that check their requests. */
export function openApiDocument({ title, version, issuer, apis }: OpenApiOptions): Json {
  const schemas: Record<string, unknown> = {}
  const paths: Record<string, Record<string, unknown>> = {}
  for (const { tag, scope, operations } of apis) {
    for (const described of operations) {
      const method = described.method.toLowerCase()
      paths[described.path] = {
        ...paths[described.path],
        [method]: { tags: [tag], ...describe(described, scope, schemas) },
      }
    }
  }
  const flows = {
    authorizationCode: {
      authorizationUrl: `${issuer}/authorize`,
      tokenUrl: `${issuer}/token`,
      scopes: scopesOf(apis.filter(({ clientsAlone }) => clientsAlone !== true)),
    },
    clientCredentials: { tokenUrl: `${issuer}/token`, scopes: scopesOf(apis) },
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    servers: [{ url: issuer }],
    paths,
    components: { schemas, securitySchemes: { oauth2: { type: 'oauth2', flows }, ...proofSchemes(apis) } },
  }
}

function scopesOf(apis: OpenApiOptions['apis']): Json {
  return Object.fromEntries(apis.map(({ scope, scopeSentence }) => [scope, scopeSentence]))
}

/** A header field that proves something is what OpenAPI calls an API key, whatever it holds. */
function proofSchemes(apis: OpenApiOptions['apis']): Json {
  const fields = apis.flatMap(({ operations }) => operations.flatMap(({ proof = {} }) => Object.entries(proof)))
  return Object.fromEntries(
    fields.map(([name, description]) => [name, { type: 'apiKey', in: 'header', name, description }]),
  )
}

/** What every operation may be refused with. */
const common: Readonly<Record<string, string>> = {
  400: 'The request is not what this address takes.',
  401: 'The access token is missing, or not good.',
  403: 'The access token does not reach that far.',
  default: 'Another problem.',
}

function describe(
  { id, path, summary, description, query, body, bodyOptional, success, failures, proof }: DocumentedOperation,
  scope: string,
  schemas: Record<string, unknown>,
): Json {
  const content = (schema: TSchema, type = 'application/json') => ({
    content: { [type]: { schema: hoist(schema, schemas) } },
  })
  const problem = (text: string) => ({ description: text, ...content(problemSchema, 'application/problem+json') })
  const refusals = Object.entries<string>({ ...common, ...failures }).map(
    ([status, text]) => [status, problem(text)] as const,
  )
  const parameters = [...pathParameters(path), ...queryParameters(query, schemas)]
  return {
    operationId: id,
    summary,
    ...(description === undefined ? {} : { description }),
    // One of them suffices; all that is in one is needed together.
    security: [
      { oauth2: [scope] },
      ...(proof ? [Object.fromEntries(Object.keys(proof).map((field) => [field, []]))] : []),
    ],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: bodyOptional !== true, ...content(body) } } : {}),
    responses: {
      [success.status]: {
        description: success.description,
        ...(success.headers ? { headers: headersOf(success.headers) } : {}),
        ...(success.schema ? content(success.schema) : {}),
      },
      ...Object.fromEntries(refusals),
    },
  }
}

function pathParameters(path: string): readonly Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

function queryParameters(query: TObject | undefined, schemas: Record<string, unknown>): readonly Json[] {
  if (!query) return []
  const required = new Set(query.required ?? [])
  return Object.entries(query.properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.has(name),
    schema: hoist(schema, schemas),
  }))
}

function headersOf(headers: Readonly<Record<string, string>>): Json {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]),
  )
}

/** What has a name of its own stands once, among the components, and is referred to. */
function hoist(schema: unknown, schemas: Record<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((each) => hoist(each, schemas))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $id, ...plain } = schema as Record<string, unknown>
  const copy = Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, hoist(value, schemas)]))
  if (typeof $id !== 'string') return copy
  schemas[$id] = copy
  return { $ref: `#/components/schemas/${$id}` }
}
