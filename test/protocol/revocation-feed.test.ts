import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { deleteClient, disableClient, enableClient } from '../../src/clients/index.js'
import { deleteResource } from '../../src/clients/resource-servers.js'
import { disableUser, enableUser } from '../../src/identity/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import { type Entry, feedToken, listenToFeed, snapshotOf } from '../support/feed.js'
import { createTestServer, sql, testIssuer } from '../support/server.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  introspect,
  openScene,
  postAs,
  revokeAt,
  tokensFor,
} from '../support/tokens.js'

const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }

t.test('RFC 8414 §2: the metadata says where the feed and its snapshot are', async (t) => {
  const server = await createTestServer(t)
  t.match((await server.get('/.well-known/oauth-authorization-server')).json(), {
    revocation_feed_endpoint: `${testIssuer}/revocations`,
    revocation_snapshot_endpoint: `${testIssuer}/revocations/snapshot`,
  })
})

t.test(
  'RFC 6749 §4.4: the client of a resource server gets a token for the feed, and none for anything else',
  async (t) => {
    const { server, api, client } = await openScene(t)
    const ask = (who: typeof api, form: Record<string, string> = {}) =>
      postAs(server, who, '/token', { grant_type: 'client_credentials', scope: 'revocations', ...form })

    const reply = await ask(api)
    t.match(reply.json(), { token_type: 'Bearer', scope: 'revocations' })
    t.match(claimsOf(reply.json().access_token), { aud: testIssuer, client_id: api.clientId, scope: 'revocations' })

    const others: readonly Record<string, string>[] = [
      { scope: 'read' },
      { scope: '' },
      { scope: 'revocations read' },
      { resource: apiIdentifier },
    ]
    for (const form of others) {
      t.match((await ask(api, form)).json(), { error: 'unauthorized_client' }, JSON.stringify(form))
    }
    t.match((await ask(client)).json(), { error: 'unauthorized_client' })
    const service = await server.createService('read')
    t.match((await ask(service)).json(), { error: 'invalid_scope' })

    // A scope of that name is that resource's own.
    await server.createResource('https://other.example', 'revocations')
    const owner = await server.createService('revocations')
    const { access_token } = (await ask(owner)).json()
    t.match(claimsOf(access_token), { aud: 'https://other.example' })
    const answer = await server.get('/revocations', { authorization: `Bearer ${access_token}` })
    t.equal(answer.statusCode, 401)
  },
)

t.test('RFC 6750 §3: who brings no good token is told why, by both endpoints', async (t) => {
  const { server, api, client } = await openScene(t)
  const good = await feedToken(server, api)
  const revoked = await feedToken(server, api)
  await revokeAt(server, api, revoked)
  const { access_token: users } = await tokensFor({
    server,
    api,
    client,
    user: await server.createUser('b@example.com'),
  })
  const own = await tokensFor(
    { server, api, client, user: await server.createUser('c@example.com') },
    { scope: ['openid'], resources: [] },
  )
  for (const path of ['/revocations', '/revocations/snapshot']) {
    for (const authorization of [undefined, api.basic, 'DPoP abc']) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
      const reply = await server.get(path, headers)
      t.equal(reply.statusCode, 401)
      t.equal(reply.headers['www-authenticate'], `Bearer realm="${testIssuer}"`, 'no error code')
      t.equal(reply.body, '')
    }
    for (const token of ['abc', revoked, users, `${good}x`, `oat_1_${'x'.repeat(43)}`]) {
      const reply = await server.get(path, { authorization: `Bearer ${token}` })
      t.equal(reply.statusCode, 401)
      t.match(
        reply.headers['www-authenticate'],
        /^Bearer realm="[^"]+", error="invalid_token", error_description="[^"]+"$/,
      )
      t.match(reply.json(), { error: 'invalid_token' })
    }
    const forbidden = await server.get(path, { authorization: `Bearer ${own.access_token}` })
    t.equal(forbidden.statusCode, 403)
    t.match(forbidden.headers['www-authenticate'], /error="insufficient_scope".*, scope="revocations"$/)
    for (const authorization of ['Bearer', 'Bearer a b', 'Bearer "x"']) {
      const reply = await server.get(path, { authorization })
      t.equal(reply.statusCode, 400, authorization)
      t.match(reply.headers['www-authenticate'], /error="invalid_request"/)
    }
    const inAddress = await server.get(`${path}?access_token=${good}`, {})
    t.equal(inAddress.statusCode, 400, 'RFC 6750 §2.3')
    t.notMatch(inAddress.body, good)
    const malformed = await server.get(`${path}?after=-1`, { authorization: `Bearer ${good}` })
    t.equal(malformed.statusCode, 400)
  }
  server.clock.advance(601)
  t.equal((await server.get('/revocations', { authorization: `Bearer ${good}` })).statusCode, 401, 'expired')
  const head = await server.app.inject({ method: 'HEAD', url: '/revocations' })
  t.equal(head.statusCode, 405)
  t.equal(head.headers['allow'], 'GET')
})

