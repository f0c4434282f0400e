import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Api, protect } from '../../packages/resource-server/src/index.js'
import { createApiKey, endApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { ServerPlatform } from '../resource-server/support/platform.js'
import { createTestGateway } from '../support/gateways.js'
import { makeFolder, waitFor } from '../support/process.js'
import { createRunningServer, freePort } from '../support/running-server.js'
import { claimsOf, postAs, revokeAt } from '../support/tokens.js'

const nginx = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((path) => existsSync(path))
const skip = nginx === undefined ? 'no nginx was found: install it' : false
const config = readFileSync(new URL('../../docs/gateways/nginx.conf', import.meta.url), 'utf8')
const audience = 'https://orders.example'

/** An API that believes nobody but the gateway, and says whom it saw. */
async function startApi(t: Test, api: Api): Promise<number> {
  const upstream = createServer(async ({ headers, url, method }, response) => {
    const decision = await api.check({ url, method, headers })
    response.writeHead(decision.ok ? 200 : decision.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(decision.ok ? { seen: decision.token.claims, headers } : { reason: decision.reason }))
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    upstream.closeAllConnections()
    return new Promise((resolve) => upstream.close(resolve))
  })
  return (upstream.address() as AddressInfo).port
}

/** The file of the documentation, with other addresses. */
async function startNginx(t: Test, server: string, api: number, credential: string): Promise<number> {
  const folder = await makeFolder(t)
  const port = await freePort()
  const addresses: Readonly<Record<string, string>> = {
    '127.0.0.1:3000': server,
    '127.0.0.1:8080': `127.0.0.1:${api}`,
    '127.0.0.1:8088': `127.0.0.1:${port}`,
  }
  const changed = Object.entries(addresses).reduce((text, [from, to]) => text.replaceAll(from, to), config)
  await writeFile(join(folder, 'gateway.conf'), changed)
  await writeFile(
    join(folder, 'gateway-credential.conf'),
    `proxy_set_header X-Gateway-Authorization "${credential}";\n`,
  )
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
     http { access_log off; ${temporary.join(' ')} include gateway.conf; }`,
  )
  const child = spawn(nginx ?? '', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk) => (said += chunk))
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`)
      return (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)) !== undefined
    },
    30,
    'nginx did not start',
  )
  return port
}

interface Reply {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

t.test('an API behind nginx, configured as docs/gateways/nginx.conf says', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const { ctx } = server
  const { issuer } = ctx.config.server
  await server.createResource(audience, 'read write', { tokenLifetime: 600 })
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
  const port = await startNginx(t, `localhost:${new URL(issuer).port}`, upstream, gateway.basic)

  const ask = (headers: Readonly<Record<string, string | string[]>> = {}, path = '/orders', method = 'GET') =>
    new Promise<Reply>((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
        let body = ''
        response.on('data', (chunk) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }))
      })
      request.on('error', reject)
      request.end(method === 'POST' ? '{"order":1}' : undefined)
    })
  const tokenFor = async (scope: string): Promise<string> =>
    (await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })).json().access_token
  const makeKey = async (networks: readonly string[] = []) => {
    const owner = { kind: 'client', id: service.clientId } as const
    const { key, text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], networks }, cause)
    return { id: key.id, text }
  }
  const cause = { actor: 'operator', reason: 'test' }

  const token = await tokenFor('read')
  const key = await makeKey()
  await t.test('each kind of credential reaches the API as a token of the gateway', async (t) => {
    for (const [credential, headers] of [
      ['access_token', { authorization: `Bearer ${token}` }],
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
        t.notOk(body.includes(key.text) || body.includes(token))
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
    t.equal((await ask({ 'x-original-uri': '/public', 'x-forwarded-for': '127.0.0.1' })).status, 401)
    t.equal((await ask({}, '/_gateway')).status, 404, 'it is for nginx alone')
  })

  await t.test('attack 123: past the gateway nothing of a caller is believed', async (t) => {
    const direct = await fetch(`http://127.0.0.1:${upstream}/`, { headers: { authorization: `Bearer ${token}` } })
    t.same([direct.status, await direct.json()], [401, { reason: 'type_wrong' }])
    const passed = JSON.parse((await ask({ authorization: `Bearer ${token}` })).body).headers.authorization
    t.equal((await ask({ authorization: passed })).status, 401, 'nor is what it passed on good in front of it')
    t.match(claimsOf(passed.replace('Bearer ', '')), { aud: audience })
    t.not((await ask({ authorization: [`Bearer ${token}`, 'Bearer nonsense'] })).status, 500)
  })

  await t.test('networks go by the address that nginx saw', async (t) => {
    const here = { authorization: `Bearer ${(await makeKey(['127.0.0.0/8'])).text}` }
    t.equal((await ask({ ...here, 'x-forwarded-for': '192.0.2.1' })).status, 200)
    const there = { authorization: `Bearer ${(await makeKey(['192.0.2.0/24'])).text}` }
    t.equal((await ask({ ...there, 'x-forwarded-for': '192.0.2.1' })).status, 401)
  })

  await t.test('the caller hears that a key has a successor, and when to come back', async (t) => {
    const old = await makeKey()
    await rotateApiKey(ctx, old.id, { overlap: 3600, by: cause })
    const reply = await ask({ 'x-api-key': old.text })
    t.equal(reply.status, 200)
    t.match(reply.headers['deprecation'], /^@\d+$/)
    t.ok(Date.parse(String(reply.headers['sunset'])) > 0)
    await endApiKey(ctx, old.id, { cause })
    t.equal((await ask({ 'x-api-key': old.text })).status, 401)
    await revokeAt(server, service, token)
    t.equal((await ask({ authorization: `Bearer ${token}` })).status, 401)
    let last = await ask({ authorization: service.basic.slice(0, -8) })
    for (let index = 0; index < 12 && last.status === 401; index++) {
      last = await ask({ authorization: service.basic.slice(0, -8) })
    }
    t.equal(last.status, 429)
    t.match(last.headers['retry-after'], /^\d+$/)
  })
})
