import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import t, { type Test } from 'tap'
import { protect as protectExpress } from '../../packages/resource-server/src/express.js'
import { protect as protectFastify } from '../../packages/resource-server/src/fastify.js'
import { protect as protectHono } from '../../packages/resource-server/src/hono.js'
import { apiKey, basic, bearer, type ProtectOptions } from '../../packages/resource-server/src/index.js'
import { protect as protectNode } from '../../packages/resource-server/src/node.js'
import { drawApiKey, drawApiKeyId } from '../../src/api-keys/format.js'
import { SeededRandom } from '../support/random.js'
import { audience, credentials, TestIssuer } from './support/issuer.js'

const issuer = await TestIssuer.start(t)
const random = new SeededRandom('keys in every framework')
const deprecatedAt = issuer.platform.seconds
const exp = deprecatedAt + 3600

/** A key that was rotated, for some networks. */
function makeKey(networks: readonly string[]): string {
  const id = drawApiKeyId(random)
  const text = drawApiKey(random, { prefix: 'sk', environment: 'live', id })
  const claims = { iss: issuer.issuer, aud: audience, sub: 'user-1', client_id: id, scope: 'orders:read' }
  const api_key = { kind: 'secret', prefix: 'sk', owner: 'user', networks, deprecated_at: deprecatedAt }
  issuer.opaque.set(text, { active: true, token_type: 'api_key', ...claims, iat: deprecatedAt, exp, api_key })
  return text
}

/** @param proxied whether the framework trusts the proxy before it */
type Start = (t: Test, options: ProtectOptions, proxied: boolean) => Promise<number>

async function listen(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const frameworks: Readonly<Record<string, Start>> = {
  async 'node:http'(t, options, proxied) {
    // It has no setting of its own: the API says what its proxy is to be believed.
    const forwarded: ProtectOptions['addressOf'] = ({ headers }) => String(Object(headers)['x-forwarded-for'])
    const api = await protectNode({ ...options, ...(proxied ? { addressOf: forwarded } : {}) })
    t.teardown(() => api.close())
    const guard = api.scopes('orders:read')
    return listen(
      t,
      createServer(async (request, response) => {
        if (await guard(request, response)) response.end('{}')
      }),
    )
  },
  async Fastify(t, options, proxied) {
    const api = await protectFastify(options)
    const app = Fastify({ trustProxy: proxied })
    app.register(api.plugin)
    app.get('/orders', { onRequest: api.scopes('orders:read') }, async () => ({}))
    t.teardown(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    return (app.server.address() as AddressInfo).port
  },
  async Express(t, options, proxied) {
    const api = await protectExpress(options)
    t.teardown(() => api.close())
    const app = express()
    app.set('trust proxy', proxied)
    app.get('/orders', api.scopes('orders:read'), (_request, response) => void response.json({}))
    return listen(t, createServer(app))
  },
  async Hono(t, options, proxied) {
    const address = (c: Parameters<typeof getConnInfo>[0]) =>
      proxied ? c.req.header('x-forwarded-for') : getConnInfo(c).remote.address
    const api = await protectHono({ ...options, address })
    const app = new Hono()
    app.get('/orders', api.scopes('orders:read'), (c) => c.json({}))
    const http = await new Promise<ReturnType<typeof serve>>((resolve) => {
      const starting = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(starting))
    })
    t.teardown(() => Promise.all([api.close(), new Promise((resolve) => http.close(resolve))]))
    return (http.address() as AddressInfo).port
  },
}

const options: ProtectOptions = {
  issuer: issuer.issuer,
  audience,
  credentials,
  platform: issuer.platform,
  warn: () => undefined,
  schemes: [bearer, apiKey(), basic()],
}

for (const [name, start] of Object.entries(frameworks)) {
  t.test(`${name}: the address of a request and what is said of a rotated key`, async (t) => {
    const [here, there] = [makeKey(['127.0.0.0/8']), makeKey(['192.0.2.0/24'])]
    const forwarded = { 'x-forwarded-for': '192.0.2.7' }
    const ask = async (port: number, headers: Record<string, string>, path = '/orders') => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers })
      await response.text()
      return response
    }
    const direct = await start(t, options, false)
    const good = await ask(direct, { 'x-api-key': here })
    t.equal(good.status, 200)
    t.equal(good.headers.get('deprecation'), `@${deprecatedAt}`, 'RFC 9745 §2.1')
    t.equal(good.headers.get('sunset'), new Date(exp * 1000).toUTCString(), 'RFC 8594 §3')
    t.equal((await ask(direct, { 'x-api-key': there })).status, 401)
    t.equal((await ask(direct, { 'x-api-key': there, ...forwarded })).status, 401, 'anybody can write a header')
    t.equal((await ask(direct, { 'x-api-key': here }, `/orders?key=${here}`)).status, 400)
    const password = { authorization: `Basic ${btoa('service:wrong')}` }
    // This issuer has no endpoint that would know it.
    t.equal((await ask(direct, password)).status, 503, 'on loopback a password is asked about')

    const behind = await start(t, options, true)
    t.equal((await ask(behind, { 'x-api-key': there, ...forwarded })).status, 200)
    t.equal((await ask(behind, { 'x-api-key': here, ...forwarded })).status, 401)
    t.equal((await ask(behind, { ...password, ...forwarded })).status, 400, 'without TLS')
  })
}

t.test('Hono without the option: a key that is for some networks is refused', async (t) => {
  const api = await protectHono(options)
  t.teardown(() => api.close())
  const app = new Hono()
  app.get('/orders', api.scopes('orders:read'), (c) => c.json({}))
  const ask = (key: string) => app.request('/orders', { headers: { 'x-api-key': key, 'x-forwarded-for': '127.0.0.1' } })
  t.equal((await ask(makeKey(['0.0.0.0/0', '::/0']))).status, 401)
  t.equal((await ask(makeKey([]))).status, 200)
})