t.test('revocation.md: a listener hears each kind at once, by the name that its tokens have', async (t) => {
  const scene = await openScene(t)
  const { server, api } = scene
  const listener = await listenToFeed(t, server, api)
  t.equal(listener.status, 200)
  t.match(listener.headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  t.match(await listener.until(() => true), { event: 'heartbeat', data: { position: '0' } }, 'the backlog is empty')
  const second = Math.floor(server.clock.now().getTime() / 1000)
  const nbf = (entry: Entry) => ({ nbf: entry.nbf, lasts: entry.exp === undefined ? undefined : entry.exp - second })
  const lasts = (entry: Entry) => (entry.exp ?? 0) - second

  const first = await tokensFor(scene)
  const { jti } = claimsOf(first.access_token)
  await revokeAt(server, scene.client, first.access_token)
  const token = await listener.untilEntry(String(jti))
  t.match(token, { kind: 'token', id: jti, nbf: undefined })
  t.ok(lasts(token) > 3600 && lasts(token) <= 3661, 'as long as a token could live, and a verifier’s clock be behind')

  await revokeAt(server, scene.client, first.refresh_token)
  t.match(await listener.untilEntry(first.issued.grantId), { kind: 'grant', nbf: undefined })

  const second2 = await tokensFor(scene)
  const session = await sessions.findById(server.ctx.db, second2.issued.sid)
  await revoke(server.ctx, { kind: 'session', id: second2.issued.sid, ...session! }, cause)
  t.match(await listener.untilEntry(second2.issued.sid), { kind: 'session', nbf: undefined })

  await revoke(server.ctx, { kind: 'user', userId: scene.user.id }, cause)
  const user = await listener.untilEntry(scene.user.id)
  t.match(user, { kind: 'user' })
  t.match(nbf(user), { nbf: second, lasts: Number })

  await revoke(server.ctx, { kind: 'client', clientId: scene.client.clientId }, cause)
  t.match(await listener.untilEntry(scene.client.clientId), { kind: 'client', nbf: second })

  const service = await server.createService('read')
  await createRole(server.ctx, { resource: apiIdentifier, name: 'reader', scope: ['read'] }, by)
  await grantRole(server.ctx, apiIdentifier, 'reader', { kind: 'client', holder: service.clientId }, by)
  await withdrawRole(server.ctx, apiIdentifier, 'reader', { kind: 'client', holder: service.clientId }, by)
  t.match(
    await listener.untilEntry(service.clientId),
    { kind: 'role', nbf: second },
    'the holder alone: the resource is known',
  )

  const [kid] = await server.ctx.keys.end(undefined, by)
  await server.ctx.revocations.refresh()
  t.same(await listener.untilEntry(String(kid)), { kind: 'key', id: kid }, 'for ever')
  // The key that signed the listener's own token: it has to come again, with one that another key signed.
  t.equal(await listener.ended, true)
})

t.test('revocation.md: disabled is terminal, and enabled a not-before in its place', async (t) => {
  const scene = await openScene(t)
  const { server, api, user, client } = scene
  await tokensFor(scene)
  const listener = await listenToFeed(t, server, api)
  await disableUser(server.ctx, user.id, by)
  t.same(await listener.untilEntry(user.id), { kind: 'user', id: user.id }, 'until it is lifted')
  await disableClient(server.ctx, client.clientId, by)
  t.same(await listener.untilEntry(client.clientId), { kind: 'client', id: client.clientId })

  server.clock.advance(5)
  const second = Math.floor(server.clock.now().getTime() / 1000)
  await enableUser(server.ctx, user.id, by)
  await enableClient(server.ctx, client.clientId, by)
  for (const id of [user.id, client.clientId]) {
    await listener.until(
      ({ data }) => Array.isArray(data) && data.some((entry) => entry.id === id && entry.nbf === second),
    )
    const last = listener.entries().findLast((entry) => entry.id === id)
    t.equal(last?.nbf, second)
    t.ok((last?.exp ?? 0) > second + 3600, 'and forgotten some day')
  }
  const { revocations } = await snapshotOf(server, api)
  t.same(
    revocations.map(({ id }) => id),
    [user.id, client.clientId],
    'each once',
  )
})

t.test('revocation.md: only what concerns the audience of the resource server, in both directions', async (t) => {
  const scene = await openScene(t)
  const { server, api } = scene
  const otherIdentifier = 'https://other.example'
  const other = await server.createResource(otherIdentifier, 'look')
  const here = {
    ...scene,
    client: await server.createClient({ ...application, scope: 'read look', allowed_resources: [apiIdentifier] }),
  }
  const there = {
    ...scene,
    client: await server.createClient({ ...application, scope: 'read look', allowed_resources: [otherIdentifier] }),
    user: await server.createUser('there@example.com'),
  }
  const both = {
    ...scene,
    client: await server.createClient({ ...application, scope: 'read look' }),
    user: await server.createUser('both@example.com'),
  }
  const nobody = await server.createUser('nobody@example.com')
  const look = { scope: ['look'], resources: [otherIdentifier] }
  const of = {
    here: await tokensFor(here, { scope: ['read'] }),
    there: await tokensFor(there, look),
    both: await tokensFor(both, { scope: ['read'] }),
    alsoThere: await tokensFor(both, look),
  }
  const [one, two] = [await listenToFeed(t, server, api), await listenToFeed(t, server, other)]

  const expected: Record<'one' | 'two', string[]> = { one: [], two: [] }
  const concerns = (id: unknown, ...who: ('one' | 'two')[]) => {
    for (const each of who) expected[each].push(String(id))
  }
  await revokeAt(server, here.client, of.here.access_token)
  concerns(claimsOf(of.here.access_token)['jti'], 'one')
  await revokeAt(server, there.client, of.there.access_token)
  concerns(claimsOf(of.there.access_token)['jti'], 'two')
  await revokeAt(server, both.client, of.both.refresh_token)
  concerns(of.both.issued.grantId, 'one')
  const { sid } = of.alsoThere.issued
  const session = (await sessions.findById(server.ctx.db, sid))!
  await revoke(server.ctx, { kind: 'session', id: sid, ...session }, cause)
  concerns(sid, 'one', 'two')
  for (const [user, ...who] of [
    [here.user, 'one'],
    [there.user, 'two'],
    [both.user, 'one', 'two'],
    [nobody],
  ] as const) {
    await revoke(server.ctx, { kind: 'user', userId: user.id }, cause)
    concerns(user.id, ...who)
  }
  for (const [client, ...who] of [
    [here.client, 'one'],
    [there.client, 'two'],
    [both.client, 'one', 'two'],
  ] as const) {
    await revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause)
    concerns(client.clientId, ...who)
  }
  await createRole(server.ctx, { resource: otherIdentifier, name: 'looker', scope: ['look'] }, by)
  const holder = { kind: 'user', holder: nobody.id } as const
  await grantRole(server.ctx, otherIdentifier, 'looker', holder, by)
  await withdrawRole(server.ctx, otherIdentifier, 'looker', holder, by)
  concerns(nobody.id, 'two')
  // Heard by both, so that all before it was.
  const last = await server.createService('read look')
  await revoke(server.ctx, { kind: 'client', clientId: last.clientId }, cause)
  concerns(last.clientId, 'one', 'two')

  for (const [name, listener, client] of [
    ['one', one, api],
    ['two', two, other],
  ] as const) {
    await listener.untilEntry(last.clientId)
    t.same(
      listener.entries().map(({ id }) => id),
      expected[name],
      name,
    )
    const { revocations, aud } = await snapshotOf(server, client)
    t.same(
      revocations.map(({ id }) => id),
      expected[name],
      `the snapshot of ${name}`,
    )
    t.equal(aud, name === 'one' ? apiIdentifier : otherIdentifier)
  }
})

