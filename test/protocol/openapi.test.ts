import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { verdictsSchema } from '../../src/protocol/leaks/schemas.js'
import { found, openLeaks } from '../support/leak-reports.js'
import { createTestServer, send, testIssuer } from '../support/server.js'

const server = await createTestServer(t)
const { app } = server

interface Described {
  readonly operationId: string
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly responses: Readonly<Record<string, unknown>>
}

interface Flow {
  readonly scopes: Readonly<Record<string, string>>
}

interface Document {
  readonly openapi: string
  readonly servers: readonly unknown[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>
    readonly securitySchemes: Readonly<Record<string, { readonly flows?: Readonly<Record<string, Flow>> }>>
  }
}

const reply = await server.get('/openapi.json')
const document = reply.json<Document>()
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, described]) => ({ path, method: method.toUpperCase(), described })),
)

t.test('OpenAPI 3.1: the document is there, for anybody to keep', async (t) => {
  t.equal(reply.statusCode, 200)
  t.match(reply.headers, { 'content-type': /^application\/json/, 'cache-control': 'public, max-age=300' })
  t.match(document, { openapi: '3.1.0', servers: [{ url: testIssuer }] })
  const again = await server.get('/openapi.json', { 'if-none-match': String(reply.headers.etag) })
  t.equal(again.statusCode, 304)
})

t.test('every route under /api-keys and /leaks is in the document, and the other way round', async (t) => {
  // Each line of the router's list is a branch: the ways to its leaves are the paths.
  const routed = new Set<string>()
  const branch: string[] = []
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part = ''] = /^([│ ]*)[├└]── (\S+)/.exec(line) ?? []
    if (part === '') continue
    branch.splice(indent.length / 4, branch.length, part)
    const path = branch.join('')
    if (/^\/(api-keys|leaks)/.test(path) && / \(/.test(line)) routed.add(path.replace(/:(\w+)/g, '{$1}'))
  }
  t.same([...routed].toSorted(), Object.keys(document.paths).toSorted())

  for (const path of Object.keys(document.paths)) {
    const documented = operations.filter((operation) => operation.path === path).map(({ method }) => method)
    const url = path.replace('{id}', '0kq3GZb7yXw9TfLm')
    // What is not an operation is refused by its method; what is one, without a token.
    const other = await send(app, { method: 'PUT', url })
    t.equal(other.statusCode, 405, url)
    const allowed = String(other.headers.allow).split(', ')
    t.same(allowed.filter((method) => method !== 'HEAD').toSorted(), documented.toSorted(), url)
    for (const method of documented) {
      const opened = await send(app, { method: method as 'GET', url })
      t.equal(opened.statusCode, 401, `${method} ${url} needs a token`)
    }
  }
})

t.test('each operation has a name of its own, its scope, and what it refuses', async (t) => {
  const names = operations.map(({ described }) => described.operationId)
  t.equal(new Set(names).size, names.length)
  t.equal(names.length, 9)
  for (const { path, described } of operations) {
    t.same(described.security, [{ oauth2: [path === '/leaks' ? 'leaks' : 'api_keys'] }])
    for (const status of ['400', '401', '403', 'default']) {
      t.match(described.responses[status], {
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      })
    }
  }
})

t.test('every reference leads to a component, and every component is referred to', async (t) => {
  const referred = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)]
  t.same([...new Set(referred.map(([, name]) => name))].toSorted(), Object.keys(document.components.schemas).toSorted())
  t.notMatch(JSON.stringify(document), /"\$id"/)
})

t.test('a scope that clients have for themselves alone is in no flow of users', (t) => {
  const { flows = {} } = document.components.securitySchemes['oauth2']!
  t.same(Object.keys(flows['authorizationCode']!.scopes), ['api_keys'])
  t.same(Object.keys(flows['clientCredentials']!.scopes).toSorted(), ['api_keys', 'leaks'])
  t.end()
})

t.test('POST /leaks says what it takes and answers, and how it is signed where signatures are taken', async (t) => {
  const reportsOf = ({ paths }: Document) => paths['/leaks']!['post']!
  t.match(reportsOf(document), {
    requestBody: {
      required: true,
      content: {
        'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/LeakReport' } } },
      },
    },
    responses: {
      200: {
        content: {
          'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/LeakVerdict' } } },
        },
      },
      413: {},
      429: {},
      503: {},
    },
  })
  t.same(Object.keys(document.components.securitySchemes), ['oauth2'], 'no key is set that signs')

  const { server: signed, report, key } = await openLeaks(t)
  const { components, ...rest } = (await signed.get('/openapi.json')).json<Document>()
  const fields = ['Github-Public-Key-Identifier', 'Github-Public-Key-Signature']
  t.same(reportsOf({ components, ...rest }).security, [
    { oauth2: ['leaks'] },
    Object.fromEntries(fields.map((field) => [field, []])),
  ])
  for (const name of fields) t.match(components.securitySchemes[name], { type: 'apiKey', in: 'header', name })

  const answer = await report([found((await key()).text), found('x')])
  t.equal(answer.statusCode, 200)
  t.ok(Value.Check(verdictsSchema, answer.json()), 'the answer is as documented')
})
