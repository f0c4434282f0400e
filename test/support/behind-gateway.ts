import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type Api, protect } from '../../packages/resource-server/src/index.js'
import { createApiKey, endApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { createTier } from '../../src/limits/index.js'
import { updateResource } from '../../src/resources/index.js'
import { ServerPlatform } from '../resource-server/support/platform.js'
import { createTestGateway } from './gateways.js'
import { frontAddress, startFront } from './nginx.js'
import { createRunningServer, freePort } from './running-server.js'
import { claimsOf, postAs, revokeAt } from './tokens.js'

const audience = 'https://orders.example'

/** A proxy that asks the server about each request, configured as docs/gateways has it. */
export interface Proxy {
  /**
   * @param server port of the server
   * @param api port of what is behind the proxy
   * @param credential of the gateway `orders`
   * @returns its own port
   */
  readonly start: (t: Test, server: number, api: number, credential: string) => Promise<number>
  /** Whether the caller hears what the server says beside a 200. */
  readonly tellsOfSuccess: boolean
  /** Whether it writes the address of its caller behind its credential, where no other proxy touches it. */
  readonly saysAddress: boolean
  /** Its answer where the server cannot be asked. */
  readonly away: 500 | 503
}

export interface Reply {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Fields = Readonly<Record<string, string | string[]>>

/** @returns what its caller sees */
export function askThrough(
  port: number,
  headers: Fields = {},
  path = '/orders',
  method = 'GET',
  localAddress = '127.0.0.1',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, localAddress }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
    })
    request.on('error', reject)
    request.end(method === 'POST' ? '{"order":1}' : undefined)
  })
}

/** An API that believes nobody but the gateway, and says whom it saw. */
async function startApi(t: Test, api: Api): Promise<number> {
  const upstream = createServer(async ({ headers, url, method }, response) => {
    const decision = await api.check({ url, method, headers })
    const status = url === '/nothing' ? 404 : 200
    response.writeHead(decision.ok ? status : decision.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(decision.ok ? { seen: decision.token.claims, headers } : { reason: decision.reason }))
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    upstream.closeAllConnections()
    return new Promise((resolve) => upstream.close(resolve))
  })
  return (upstream.address() as AddressInfo).port
}