t.test('revocation.md: a client whose registration was narrowed concerns whom it could reach until now', async (t) => {
  const { server, api } = await openScene(t)
  const other = await server.createResource('https://other.example', 'look')
  const client = await server.createService('read look', {
    allowed_resources: [apiIdentifier, 'https://other.example'],
  })
  const { updateClient } = await import('../../src/clients/index.js')
  const { registration } = await import('../support/server.js')
  const told = async () =>
    (await snapshotOf(server, other)).revocations.filter(({ id }) => id === client.clientId).length
  server.clock.advance(60)
  await updateClient(server.ctx, client.clientId, { allowed_resources: [apiIdentifier] }, registration)
  await revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause)
  t.equal(await told(), 1, 'its tokens may be alive there')
  t.equal((await snapshotOf(server, api)).revocations.length, 1)

  server.clock.advance(3 * 3600)
  t.equal(await told(), 0, 'it is over')
  await revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause)
  t.equal((await snapshotOf(server, api)).revocations.length, 1)
  t.equal(await told(), 0, 'no more')
})

t.test('HTML §9.2: a listener resumes behind any position, and misses nothing', async (t) => {
  const scene = await openScene(t)
  const { server, api, client } = scene
  const ids: string[] = []
  for (let n = 0; n < 12; n++) {
    const { access_token } = await tokensFor(scene)
    ids.push(String(claimsOf(access_token)['jti']))
    await revokeAt(server, client, access_token)
  }
  const token = await feedToken(server, api)
  for (let position = 0; position <= ids.length; position++) {
    for (const way of [{ after: `${position}` }, { query: `?after=${position}&heartbeat=250` }]) {
      const listener = await listenToFeed(t, server, api, { token, ...way })
      const { position: at } = await listener.untilHeartbeat()
      t.equal(at, '12')
      t.same(
        listener.entries().map(({ id }) => id),
        ids.slice(position),
      )
      t.equal(listener.events[0]?.id, position === ids.length ? undefined : '12')
      listener.close()
    }
  }
  const fresh = await listenToFeed(t, server, api, { token })
  await fresh.untilHeartbeat()
  t.same(fresh.entries(), [], 'without one it begins now')

  // What is over by now is not sent, and its position no error.
  server.clock.advance(4000)
  const late = await listenToFeed(t, server, api, { after: '3' })
  await late.untilHeartbeat()
  t.same(late.entries(), [])
})

