import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { retryFor } from '../../src/platform/retry.js'
import { createRunningServer, freePort } from '../support/running-server.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const audience = 'https://orders.example'

/** Starts an example as its README says, and waits until it answers. */
async function run(t: Test, example: string, env: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn(process.execPath, [`examples/${example}/server.mjs`], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    child.kill()
    await exited
  })
  const answered = await retryFor(20_000, () => fetch(`http://localhost:${env['PORT']}/health`))
  t.ok(answered, 'it listens')
}

for (const example of ['api-fastify', 'api-express']) {
  t.test(`examples/${example}: a token is accepted, and refused once it is revoked`, async (t) => {
    const server = await createRunningServer(t)
    const { issuer } = server.ctx.config.server
    const api = await server.createResource(audience, 'orders:read orders:write')
    const service = await server.createService('orders:read')
    const port = await freePort()
    const credentials = { CLIENT_ID: api.clientId, CLIENT_SECRET: api.clientSecret }
    await run(t, example, { ISSUER: issuer, AUDIENCE: audience, PORT: String(port), ...credentials })

    const reply = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: service.basic })
    const token: string = reply.json().access_token
    const ask = (path: string, init: RequestInit = {}) =>
      fetch(`http://localhost:${port}${path}`, { ...init, headers: { authorization: `Bearer ${token}` } })

    t.match(await (await ask('/orders')).json(), { orders: [{ id: 1 }], for: service.clientId })
    const denied = await ask('/orders', { method: 'POST' })
    t.equal(denied.status, 403)
    t.match(denied.headers.get('www-authenticate'), /error="insufficient_scope".*scope="orders:write"/)
    const stranger = await fetch(`http://localhost:${port}/orders`)
    t.equal(stranger.status, 401)
    t.equal(
      stranger.headers.get('www-authenticate'),
      `Bearer scope="orders:read", resource_metadata="${audience}/.well-known/oauth-protected-resource"`,
    )
    const metadata = await fetch(`http://localhost:${port}/.well-known/oauth-protected-resource`)
    t.match(await metadata.json(), { resource: audience, authorization_servers: [issuer] })

    t.test('within the second after it is revoked', async (t) => {
      t.match(await (await fetch(`http://localhost:${port}/health`)).json(), { state: 'ready', revocation: 'feed' })
      const revoked = await server.post('/revoke', { token }, { authorization: service.basic })
      t.equal(revoked.statusCode, 200)
      const revokedAt = performance.now()
      const refused = await retryFor(1_000, async () => {
        const { status } = await ask('/orders')
        if (status !== 401) throw new Error(`it is answered ${status}`)
        return status
      })
      t.equal(refused, 401, `after ${Math.round(performance.now() - revokedAt)} ms`)
    })
  })
}
