import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { createTier } from '../../src/limits/index.js'
import { openKeyScene } from '../support/api-keys.js'
import { exchange, makeKey } from '../support/exchange.js'
import { spellings } from '../support/leaks.js'
import { dumpRedis, withoutRedis as skip, startRedis } from '../support/redis.js'

// Where a key could be besides the log, the audit, the database and the answers, which api-key-leaks.test.ts searches.

const by = { actor: 'operator' }
/** Where the secret begins: what stands before is public. */
const secretOf = (text: string): string => text.slice(text.lastIndexOf('_') + 17)

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
  'attack 118: there is no metric and no trace in which a key could be; whoever adds one seeks it there',
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