t.test('HTML §9.2: whoever is cut in the middle of many revocations resumes there', async (t) => {
  const { server, api } = await openScene(t)
  const listeners = [await listenToFeed(t, server, api)]
  await listeners[0]!.untilHeartbeat()
  const count = 1_234
  await sql(
    server,
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
     SELECT floor(extract(epoch FROM $1::timestamptz) / 86400), 'token', 't' || n, nextval('revocation_position'), true, $1,
            '{}', 'test', $1::timestamptz + interval '1 hour' FROM generate_series(1, $2::int) n`,
    [server.clock.now(), count],
  )
  await server.refresh()
  listeners.push(await listenToFeed(t, server, api, { after: '0' }))
  for (const listener of listeners) {
    await listener.untilEntry(`t${count}`)
    const events = listener.events.filter(({ event }) => event === 'revocations')
    t.ok(events.length > 2)
    let seen = 0
    for (const { id, data } of events) {
      seen += (data as Entry[]).length
      const resumed = await listenToFeed(t, server, api, { after: id ?? '' })
      await resumed.untilHeartbeat()
      t.equal(seen + resumed.entries().length, count, `behind ${id}`)
      t.equal(resumed.entries()[0]?.id, seen === count ? undefined : `t${seen + 1}`)
      resumed.close()
    }
  }
})

t.test('a position of another database is answered with reset', async (t) => {
  const { server, api, client, ...scene } = await openScene(t)
  const beside = await createTestServer(t, { beside: server })
  const { access_token } = await tokensFor({ server, api, client, ...scene })
  await revokeAt(server, client, access_token)
  const ahead = await listenToFeed(t, server, api, { after: '2' })
  t.equal(await ahead.ended, true)
  t.match(ahead.events, [{ event: 'reset', data: {} }])

  // Another process that has not heard yet does not take it for one.
  t.equal(beside.ctx.revocations.position(), 0n)
  const elsewhere = await listenToFeed(t, beside, api, { after: '1', token: await feedToken(server, api) })
  t.match(await elsewhere.untilHeartbeat(), { position: '1' })

  // Nor one that was started when nothing was left that lives: the position is not in its list.
  server.clock.advance(4000)
  const restarted = await createTestServer(t, { beside: server })
  t.equal(restarted.ctx.revocations.position(), 0n)
  const resumed = await listenToFeed(t, restarted, api, { after: '1' })
  t.match(await resumed.untilHeartbeat(), {})
})

t.test('a stream ends with its token: expired, revoked, its client or resource deleted', async (t) => {
  const { server, api } = await openScene(t)
  const endings: Record<string, (token: string, identifier: string, who: typeof api) => Promise<unknown>> = {
    expired: async () => server.clock.advance(600),
    revoked: async (token, _, who) => revokeAt(server, who, token),
    'its client revoked': async (_, __, who) => revoke(server.ctx, { kind: 'client', clientId: who.clientId }, cause),
    'its resource deleted': async (_, identifier) => deleteResource(server.ctx, identifier, by),
  }
  for (const [index, [name, end]] of Object.entries(endings).entries()) {
    const identifier = `https://api${index}.example`
    const who = await server.createResource(identifier, `s${index}`)
    const token = await feedToken(server, who)
    const listener = await listenToFeed(t, server, who, { token })
    await listener.untilHeartbeat()
    await end(token, identifier, who)
    t.equal(await listener.ended, true, name)
    t.not(listener.events.at(-1)?.event, 'moved')
  }
})

