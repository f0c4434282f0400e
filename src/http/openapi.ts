import type { TObject, TSchema } from '@sinclair/typebox'
import type { Operation } from './operations.js'
import { problemSchema } from './problem-scope.js'

export interface OpenApiOptions {
  readonly title: string
  readonly version: string
  readonly issuer: string
  /** The operations of an API, and the scope that opens them. */
  readonly apis: readonly {
    readonly tag: string
    readonly scope: string
    readonly scopeSentence: string
    // What their callers are is not asked here.
    readonly operations: readonly Pick<Operation<never>, Exclude<keyof Operation<never>, 'run'>>[]
  }[]
}

type Documented = OpenApiOptions['apis'][number]['operations'][number]
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
  const scopes = Object.fromEntries(apis.map(({ scope, scopeSentence }) => [scope, scopeSentence]))
  return {
    openapi: '3.1.0',
    info: { title, version },
    servers: [{ url: issuer }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        oauth2: {
          type: 'oauth2',
          flows: {
            authorizationCode: { authorizationUrl: `${issuer}/authorize`, tokenUrl: `${issuer}/token`, scopes },
            clientCredentials: { tokenUrl: `${issuer}/token`, scopes },
          },
        },
      },
    },
  }
}

/** What every operation may be refused with. */
const common: Readonly<Record<string, string>> = {
  400: 'The request is not what this address takes.',
  401: 'The access token is missing, or not good.',
  403: 'The access token does not reach that far.',
  default: 'Another problem.',
}

function describe(
  { id, path, summary, description, query, body, bodyOptional, success, failures }: Documented,
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
    security: [{ oauth2: [scope] }],
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
