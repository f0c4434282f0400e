import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { signRequest } from '../../packages/resource-server/src/sign.js'
import { createApiKey } from '../../src/api-keys/index.js'
import { createTier } from '../../src/limits/index.js'
import { retryFor } from '../../src/platform/retry.js'
import { updateResource } from '../../src/resources/index.js'
import { TestBrowser } from '../support/browser.js'
import { createRunningServer, freePort } from '../support/running-server.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const [api = '', app = '', anyCredential = ''] = [
  ...readFileSync(`${root}README.md`, 'utf8').matchAll(/^```js\n(.*?)^```$/gms),
].map(([, code]) => code)

/** Runs a program of README.md as it stands there, but for the ports, and waits until it listens. */
async function run(t: Test, code: string, port: number, env: Readonly<Record<string, string>> = {}): Promise<void> {
  // By standard input: what it imports is found from the working directory.
  const child = spawn(process.execPath, ['--input-type=module', '-'], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  child.stdin.end(code)
  const answered = await retryFor(20_000, () => fetch(`http://localhost:${port}/nothing`))
  t.ok(answered, 'it listens')
}

t.test('the application and the API of README.md work together', async (t) => {
  t.match(api, /from '@ostiary\/resource-server\/node'/)
  t.match(app, /from 'openid-client'/)
  const server = await createRunningServer(t)
  const { issuer } = server.ctx.config.server
  const [apiPort, appPort] = [await freePort(), await freePort()]
  const adapt = (code: string): string =>
    code
      .replaceAll('http://localhost:3000', issuer)
      .replaceAll('8080', String(appPort))
      .replaceAll('8081', String(apiPort))

  const orders = await server.createResource('https://orders.example', 'orders:read orders:write')
  const client = await server.createClient({
    redirect_uris: [`http://localhost:${appPort}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'orders:read offline_access',
  })
  const user = await server.createUser()
  await Promise.all([
    run(t, adapt(api), apiPort, { CLIENT_ID: orders.clientId, CLIENT_SECRET: orders.clientSecret }),
    run(t, adapt(app), appPort, { CLIENT_ID: client.clientId, CLIENT_SECRET: client.clientSecret }),
  ])

  const started = await fetch(`http://localhost:${appPort}/`, { redirect: 'manual' })
  const cookie = started.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  const browser = new TestBrowser(server)
  const login = await browser.open(started.headers.get('location') ?? '')
  const credentials = { username: user.email, password: user.password }
  const consent = await browser.submit(login, credentials, { button: 'login-submit' })
  const { left } = await browser.submit(consent, {}, { button: 'consent-allow' })
  t.equal(left?.origin, `http://localhost:${appPort}`)

  const stranger = await fetch(left?.href ?? '')
  t.equal(stranger.status, 400, 'another browser cannot end the login')
  const ended = await fetch(left?.href ?? '', { headers: { cookie } })
  t.same(await ended.json(), { orders: [], for: user.id })

  t.test('and no address that is asked for ends either', async (t) => {
    for (const port of [appPort, apiPort]) {
      const answer = await fetch(`http://localhost:${port}//`)
      t.ok([400, 401, 404].includes(answer.status))
      await answer.body?.cancel()
    }
    t.equal((await fetch(`http://localhost:${appPort}/`, { redirect: 'manual' })).status, 303)
  })

  t.test('and the API takes nothing but tokens for it', async (t) => {
    const ask = (token?: string) =>
      fetch(`http://localhost:${apiPort}/`, token ? { headers: { authorization: `Bearer ${token}` } } : {})
    t.match((await ask()).headers.get('www-authenticate'), /^Bearer scope="orders:read", resource_metadata=/)
    t.match((await ask('eyJhbGciOiJub25lIn0.e30.AA')).headers.get('www-authenticate'), 'invalid_token')

    const service = await server.createService('orders:write')
    const reply = await server.post(
      '/token',
      { grant_type: 'client_credentials', scope: 'orders:write' },
      { authorization: service.basic },
    )
    t.equal((await ask(reply.json().access_token)).status, 403, 'RFC 6750 §3.1: a token without the scope')
  })
})

t.test('the five lines of README.md take whatever an API is shown', async (t) => {
  const server = await createRunningServer(t)
  const { ctx } = server
  const audience = 'https://orders.example'
  const orders = await server.createResource(audience, 'orders:read', { acceptsBasic: true })
  const service = await server.createService('orders:read')
  const by = { actor: 'operator' }
  await createTier(ctx, 'small', { limit: 10, window: 600, burst: 5 }, by)
  await server.refresh()
  const port = await freePort()
  const code = anyCredential.replaceAll('http://localhost:3000', ctx.config.server.issuer)
  const env = { CLIENT_ID: orders.clientId, CLIENT_SECRET: orders.clientSecret }
  await run(t, code.replaceAll('8081', String(port)), port, env)
  const url = `http://localhost:${port}/orders`

  async function tokenNow(): Promise<string> {
    const form = { grant_type: 'client_credentials', scope: 'orders:read' }
    return (await server.post('/token', form, { authorization: service.basic })).json().access_token
  }
  const jwt = await tokenNow()
  await updateResource(ctx, audience, { tokenFormat: 'opaque' }, { by })
  await server.refresh()
  const opaque = await tokenNow()
  t.match([jwt, opaque], [/^ey/, /^oat_/])
  const owner = { kind: 'client', id: service.clientId } as const
  const { text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['orders:read'] }, by)
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const publicJwk = publicKey.export({ format: 'jwk' })
  const signing = { owner, kind: 'signing', name: 'Signed', scope: ['orders:read'], publicJwk } as const
  const { key } = await createApiKey(ctx, signing, by)

  const shown: Readonly<Record<string, HeadersInit>> = {
    jwt: { authorization: `Bearer ${jwt}` },
    opaque: { authorization: `Bearer ${opaque}` },
    key: { 'x-api-key': text },
    password: { authorization: service.basic },
  }
  for (const [what, headers] of Object.entries(shown)) {
    const answer = await fetch(url, { headers })
    t.equal(answer.status, 200, what)
    t.same(await answer.json(), { orders: [{ id: 1, item: 'A door' }], for: service.clientId }, what)
  }
  t.equal((await fetch(url)).status, 401)
  const signed = await retryFor(20_000, async () => {
    const headers = await signRequest({ key: privateKey.export({ format: 'jwk' }), keyId: key.id, url })
    const answer = await fetch(url, { headers })
    // What it was sent before it started it cannot know.
    if (answer.status === 503) throw new Error('it has only just started')
    return answer
  })
  t.match(signed, { status: 200 })
})