t.test('RFC 9110 §8.4: compressed where it is accepted, and flushed at every event', async (t) => {
  const scene = await openScene(t)
  const { server, api, client } = scene
  for (const encoding of ['gzip', 'br, gzip;q=0.5', '*']) {
    const listener = await listenToFeed(t, server, api, { headers: { 'accept-encoding': encoding } })
    t.equal(listener.headers['content-encoding'], 'gzip')
    await listener.untilHeartbeat()
    for (let n = 0; n < 3; n++) {
      const all = await Promise.all(Array.from({ length: n * 4 + 1 }, () => tokensFor(scene)))
      await Promise.all(all.map(({ access_token }) => revokeAt(server, client, access_token)))
      for (const { access_token } of all) await listener.untilEntry(String(claimsOf(access_token)['jti']))
    }
    listener.close()
  }
  for (const encoding of ['identity', 'br', 'gzip;q=0', '']) {
    const listener = await listenToFeed(t, server, api, { headers: { 'accept-encoding': encoding } })
    t.equal(listener.headers['content-encoding'], undefined, encoding)
    listener.close()
  }
  // The end is that of a gzip member: its sum is right.
  const { access_token } = await tokensFor(scene)
  const token = await feedToken(server, api)
  const listener = await listenToFeed(t, server, api, { token, after: '0', headers: { 'accept-encoding': 'gzip' } })
  await listener.untilHeartbeat()
  await revokeAt(server, client, access_token)
  await revokeAt(server, api, token)
  t.equal(await listener.ended, true)

  const reply = await server.get('/revocations/snapshot', {
    authorization: `Bearer ${await feedToken(server, api)}`,
    'accept-encoding': 'gzip',
  })
  t.match(reply.headers, {
    'content-encoding': 'gzip',
    'content-type': 'application/jwt',
    'cache-control': 'no-store',
    vary: 'Accept-Encoding',
  })
  t.match(gunzipSync(reply.rawPayload).toString(), /^[\w-]+\.[\w-]+\.[\w-]+$/)
})

t.test('a server that stops sends its listeners elsewhere, and spreads their return', async (t) => {
  const { server, api } = await openScene(t)
  const token = await feedToken(server, api)
  const listeners = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      listenToFeed(t, server, api, { token, headers: { 'accept-encoding': n % 2 ? 'gzip' : 'identity' } }),
    ),
  )
  for (const listener of listeners) await listener.untilHeartbeat()
  const closing = server.app.close()
  const retries = await Promise.all(
    listeners.map(async ({ until, ended }) => {
      const { retry, data } = await until(({ event }) => event === 'moved')
      t.same(data, {})
      t.equal(await ended, true)
      return Number(retry)
    }),
  )
  await closing
  t.ok(
    retries.every((retry) => retry >= 100 && retry < 2100),
    retries.join(' '),
  )
  t.ok(new Set(retries).size > 4, 'not all at once')
})