/** An API behind a proxy, and everything that comes to it, or does not. @returns the proxy's port */
export async function testBehindGateway(t: Test, proxy: Proxy): Promise<number> {
  const server = await createRunningServer(t)
  const { ctx } = server
  const { issuer } = ctx.config.server
  await server.createResource(audience, 'read write', { tokenLifetime: 600, acceptsBasic: true })
  const service = await server.createService('read write')
  const gateway = await createTestGateway(server, 'orders', {
    resource: audience,
    scope: ['read'],
    accept: ['access-token', 'api-key', 'basic'],
    forwardsAddress: true,
  })
  const platform = new ServerPlatform(server.clock)
  const api = await protect({ issuer, audience, tokens: 'gateway', platform, warn: (message) => t.fail(message) })
  t.teardown(() => api.close())
  const upstream = await startApi(t, api)
  const port = await proxy.start(t, Number(new URL(issuer).port), upstream, gateway.basic)
  const ask = (...asked: readonly [headers?: Fields, path?: string, method?: string]) => askThrough(port, ...asked)

  const tokenFor = async (scope: string): Promise<string> =>
    (await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })).json().access_token
  const makeKey = async (networks: readonly string[] = [], tier?: string, scope: readonly string[] = ['read']) => {
    const owner = { kind: 'client', id: service.clientId } as const
    const request = { owner, name: 'Test', scope, networks, tier }
    const { key, text = '' } = await createApiKey(ctx, request, cause)
    return { id: key.id, text }
  }
  const cause = { actor: 'operator', reason: 'test' }

  const token = await tokenFor('read')
  await updateResource(ctx, audience, { tokenFormat: 'opaque' }, { by: cause })
  await server.refresh()
  const opaque = await tokenFor('read')
  const key = await makeKey()
  await t.test('each kind of credential reaches the API as a token of the gateway', async (t) => {
    t.match([token, opaque], [/^ey/, /^oat_/])
    for (const [credential, headers] of [
      ['access_token', { authorization: `Bearer ${token}` }],
      ['access_token', { authorization: `Bearer ${opaque}` }],
      ['api_key', { authorization: `Bearer ${key.text}` }],
      ['api_key', { 'x-api-key': key.text }],
      ['basic', { authorization: service.basic }],
    ] as const) {
      for (const method of ['GET', 'POST']) {
        const more = {
          'content-type': 'application/json',
          'x-gateway-authorization': 'Basic eDp5',
          host: 'evil.example',
        }
        const { status, body } = await ask({ ...more, ...headers }, '/orders?page=1', method)
        t.equal(status, 200, body)
        const { seen, headers: passed } = JSON.parse(body)
        t.match(seen, { sub: service.clientId, aud: audience, credential })
        t.equal(passed['x-api-key'], undefined, 'the credential stays in front')
        t.equal(passed['x-gateway-authorization'], undefined, 'as does what callers write there')
        for (const shown of [key.text, token, opaque, service.basic, gateway.basic]) t.notOk(body.includes(shown))
      }
    }
  })

  await t.test('what is refused arrives with its challenges', async (t) => {
    const none = await ask()
    t.equal(none.status, 401)
    t.equal(
      none.headers['www-authenticate'],
      `Bearer realm="${issuer}", Basic realm="${issuer}", charset="UTF-8"`,
      'every scheme that would do, in one field',
    )
    const wrong = await ask({ authorization: 'Bearer nonsense' })
    t.equal(wrong.status, 401)
    t.match(wrong.headers['www-authenticate'], /error="invalid_token"/)
    const lacking = await ask({ authorization: `Bearer ${await tokenFor('write')}` })
    t.equal(lacking.status, 403)
    t.match(lacking.headers['www-authenticate'], /error="insufficient_scope".*scope="read"/)
    t.equal((await ask({ authorization: service.basic.slice(0, -8) })).status, 401)
    t.equal((await ask({ authorization: `Bearer ${token}`, 'x-api-key': key.text })).status, 401, 'two at once')
    t.equal((await ask({ authorization: `Bearer ${token}` }, `/orders?key=${key.text}`)).status, 401, 'in the address')
  })

  await t.test('what is required is not the request’s to say', async (t) => {
    const lacking = { authorization: `Bearer ${await tokenFor('write')}` }
    const tries: readonly (readonly [Fields, string])[] = [
      [{}, '/orders?scope=write&accept=none'],
      [{ 'x-original-uri': '/public', 'x-original-url': '/public', 'x-forwarded-uri': '/public' }, '/orders'],
      [{ 'x-original-method': 'OPTIONS', 'x-forwarded-method': 'OPTIONS', 'x-http-method-override': 'GET' }, '/orders'],
      [{ 'x-forwarded-host': 'public.example', 'x-forwarded-prefix': '/forward-auth/public' }, '/orders'],
      [{}, '/../public'],
      [{}, '/%2e%2e/public'],
    ]
    for (const [headers, path] of tries) {
      // A path that leads out of what is served the proxy itself may refuse.
      const refused = path.endsWith('/public') ? [400] : []
      const statuses = await Promise.all([{ ...headers, ...lacking }, headers].map((each) => ask(each, path)))
      for (const [index, { status = 0 }] of statuses.entries()) {
        t.ok([[403, 401][index], ...refused].includes(status), `${path}: ${status}`)
      }
    }
    // What the proxy takes away at the caller's wish (RFC 9110 §7.6.1) is lost, and lets nobody in.
    for (const name of ['authorization', 'x-gateway-authorization', 'x-forwarded-for', 'x-api-key']) {
      for (const headers of [{}, lacking]) {
        const { status = 0 } = await ask({ connection: name, ...headers })
        t.ok(status >= 400, `Connection: ${name}: ${status}`)
      }
    }
  })

  await t.test('past the gateway nothing of a caller is believed', async (t) => {
    const direct = await fetch(`http://127.0.0.1:${upstream}/`, { headers: { authorization: `Bearer ${token}` } })
    t.same([direct.status, await direct.json()], [401, { reason: 'type_wrong' }])
    const passed = JSON.parse((await ask({ authorization: `Bearer ${token}` })).body).headers.authorization
    t.equal((await ask({ authorization: passed })).status, 401, 'nor is what it passed on good in front of it')
    t.match(claimsOf(passed.replace('Bearer ', '')), { aud: audience })
    const twice = await ask({ authorization: [`Bearer ${token}`, 'Bearer nonsense'] })
    t.not(twice.status, 500)
    // Whichever of them the proxy keeps.
    if (twice.status === 200) t.not(JSON.parse(twice.body).headers.authorization, 'Bearer nonsense')
  })

  await t.test('networks go by the address that the proxy saw', async (t) => {
    const here = { authorization: `Bearer ${(await makeKey(['127.0.0.0/8'])).text}` }
    t.equal((await ask({ ...here, 'x-forwarded-for': '192.0.2.1' })).status, 200)
    const there = { authorization: `Bearer ${(await makeKey(['192.0.2.0/24'])).text}` }
    t.equal((await ask({ ...there, 'x-forwarded-for': '192.0.2.1' })).status, 401)
    for (const connection of ['x-forwarded-for', 'close, x-forwarded-for']) {
      const { status = 0 } = await ask({ ...there, 'x-forwarded-for': '192.0.2.1', connection })
      t.ok([400, 401].includes(status), `Connection: ${connection}: ${status}`)
    }
  })

  await t.test('the caller hears that a key has a successor, and when to come back', async (t) => {
    const old = await makeKey()
    await rotateApiKey(ctx, old.id, { overlap: 3600, by: cause })
    const deprecated = { deprecation: /^@\d+$/, sunset: /GMT$/ }
    for (const [path, status] of [
      ['/orders', 200],
      ['/nothing', 404],
    ] as const) {
      const reply = await ask({ 'x-api-key': old.text }, path)
      t.match(reply, { status, headers: proxy.tellsOfSuccess ? deprecated : {} })
    }
    const lacking = await makeKey([], undefined, ['write'])
    await rotateApiKey(ctx, lacking.id, { overlap: 3600, by: cause })
    t.match(await ask({ 'x-api-key': lacking.text }), { status: 403, headers: deprecated })
    await endApiKey(ctx, old.id, { cause })
    t.equal((await ask({ 'x-api-key': old.text })).status, 401)
    await revokeAt(server, service, token)
    t.equal((await ask({ authorization: `Bearer ${token}` })).status, 401)
    for (const name of ['deprecation', 'sunset', 'ratelimit', 'ratelimit-policy']) {
      t.notOk(name in (await ask({ 'x-api-key': key.text })).headers, `${name} is for whom it concerns`)
    }
    let last = await ask({ authorization: service.basic.slice(0, -8) })
    for (let index = 0; index < 12 && last.status === 401; index++) {
      last = await ask({ authorization: service.basic.slice(0, -8) })
    }
    t.equal(last.status, 429)
    t.match(last.headers['retry-after'], /^\d+$/)
  })

  await t.test('the caller hears of the tier that they are counted by, whatever comes of the request', async (t) => {
    await createTier(ctx, 'two', { limit: 2, window: 60, burst: 2 }, cause)
    await server.refresh()
    const limited = await makeKey([], 'two')
    await rotateApiKey(ctx, limited.id, { overlap: 3600, by: cause })
    for (const [path, status, left] of [
      ['/orders', 200, 1],
      ['/nothing', 404, 0],
    ] as const) {
      const reply = await ask({ 'x-api-key': limited.text }, path)
      const fields = { ratelimit: `"two";r=${left};`, 'ratelimit-policy': '"two";q=2;w=60' }
      t.match(reply, { status, headers: proxy.tellsOfSuccess ? fields : {} })
    }
    const over = await ask({ 'x-api-key': limited.text })
    t.match(over, {
      status: 429,
      headers: {
        ...{ 'retry-after': /^\d+$/, ratelimit: '"two";r=0;', 'ratelimit-policy': '"two";q=2;w=60' },
        ...{ deprecation: /^@\d+$/, sunset: /GMT$/ },
      },
    })
  })

  await t.test('nobody gets through while the server cannot be asked, or does not know the gateway', async (t) => {
    const shown = { authorization: `Bearer ${opaque}` }
    t.equal((await ask(shown)).status, 200)
    const alone = await proxy.start(t, await freePort(), upstream, gateway.basic)
    t.equal((await askThrough(alone, shown)).status, proxy.away)
    const stranger = await proxy.start(t, Number(new URL(issuer).port), upstream, 'Basic eDp5')
    const { status = 0 } = await askThrough(stranger, shown)
    t.ok(status >= 400 && status !== 401 && status !== 403, `their credential is not what is wrong: ${status}`)
  })
  return port
}

