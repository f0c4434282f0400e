import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import t, { type Test } from 'tap'
import { protect as protectExpress } from '../../packages/resource-server/src/express.js'
import { protect as protectFastify } from '../../packages/resource-server/src/fastify.js'
import { protect as protectHono } from '../../packages/resource-server/src/hono.js'
import { bearer, type ProtectOptions, signature } from '../../packages/resource-server/src/index.js'
import { protect as protectNode } from '../../packages/resource-server/src/node.js'
import { type SignOptions, signRequest } from '../../packages/resource-server/src/sign.js'
import { audience, TestIssuer } from './support/issuer.js'
import { longAgo } from './support/platform.js'
import { keyId, makeSigningKey, origin } from './support/signed.js'

const issuer = await TestIssuer.start(t)
const { platform } = issuer
const { privateJwk, key } = makeSigningKey()

/** Starts an API whose `/orders` answers with the body that it has parsed; gives its port. */
type Start = (t: Test, options: ProtectOptions) => Promise<number>

async function listen(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function fastifyApi(t: Test, options: ProtectOptions, hook: 'onRequest' | 'preHandler', withPlugin = true) {
  const api = await protectFastify(options)
  const app = Fastify()
  if (withPlugin) app.register(api.plugin)
  app.register(async (scope) => {
    scope.route({
      method: ['GET', 'POST'],
      url: '/orders',
      [hook]: api.scopes('orders:read'),
      handler: async ({ body, accessToken }) => ({ for: accessToken.sub, body: body ?? null }),
    })
  })
  t.teardown(() => Promise.all([app.close(), api.close()]))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

const parse = (bytes: unknown): unknown =>
  bytes instanceof Uint8Array && bytes.length > 0 ? JSON.parse(new TextDecoder().decode(bytes)) : null

const frameworks: Readonly<Record<string, Start>> = {
  async 'node:http'(t, options) {
    const api = await protectNode(options)
    t.teardown(() => api.close())
    const guard = api.scopes('orders:read')
    return listen(
      t,
      createServer(async (request, response) => {
        const token = await guard(request, response)
        if (token) response.end(JSON.stringify({ for: token.sub, body: parse(await api.body(request)) }))
      }),
    )
  },
  'Fastify, in onRequest': (t, options) => fastifyApi(t, options, 'onRequest'),
  'Fastify, in preHandler': (t, options) => fastifyApi(t, options, 'preHandler'),
  async 'Express, behind a parser'(t, options) {
    const api = await protectExpress(options)
    t.teardown(() => api.close())
    const app = express()
    app.use(express.json({ verify: api.keepBody }))
    app.all('/orders', api.scopes('orders:read'), ({ body, accessToken }, response) => {
      response.json({ for: accessToken.sub, body: body ?? null })
    })
    return listen(t, createServer(app))
  },
  async 'Express, without a parser'(t, options) {
    const api = await protectExpress(options)
    t.teardown(() => api.close())
    const app = express()
    app.all('/orders', api.scopes('orders:read'), async (request, response) => {
      response.json({ for: request.accessToken.sub, body: parse(await api.body(request)) })
    })
    return listen(t, createServer(app))
  },
  async Hono(t, options) {
    const api = await protectHono(options)
    const app = new Hono()
    app.all('/orders', api.scopes('orders:read'), async (c) =>
      c.json({ for: c.var.accessToken.sub, body: parse(new Uint8Array(await c.req.arrayBuffer())) }),
    )
    const http = await new Promise<ReturnType<typeof serve>>((resolve) => {
      const starting = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(starting))
    })
    t.teardown(() => Promise.all([api.close(), new Promise((resolve) => http.close(resolve))]))
    return (http.address() as AddressInfo).port
  },
}

const options = (): ProtectOptions => ({
  issuer: issuer.issuer,
  audience,
  platform,
  warn: () => undefined,
  schemes: [
    bearer,
    signature({
      ...{ origin, bodyLimit: 2000, platform: longAgo(platform) },
      findKey: async (id) => (id === keyId ? key : undefined),
    }),
  ],
})

interface Sent extends Partial<SignOptions> {
  /** In place of what was signed. */
  readonly sentBody?: BodyInit
  readonly chunked?: boolean
}

/** Signs for the API's own address and sends it to where the API listens, as a proxy does. */
async function ask(port: number, { sentBody, chunked, ...request }: Sent, signed = true) {
  const { method = 'GET', body } = request
  const all = { key: privateJwk, keyId, platform, url: `${origin}/orders?page=2`, ...request, method }
  const headers = signed ? await signRequest(all) : { authorization: `Bearer ${issuer.token()}`, ...all.headers }
  const content = sentBody ?? (typeof body === 'string' ? body : undefined)
  const stream = chunked ? new Blob([String(content)]).stream() : content
  const init = { method, headers: headers as Record<string, string>, body: stream, duplex: 'half' }
  const response = await fetch(`http://127.0.0.1:${port}/orders?page=2`, init as RequestInit)
  return { status: response.status, body: await response.json() }
}

const json = { 'content-type': 'application/json' }
const post = { method: 'POST', headers: json, body: '{"item":1}' }
const answer = { status: 200, body: { for: 'service-1', body: { item: 1 } } }

for (const [name, start] of Object.entries(frameworks)) {
  t.test(
    `RFC 9530 §2: ${name}: the digest is compared with what was sent, and the body is there to be handled`,
    async (t) => {
      const port = await start(t, options())
      t.match(await ask(port, post), answer)
      t.match(await ask(port, { ...post, chunked: true }), answer, 'in pieces of unknown length')
      t.match(await ask(port, {}), { status: 200, body: { for: 'service-1', body: null } }, 'without a body')
      const long = { ...post, body: JSON.stringify({ item: 'x'.repeat(1900) }) }
      t.match(await ask(port, long), { status: 200 }, 'as long as may be')

      t.match(await ask(port, { ...post, sentBody: '{"item":2}' }), { status: 401 }, 'another body')
      t.match(await ask(port, { ...post, sentBody: '{"item":1} ' }), { status: 401 }, 'the same to whoever parses it')
      const bare = { method: 'POST', headers: json, sentBody: '{"item":1}' }
      t.match(await ask(port, bare), { status: 400 }, 'a body where none was signed')
      t.match(await ask(port, { ...bare, chunked: true }), { status: 400 })
      const tooLong = { ...post, body: JSON.stringify({ item: 'x'.repeat(2000) }) }
      t.match(await ask(port, tooLong), { status: 413 })
      t.match(await ask(port, { ...tooLong, chunked: true }), { status: 413 })
      t.match(await ask(port, post), answer, 'and after all that')

      const token = await ask(port, post, false)
      t.match(token, { status: 200, body: { for: 'user-1', body: { item: 1 } } }, 'a bearer token is taken as before')
    },
  )
}

t.test('Fastify without the plugin: nothing hands the body on, so none is read', async (t) => {
  const port = await fastifyApi(t, options(), 'onRequest', false)
  t.match(await ask(port, post), { status: 503 })
})

t.test('Express behind a parser that keeps nothing: the body is gone', async (t) => {
  const api = await protectExpress(options())
  t.teardown(() => api.close())
  const app = express()
  app.use(express.json())
  app.all('/orders', api.scopes('orders:read'), (_request, response) => response.json({}))
  t.match(await ask(await listen(t, createServer(app)), post), { status: 503 })
})