t.test('a client has so many streams and no more, and another loses nothing by it', async (t) => {
  const server = await createTestServer(t, { env: { REVOCATION_STREAMS: '2' } })
  const api = await server.createResource(apiIdentifier, 'read')
  const other = await server.createResource('https://other.example', 'look')
  const two = [await listenToFeed(t, server, api), await listenToFeed(t, server, api)]
  const third = await listenToFeed(t, server, api)
  t.equal(third.status, 503)
  t.ok(Number(third.headers['retry-after']) > 0)
  t.equal((await listenToFeed(t, server, other)).status, 200)
  two[0]!.close()
  for (;;) {
    const again = await listenToFeed(t, server, api)
    if (again.status === 200) break
    await new Promise(setImmediate)
  }
})

t.test('heartbeats come as asked: the position, how old it is, and the time', async (t) => {
  const { server, api } = await openScene(t)
  for (const heartbeat of ['249', '10001', '0', 'x', '1e3', '-5']) {
    const refused = await listenToFeed(t, server, api, { query: `?heartbeat=${heartbeat}` })
    t.equal(refused.status, 400, heartbeat)
  }
  const listener = await listenToFeed(t, server, api)
  const first = await listener.untilHeartbeat()
  const second = await listener.untilHeartbeat()
  t.match(first, { position: '0', time: server.clock.now().getTime() })
  // Nobody reads the list here: what is known is older each time.
  t.ok(second.age >= first.age + 200, `${first.age}, then ${second.age}`)
  await server.refresh()
  t.ok((await listener.untilHeartbeat()).age < second.age + 250)
})

t.test('a snapshot is signed, says whom it is for, and goes on where the last one ended', async (t) => {
  const { server, api } = await openScene(t)
  const count = 45_001
  await sql(
    server,
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
     SELECT floor(extract(epoch FROM $1::timestamptz) / 86400), 'token', 't' || n, nextval('revocation_position'), true, $1,
            CASE n % 3 WHEN 0 THEN ARRAY['https://other.example'] WHEN 1 THEN ARRAY[$2] ELSE '{}' END, 'test',
            $1::timestamptz + interval '1 hour'
       FROM generate_series(1, $3::int) n`,
    [server.clock.now(), apiIdentifier, count],
  )
  const ids: string[] = []
  let documents = 0
  for (let after: string | undefined, more = true; more; documents++) {
    const snapshot = await snapshotOf(server, api, after)
    t.equal(snapshot.iss, testIssuer)
    t.equal(snapshot.aud, apiIdentifier)
    t.equal(snapshot.exp - snapshot.iat, 60)
    ids.push(...snapshot.revocations.map(({ id }) => id))
    after = snapshot.position
    more = snapshot.more
    if (!more) t.equal(snapshot.position, String(count), 'also what concerns others is behind us')
  }
  t.equal(documents, 2)
  t.same(
    ids,
    Array.from({ length: count }, (_, n) => n + 1)
      .filter((n) => n % 3 !== 0)
      .map((n) => `t${n}`),
  )

  // The same by the feed: more than the listener reads at once.
  const listener = await listenToFeed(t, server, api, { after: '0', headers: { 'accept-encoding': 'gzip' } })
  await listener.untilHeartbeat()
  t.same(
    listener.entries().map(({ id }) => id),
    ids,
  )
})

t.test('what is said twice at once is one document', async (t) => {
  const { server, api } = await openScene(t)
  const authorization = `Bearer ${await feedToken(server, api)}`
  const replies = await Promise.all(
    Array.from({ length: 30 }, () => server.get('/revocations/snapshot', { authorization })),
  )
  t.ok(replies.every(({ statusCode }) => statusCode === 200))
  t.ok(new Set(replies.map(({ body }) => body)).size < 30)
})

t.test('a token that was revoked is refused by introspection, and no more than its own is told', async (t) => {
  const scene = await openScene(t)
  const { server, api, client } = scene
  const [ended, alive] = [await tokensFor(scene), await tokensFor(scene)]
  await revokeAt(server, client, ended.access_token)
  t.same(await introspect(server, api, ended.access_token), { active: false })
  t.match(await introspect(server, api, alive.access_token), { active: true, kid: undefined })
  const { revocations } = await snapshotOf(server, api)
  t.same(
    revocations.map(({ id }) => id),
    [claimsOf(ended.access_token)['jti']],
  )
  await deleteClient(server.ctx, client.clientId, by)
  t.match((await snapshotOf(server, api)).revocations[1], {
    kind: 'client',
    id: client.clientId,
    nbf: undefined,
    exp: Number,
  })
})
