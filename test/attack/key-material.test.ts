import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { endApiKey } from '../../src/api-keys/index.js'
import { createTier } from '../../src/limits/index.js'
import { openKeyScene } from '../support/api-keys.js'
import { exchange, makeKey } from '../support/exchange.js'
import { createTestGateway, type TestGateway } from '../support/gateways.js'
import { dump, spellings } from '../support/leaks.js'
import { dumpRedis, withoutRedis as skip, startRedis } from '../support/redis.js'

// Where keys are managed, limited and shown to gateways, by whoever puts one where none belongs. What is found by the other
// tests of leaks is not sought again here: tokens, introspection, exchange, and databases that fail.

const by = { actor: 'operator' }
/** Where the secret begins: what stands before is public. */
const secretOf = (text: string): string => text.slice(text.lastIndexOf('_') + 17)

type Answer = { readonly statusCode: number; readonly headers: object; readonly body: string }

/** Shows a key in every place of a request to each endpoint of ours that is about keys. @returns all that was answered */
async function showEverywhere(
  scene: Awaited<ReturnType<typeof openKeyScene>>,
  gateway: TestGateway,
  text: string,
): Promise<Answer[]> {
  const { call, root } = scene
  const answers: Answer[] = []
  const note = async (answer: Promise<Answer>) => answers.push(await answer)
  const { token } = root
  const good = { owner: root.id, name: 'x', scope: 'read' }
  const escaped = encodeURIComponent(text)
  const wrong = Object.keys({
    ...good,
    ...{ description: '', environment: '', prefix: '', kind: '', resource: '', networks: '', origins: '' },
    ...{ expires_in: '', tier: '', jwk: '', owner_kind: '' },
  }).filter((name) => name !== 'name' && name !== 'description')
  for (const name of [...wrong, text]) await note(call('POST', '/api-keys', { token, body: { ...good, [name]: text } }))
  for (const path of [
    `/api-keys/${escaped}`,
    `/api-keys/${escaped}/rotate`,
    `/api-keys/${escaped}/usage`,
    '/api-keys/end',
  ]) {
    for (const method of ['GET', 'POST', 'PATCH', 'DELETE'] as const) {
      await note(
        call(method, path, { token, ...(method === 'GET' ? {} : { body: { reason: 'x', id: text, owner: text } }) }),
      )
    }
  }
  for (const path of ['/api-keys', '/usage', '/rate-limits', '/leaks', '/revocations', '/userinfo', '/openapi.json']) {
    await note(call('GET', `${path}?owner=${escaped}&cursor=${escaped}&api_key=${escaped}`, { token }))
    for (const name of ['x-api-key', 'cookie', 'content-type', 'accept', 'user-agent', 'x-request-id']) {
      const body = [{ token: text, type: text, url: text }]
      await note(call('POST', path, { token: text, headers: { [name]: text }, body }))
    }
  }
  for (const headers of [
    ...[{ 'x-api-key': text }, { authorization: `Bearer ${text}` }, { authorization: `Basic ${btoa(`x:${text}`)}` }],
    ...[{ 'x-forwarded-uri': `/a?api_key=${text}` }, { 'x-gateway-authorization': text }, { 'x-forwarded-for': text }],
  ] as const) {
    await note(gateway.ask(headers))
    await note(gateway.ask(headers, { name: text }))
  }
  return answers
}

async function seek(t: Test, places: Readonly<Record<string, string>>, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    // Also a part of it would make the rest easier to guess.
    const parts = [text, secretOf(text), secretOf(text).slice(0, 24), secretOf(text).slice(24, 43)]
    for (const [place, content] of Object.entries(places)) {
      const found = parts.flatMap(spellings).filter((spelling) => content.includes(spelling))
      t.same(found, [], `${place} has nothing of a key`)
    }
  }
}

t.test('attack 118: nothing of a key comes back or is kept where keys are managed and shown to gateways', async (t) => {
  const scene = await openKeyScene(t)
  const { server, ada } = scene
  const owner = { kind: 'user', id: ada.id } as const
  const live = await makeKey(server, { owner, scope: ['read'] })
  const ended = await makeKey(server, { owner, scope: ['read'] })
  await endApiKey(server.ctx, ended.key.id, { cause: { ...by, reason: 'leaked' } })
  const mistyped = `${live.text.slice(0, -1)}${live.text.endsWith('x') ? 'y' : 'x'}`
  const texts = [live.text, ended.text, mistyped]
  const gateway = await createTestGateway(server, 'orders', { resource: 'https://api.example', scope: ['read'] })
  const answers: Answer[] = []
  for (const text of texts) answers.push(...(await showEverywhere(scene, gateway, text)))
  const statuses = new Set(answers.map(({ statusCode }) => statusCode))
  for (const status of [200, 400, 401, 404, 405]) t.ok(statuses.has(status), `some were answered ${status}`)
  await server.ctx.apiKeyUse.flush()
  await seek(
    t,
    {
      'an answer': answers.map(({ headers, body }) => `${JSON.stringify(headers)}\n${body}`).join('\n'),
      'the log': server.logs.join('\n'),
      'the audit': JSON.stringify(await server.audit()),
      'the database': await dump(server),
    },
    texts,
  )
})

t.test('attack 118: Redis has nothing of a key whose tier is there', { skip }, async (t) => {
  const { url } = await startRedis(t)
  const scene = await openKeyScene(t, { env: { REDIS_URL: url } })
  const { server, ada } = scene
  await createTier(server.ctx, 'some', { limit: 100, window: 60, burst: 100 }, by)
  const { key, text } = await makeKey(server, { owner: { kind: 'user', id: ada.id }, scope: ['read'], tier: 'some' })
  t.match((await exchange(server, text)).headers, { ratelimit: /^"some";r=/ })
  const kept = await dumpRedis(url)
  t.match(kept, 'ostiary:rate-limit:', 'it counts there')
  t.notOk(kept.includes(key.id), 'not even by its id')
  await seek(t, { Redis: kept }, [text])
})

t.test(
  'attack 118: there is no metric and no trace in which a key could be; whoever adds one seeks it above',
  async (t) => {
    const { server } = await openKeyScene(t)
    const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    t.notMatch(Object.keys(dependencies).join(' '), /metric|prom|statsd|telemetry|trac(e|ing)|sentry/i)
    for (const path of ['/metrics', '/traces', '/debug/vars']) t.equal((await server.get(path)).statusCode, 404, path)
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const { headers } = await server.get('/healthz', { traceparent })
    for (const name of ['traceparent', 'tracestate', 'server-timing']) t.notOk(name in headers, name)
    t.notMatch(server.logs.join('\n'), '4bf92f3577b34da6', 'nor is one carried on')
  },
)
