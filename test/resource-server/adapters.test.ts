import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import t, { type Test } from 'tap'
import { protect as protectExpress } from '../../packages/resource-server/src/express.js'
import { protect as protectFastify } from '../../packages/resource-server/src/fastify.js'
import { protect as protectHono } from '../../packages/resource-server/src/hono.js'
import type { ProtectOptions } from '../../packages/resource-server/src/index.js'
import { protect as protectNode } from '../../packages/resource-server/src/node.js'
import { createRunningServer } from '../support/running-server.js'

const audience = 'https://orders.example'

/** Starts an API whose `/v1/orders` wants `orders:read`; gives its port and how to stop it. */
type Start = (options: ProtectOptions) => Promise<{ readonly port: number; readonly stop: () => Promise<unknown> }>

const portOf = (address: AddressInfo | string | null): number => (address as AddressInfo).port

const frameworks: Readonly<Record<string, Start>> = {
  async 'node:http'(options) {
    const api = await protectNode(options)
    const guard = api.scopes('orders:read')
    const http = createServer(async (request, response) => {
      const token = await guard(request, response)
      if (token) response.end(JSON.stringify({ for: token.sub }))
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const stop = () => Promise.all([api.close(), new Promise((resolve) => http.close(resolve))])
    return { port: portOf(http.address()), stop }
  },
  async Fastify(options) {
    const api = await protectFastify(options)
    const app = Fastify()
    app.register(api.plugin)
    app.register(
      async (scope) => {
        scope.get('/orders', { preHandler: api.scopes('orders:read') }, async ({ accessToken }) => ({
          for: accessToken.sub,
        }))
      },
      { prefix: '/v1' },
    )
    await app.listen({ host: '127.0.0.1', port: 0 })
    return { port: portOf(app.server.address()), stop: () => app.close() }
  },
  async Express(options) {
    const api = await protectExpress(options)
    const app = express()
    const router = express.Router()
    router.get('/orders', api.scopes('orders:read'), (request, response) => {
      response.json({ for: request.accessToken.sub })
    })
    app.use(api.metadata)
    app.use('/v1', router)
    const http = app.listen(0, '127.0.0.1')
    await new Promise((resolve) => http.once('listening', resolve))
    return {
      port: portOf(http.address()),
      stop: () => Promise.all([api.close(), new Promise((resolve) => http.close(resolve))]),
    }
  },
  async Hono(options) {
    const api = await protectHono(options)
    const app = new Hono()
    app.use(api.metadata)
    app.get('/v1/orders', api.scopes('orders:read'), (c) => c.json({ for: c.var.accessToken.sub }))
    const http = await new Promise<ReturnType<typeof serve>>((resolve) => {
      const starting = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(starting))
    })
    return {
      port: portOf(http.address()),
      stop: () => Promise.all([api.close(), new Promise((resolve) => http.close(resolve))]),
    }
  },
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Headers as they are given, repeated ones too: no client library says otherwise. */
function ask(port: number, path: string, headers: readonly string[] = []): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send(
      { host: '127.0.0.1', port, path, agent: false, headers: ['Host', 'orders.example', ...headers] },
      (response) => {
        let body = ''
        response.on('data', (piece) => (body += piece))
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
      },
    )
    request.on('error', reject)
    request.end()
  })
}

async function scene(t: Test) {
  const server = await createRunningServer(t)
  const resource = await server.createResource(audience, 'orders:read orders:write')
  const service = await server.createService('orders:read orders:write')
  const tokenFor = async (scope: string): Promise<string> =>
    (await server.post('/token', { grant_type: 'client_credentials', scope }, { authorization: service.basic })).json()
      .access_token
  return { server, resource, service, tokenFor, issuer: server.ctx.config.server.issuer }
}

const { issuer, service, tokenFor } = await scene(t)

for (const [name, start] of Object.entries(frameworks)) {
  t.test(`${name}: an API is protected against tokens of the real server`, async (t) => {
    const { port, stop } = await start({ issuer, audience, warn: () => undefined })
    t.teardown(stop)
    const [reader, writer] = [await tokenFor('orders:read'), await tokenFor('orders:write')]
    const bearer = (token: string) => ['Authorization', `Bearer ${token}`]

    const good = await ask(port, '/v1/orders', bearer(reader))
    t.equal(good.status, 200)
    t.same(JSON.parse(good.body), { for: service.clientId })

    const none = await ask(port, '/v1/orders')
    t.equal(none.status, 401)
    t.equal(
      none.headers['www-authenticate'],
      `Bearer scope="orders:read", resource_metadata="${audience}/.well-known/oauth-protected-resource"`,
    )
    const bad = await ask(port, '/v1/orders', bearer(`${reader.slice(0, -4)}AAAA`))
    t.equal(bad.status, 401)
    t.match(bad.headers, { 'www-authenticate': /^Bearer error="invalid_token"/, 'cache-control': 'no-store' })
    t.match(JSON.parse(bad.body), { error: 'invalid_token' })
    const insufficient = await ask(port, '/v1/orders', bearer(writer))
    t.equal(insufficient.status, 403)
    t.match(insufficient.headers['www-authenticate'], /error="insufficient_scope".*scope="orders:read"/)

    const twice = await ask(port, '/v1/orders', [...bearer(reader), ...bearer(writer)])
    t.equal(twice.status, 400, 'RFC 6750 §2: of two headers none is taken')
    const query = await ask(port, `/v1/orders?access_token=${reader}`)
    t.equal(query.status, 400, 'RFC 6750 §2.3')

    const metadata = await ask(port, '/.well-known/oauth-protected-resource')
    t.equal(metadata.status, 200)
    t.match(metadata.headers, {
      'content-type': /^application\/json/,
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=300',
    })
    t.match(JSON.parse(metadata.body), {
      resource: audience,
      authorization_servers: [issuer],
      scopes_supported: ['orders:read'],
    })
  })
}
