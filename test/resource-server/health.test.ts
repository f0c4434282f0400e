import t, { type Test } from 'tap'
import { credentials, TestIssuer } from './support/issuer.js'
import { until } from './support/platform.js'

/** Keys that stay good, where a test is about something else. */
const lasting = { 'cache-control': 'max-age=86400' }

/** Until then the server answers 503 for this path. */
function takeAway(issuer: TestIssuer, path: string): () => void {
  issuer.handlers.set(path, (_, response) => response.writeHead(503).end())
  return () => void issuer.handlers.delete(path)
}

const count = (issuer: TestIssuer, path: string): number => issuer.asked.filter((each) => each === path).length

t.test('without keys it is not ready', async (t) => {
  const issuer = await TestIssuer.start(t)
  const bringBack = takeAway(issuer, '/jwks')
  const { api, outcome } = await issuer.protect(t, { startTimeout: 0 })
  await until('they were asked for in vain', () => api.health().problem !== undefined)
  t.match(api.health(), { state: 'starting', lacks: [], keys: 0, problem: /jwks answered 503/ })
  t.equal(await outcome(issuer.token()), 'starting')
  bringBack()
  await issuer.platform.passUntil('it has them', () => api.health().state === 'ready')
  t.match(api.health(), { lacks: [], keys: 1, problem: undefined })
})

t.test('keys that are older than their Cache-Control: not ready, though they go on verifying', async (t) => {
  const issuer = await TestIssuer.start(t)
  issuer.jwksHeaders = { 'cache-control': 'max-age=60' }
  const { api, outcome } = await issuer.protect(t)
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  const bringBack = takeAway(issuer, '/jwks')
  issuer.platform.advance(59_999)
  t.match(api.health(), { state: 'ready', lacks: [] })
  await until('they were asked for, being nearly over', () => count(issuer, '/jwks') === 2)
  issuer.platform.advance(1)
  t.match(api.health(), { state: 'stale', lacks: ['keys'] })
  t.equal(await outcome(token), 'ok')
  for (let index = 0; index < 10; index++) t.equal(api.health().state, 'stale')
  t.equal(count(issuer, '/jwks'), 2, 'nor is the server asked more often for that')
  bringBack()
  issuer.platform.advance(5_000)
  await until('it is ready again, without a request', () => api.health().state === 'ready')
  t.equal(count(issuer, '/jwks'), 3)
})

t.test('an API without requests is not stale for that: asking for its health keeps the keys fresh', async (t) => {
  const issuer = await TestIssuer.start(t)
  issuer.jwksHeaders = { 'cache-control': 'max-age=60' }
  const { api } = await issuer.protect(t)
  for (let minutes = 1; minutes <= 5; minutes++) {
    issuer.platform.advance(50_000)
    t.match(api.health(), { state: 'ready', lacks: [] })
    await until('they were fetched anew', () => count(issuer, '/jwks') === minutes + 1)
    await until('and came', () => issuer.platform.timers === 0)
  }
})

t.test('a key was revoked, and there are no new ones: not ready', async (t) => {
  const issuer = await TestIssuer.start(t)
  issuer.jwksHeaders = lasting
  const { api } = await issuer.protect(t, { credentials })
  t.equal(api.health().state, 'ready')
  const bringBack = takeAway(issuer, '/jwks')
  issuer.revoke({ kind: 'key', id: issuer.key.kid, exp: 4_000_000_000 })
  await until('it came, and keys were asked for in vain', () => api.health().lacks.includes('keys'))
  t.match(api.health(), { state: 'stale', lacks: ['keys'], position: '1' })
  bringBack()
  issuer.platform.advance(5_000)
  issuer.heartbeat()
  await until('it has them', () => api.health().state === 'ready')
})

t.test('past the tolerance it lacks the feed', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { api } = await issuer.protect(t, { credentials })
  takeAway(issuer, '/revocations')
  issuer.endStreams()
  issuer.platform.advance(10_000)
  t.match(api.health(), { state: 'ready', lacks: [] })
  issuer.platform.advance(1)
  t.match(api.health(), { state: 'stale', lacks: ['feed'] })
  await api.close()
  t.match(api.health(), { state: 'closed', lacks: [] })
})

/** A verifier that reads status lists, which are over a minute after they were made. */
async function openByLists(t: Test) {
  const issuer = await TestIssuer.start(t)
  issuer.jwksHeaders = lasting
  const serve = (id: string) => {
    const sub = `${issuer.issuer}/status-lists/${id}`
    issuer.handlers.set(`/status-lists/${id}`, (_, response) =>
      response.end(issuer.statusList({ sub, exp: issuer.platform.seconds + 60 })),
    )
  }
  /** Lives for ten minutes. */
  const tokenOf = (id: string) =>
    issuer.token({ status: { status_list: { idx: 0, uri: `${issuer.issuer}/status-lists/${id}` } } })
  return { issuer, serve, tokenOf, ...(await issuer.protect(t)) }
}

t.test('a status list that is over and cannot be had: not ready until it can', async (t) => {
  const { issuer, api, outcome, serve, tokenOf } = await openByLists(t)
  serve('a')
  const token = tokenOf('a')
  t.equal(await outcome(token), 'ok')
  takeAway(issuer, '/status-lists/a')
  issuer.platform.advance(64_000)
  t.match(api.health(), { state: 'ready', lacks: [] }, 'the last one counts until it is over, and the skew of clocks')
  issuer.platform.advance(1_000)
  t.match(api.health(), { state: 'stale', lacks: ['status-list'] })
  t.equal(await outcome(token), 'status_list_unavailable')
  serve('a')
  issuer.platform.advance(1_000)
  await until('it is ready again, without a request', () => api.health().state === 'ready')
  t.equal(await outcome(token), 'ok')
})

t.test('a status list that could never be had is lacking as long as a token lives that names it', async (t) => {
  const { issuer, api, outcome, serve, tokenOf } = await openByLists(t)
  takeAway(issuer, '/status-lists/gone')
  t.equal(api.health().state, 'ready', 'nothing names it yet')
  t.equal(await outcome(tokenOf('gone')), 'status_list_unavailable')
  t.match(api.health(), { state: 'stale', lacks: ['status-list'] })
  for (let index = 0; index < 10; index++) api.health()
  t.equal(count(issuer, '/status-lists/gone'), 1, 'for a second nobody asks again')
  // Another one that fails later makes nobody forget it.
  takeAway(issuer, '/status-lists/other')
  issuer.platform.advance(2_000)
  t.equal(await outcome(tokenOf('other')), 'status_list_unavailable')
  serve('other')
  issuer.platform.advance(1_000)
  t.equal(await outcome(tokenOf('other')), 'ok')
  t.match(api.health(), { state: 'stale', lacks: ['status-list'] })
  issuer.platform.advance(603_000)
  serve('other')
  await until('nobody needs it any more', () => api.health().state === 'ready')
})

t.test('lists that were driven out by others are not lacking', async (t) => {
  const { api, outcome, serve, tokenOf } = await openByLists(t)
  for (let id = 0; id < 70; id++) {
    serve(`n${id}`)
    t.equal(await outcome(tokenOf(`n${id}`)), 'ok')
  }
  t.match(api.health(), { state: 'ready', lacks: [] })
})