/** The same behind another proxy, which stands in front of the server: whoever asks the gateway is no other for that. */
export async function testBehindFront(t: Test, proxy: Proxy): Promise<void> {
  const server = await createRunningServer(t, { env: { TRUST_PROXY: frontAddress } })
  const { ctx } = server
  await server.createResource(audience, 'read')
  const service = await server.createService('read')
  const settings = { resource: audience, scope: ['read'], forwardsAddress: true }
  const gateway = await createTestGateway(server, 'orders', settings)
  const upstream = await startApi(t, { check: async () => ({ ok: true, token: { claims: {} } }) } as unknown as Api)
  const by = { actor: 'operator' }
  const [caller, forged] = ['127.0.0.77', '192.0.2.7']

  const keyOf = async (network: string) => {
    const owner = { kind: 'client', id: service.clientId } as const
    const { text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], networks: [network] }, by)
    return text
  }
  const places = [caller, '127.0.0.1', frontAddress, forged]
  const keys = new Map(await Promise.all(places.map(async (place) => [place, await keyOf(place)] as const)))

  for (const forwarded of ['$remote_addr', '$proxy_add_x_forwarded_for']) {
    const front = await startFront(t, Number(new URL(ctx.config.server.issuer).port), forwarded)
    const port = await proxy.start(t, front, upstream, gateway.basic)
    const isKnown = proxy.saysAddress || forwarded !== '$remote_addr'
    const fields: readonly Fields[] = [
      {},
      { 'x-forwarded-for': forged },
      { 'x-forwarded-for': `${forged}, 127.0.0.1`, 'x-real-ip': forged, forwarded: `for=${forged}` },
      { 'x-gateway-authorization': `${gateway.basic}; for=${forged}` },
      { 'x-gateway-authorization': `; for=${forged}` },
    ]
    for (const more of fields) {
      for (const [place, key] of keys) {
        const { status } = await askThrough(port, { ...more, 'x-api-key': key }, '/orders', 'GET', caller)
        t.equal(status, place === caller && isKnown ? 200 : 401, `${forwarded}: ${place}, ${JSON.stringify(more)}`)
      }
    }
  }
  const reasons = new Set((await server.audit('api_key.refused')).map(({ reason }) => reason))
  t.same(reasons, new Set(['key_from_another_network', ...(proxy.saysAddress ? [] : ['address_missing'])]))
}
