import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.js'
import { openContext } from '../../src/open-context.js'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.js'
import { listenToFeed } from '../support/feed.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'
import { apiIdentifier, application, claimsOf, revokeAt, tokensFor } from '../support/tokens.js'

// In real time: how soon what one process commits is heard at another, and what a process says that cannot see.

/** Another process on the database of the server, as `serve` runs it: it hears notifications, and polls. */
async function follow(t: Test, server: TestServer, databaseUrl: string): Promise<TestServer> {
  const { config, log, clock, random } = server.ctx
  const ctx = await openContext({ config, log, databaseUrl, clock, random, follow: true })
  const app = await createApp(ctx)
  await app.ready()
  t.teardown(async () => {
    await app.close()
    await ctx.close()
  })
  return { ...server, ctx, app }
}

/** A server that revokes, and another one that follows it by way of a proxy. */
async function openTwo(t: Test, env: Readonly<Record<string, string>> = {}) {
  const server = await createTestServer(t, { env })
  const api = await server.createResource(apiIdentifier, 'read write')
  const client = await server.createClient(application)
  const scene = { server, api, client, user: await server.createUser() }
  const proxy: DatabaseProxy = await createDatabaseProxy(t, server.databaseUrl)
  const other = await follow(t, server, proxy.url)
  return { ...scene, scene, proxy, other }
}

/** An entry without the notification of its commit. */
function listSilently(server: TestServer, id: string) {
  return sql(
    server,
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
     VALUES (floor(extract(epoch FROM $1::timestamptz) / 86400), 'token', $2, nextval('revocation_position'), true, $1,
             '{}', 'test', $1::timestamptz + interval '1 hour')`,
    [server.clock.now(), id],
  )
}

t.test('what one process commits is heard by the listeners of another, and by its own before the answer', async (t) => {
  const { server, api, client, scene, other } = await openTwo(t)
  const [near, far] = [await listenToFeed(t, server, api), await listenToFeed(t, other, api)]
  await Promise.all([near.untilHeartbeat(), far.untilHeartbeat()])
  const times: number[] = []
  for (let n = 0; n < 20; n++) {
    const { access_token } = await tokensFor(scene)
    const id = String(claimsOf(access_token)['jti'])
    t.equal((await revokeAt(server, client, access_token)).statusCode, 200)
    const since = performance.now()
    await Promise.all([near.untilEntry(id), far.untilEntry(id)])
    times.push(performance.now() - since)
  }
  times.sort((a, b) => a - b)
  t.ok(times[10]! < 250, `half of them within ${Math.round(times[10]!)} ms`)
  t.ok(times[19]! < 1000, `all within ${Math.round(times[19]!)} ms`)
})

t.test('a notification that is lost costs at most the poll', async (t) => {
  const { server, api, other } = await openTwo(t)
  const listener = await listenToFeed(t, other, api)
  await listener.untilHeartbeat()
  for (let n = 0; n < 3; n++) {
    const id = randomUUID()
    await listSilently(server, id)
    const since = performance.now()
    await listener.untilEntry(id)
    const took = performance.now() - since
    t.ok(took < 2_000, `${Math.round(took)} ms`)
  }
})

t.test('a process whose database is away does not look fresh, takes no new listener, and catches up', async (t) => {
  const { server, api, other, proxy } = await openTwo(t)
  const listener = await listenToFeed(t, other, api)
  t.ok((await listener.untilHeartbeat()).age < 2_000)
  proxy.down()
  const missed = randomUUID()
  await listSilently(server, missed)
  const ages: number[] = []
  while ((ages.at(-1) ?? 0) < 4_000) ages.push((await listener.untilHeartbeat()).age)
  t.ok(
    ages.every((age, index) => index < 8 || age > ages[index - 4]!),
    'older with each heartbeat',
  )
  const refused = await listenToFeed(t, other, api)
  t.equal(refused.status, 503)
  t.ok(Number(refused.headers['retry-after']) > 0)
  t.same(listener.entries(), [])

  proxy.up()
  await listener.untilEntry(missed)
  while ((await listener.untilHeartbeat()).age > 2_000) await delay(1)
  t.equal((await listenToFeed(t, other, api)).status, 200)
})

t.test('a listener that does not read is cut, and the others lose nothing', async (t) => {
  const { server, api, other } = await openTwo(t, { REVOCATION_STREAMS: '2' })
  const [slow, good] = [await listenToFeed(t, other, api), await listenToFeed(t, other, api)]
  await Promise.all([slow.untilHeartbeat(), good.untilHeartbeat()])
  slow.pause()
  // Some megabytes: more than the system takes for it, and than the server keeps.
  const batch = 20_000
  for (let n = 0; n < 8; n++) {
    await sql(
      server,
      `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
       SELECT floor(extract(epoch FROM $1::timestamptz) / 86400), 'token', gen_random_uuid(), nextval('revocation_position'),
              true, $1, '{}', 'test', $1::timestamptz + interval '1 hour' FROM generate_series(1, $2::int)`,
      [server.clock.now(), batch],
    )
    await other.refresh()
  }
  const id = randomUUID()
  await listSilently(server, id)
  await other.refresh()
  await good.untilEntry(id)
  t.equal(good.entries().length, 8 * batch + 1)
  // Its place is free when it has taken nothing for ten seconds.
  const since = performance.now()
  while ((await listenToFeed(t, other, api)).status !== 200) await delay(100)
  t.ok(performance.now() - since < 25_000)
  slow.resume()
  t.equal(await slow.ended, false, 'what it missed it can ask for again')
})
