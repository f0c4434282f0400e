import t, { type Test } from 'tap'
import type { ProtectOptions } from '../../packages/resource-server/src/index.js'
import { credentials, TestIssuer } from './support/issuer.js'
import { until } from './support/platform.js'
import { makeKey } from './support/signing.js'

t.setTimeout(120_000)

interface Followed extends Awaited<ReturnType<TestIssuer['protect']>> {
  readonly issuer: TestIssuer
}

/** A verifier that follows the feed of a server of its own. */
async function follow(
  t: Test,
  options: Partial<ProtectOptions> = {},
  prepare?: (issuer: TestIssuer) => void,
): Promise<Followed> {
  const issuer = await TestIssuer.start(t)
  prepare?.(issuer)
  return { issuer, ...(await issuer.protect(t, { credentials, ...options })) }
}

/** Everything that was sent so far has been taken in: the heartbeat behind it has come. */
async function heard({ issuer, api }: Followed): Promise<void> {
  issuer.heartbeat()
  const position = String(issuer.log.length)
  await until('the position was reached', () => api.health().position === position && api.health().connected)
}

const terminal = (kind: string, id: string) => ({ kind, id, exp: 4_000_000_000 })

t.test('what is revoked is refused as soon as the feed has told, by every kind of target', async (t) => {
  const claims = { jti: 'token-1' }
  const targets = {
    token: 'token-1',
    grant: 'grant-1',
    session: 'session-1',
    client: 'app-1',
    user: 'user-1',
    role: 'user-1',
    key: undefined,
  }
  for (const [kind, id] of Object.entries(targets)) {
    const followed = await follow(t)
    const { issuer, outcome } = followed
    const token = issuer.token(claims)
    t.equal(await outcome(token), 'ok')
    issuer.revoke(terminal(kind, id ?? issuer.key.kid))
    await heard(followed)
    t.equal(await outcome(token), 'revoked', kind)
    t.equal(await outcome(issuer.token(claims)), 'revoked', `${kind}: also at first sight`)
  }
})

t.test('what concerns another is no reason to refuse', async (t) => {
  const followed = await follow(t)
  const { issuer, outcome } = followed
  const token = issuer.token({ jti: 'token-1' })
  const service = issuer.token({ grant_id: undefined, sid: undefined })
  for (const kind of ['token', 'grant', 'session', 'client', 'user', 'role', 'key'])
    issuer.revoke(terminal(kind, 'another'))
  issuer.revoke(terminal('token', 'user-1'), terminal('user', 'app-1'), terminal('client', 'user-1'))
  // Of a later server.
  issuer.revoke({ kind: 'tenant', id: 'user-1', exp: 4_000_000_000 })
  await heard(followed)
  t.equal(await outcome(token), 'ok')
  issuer.revoke(terminal('user', 'user-1'))
  await heard(followed)
  t.equal(await outcome(token), 'revoked')
  t.equal(await outcome(service), 'ok', 'without a grant_id `sub` is no user')
})

t.test('what an API key was exchanged for ends with the key, with others, and with its owner', async (t) => {
  const claims = { grant_id: undefined, sid: undefined, client_id: 'key-1', key_owner: 'user', key_prefix: 'sk' }
  const endings = [
    ['api_key', 'key-1'],
    ['api_keys', 'all'],
    ['api_keys', 'prefix:sk'],
    ['api_keys', 'owner:user:user-1'],
    ['user', 'user-1'],
    ['role', 'user-1'],
  ] as const
  for (const [kind, id] of endings) {
    const followed = await follow(t)
    const { issuer, outcome } = followed
    const [token, ofClient] = [issuer.token(claims), issuer.token({ ...claims, key_owner: 'client' })]
    const now = issuer.platform.seconds
    issuer.revoke(
      terminal('client', 'key-1'),
      terminal('api_key_state', 'key-1'),
      terminal('client_secret', 'key-1'),
      terminal('api_keys', 'prefix:pk'),
      terminal('api_keys', 'owner:client:user-2'),
      { kind: 'api_key', id: 'key-2', nbf: now, exp: now + 3600 },
    )
    await heard(followed)
    t.equal(await outcome(token), 'ok', 'what ends others')
    issuer.revoke({ kind, id, nbf: now, exp: now + 3600 })
    await heard(followed)
    t.equal(await outcome(token), 'revoked', `${kind} ${id}`)
    t.equal(await outcome(issuer.token({ ...claims, iat: now + 1 })), 'ok', 'what is issued later')
    const isOfBoth = !id.includes('user') || kind === 'role'
    t.equal(await outcome(ofClient), isOfBoth ? 'revoked' : 'ok', `${kind} ${id}: of a client of the same name`)
  }
})

t.test('attack 84: a not-before ends what was issued up to its second, and nothing later', async (t) => {
  const followed = await follow(t)
  const { issuer, outcome } = followed
  const now = issuer.platform.seconds
  issuer.revoke(
    { kind: 'user', id: 'user-1', nbf: now - 10, exp: now + 3600 },
    { kind: 'client', id: 'app-1', nbf: now - 5, exp: now + 3600 },
  )
  await heard(followed)
  const issuedAt = (iat: number) => outcome(issuer.token({ iat }))
  t.equal(await issuedAt(now - 11), 'revoked')
  t.equal(await issuedAt(now - 9), 'revoked', 'the stricter of two')
  t.equal(await issuedAt(now - 5), 'revoked', 'the second itself')
  t.equal(await issuedAt(now - 4), 'ok')
})

t.test('a later entry replaces an earlier one: who is enabled again has new tokens', async (t) => {
  const followed = await follow(t)
  const { issuer, outcome } = followed
  issuer.revoke({ kind: 'user', id: 'user-1' })
  await heard(followed)
  const old = issuer.token()
  t.equal(await outcome(old), 'revoked')
  const now = issuer.platform.seconds
  issuer.revoke({ kind: 'user', id: 'user-1', nbf: now, exp: now + 3600 })
  issuer.platform.advance(1_000)
  await heard(followed)
  t.equal(await outcome(old), 'revoked')
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('on connecting it is ready with the snapshot and the first heartbeat, not before', async (t) => {
  const issuer = await TestIssuer.start(t)
  const token = issuer.token({ jti: 'token-1' })
  issuer.revoke(terminal('token', 'token-1'))
  let answer = (): void => undefined
  issuer.handlers.set('/revocations/snapshot', (_, response) => {
    answer = () => response.end(issuer.snapshot(0))
  })
  const protecting = issuer.protect(t, { credentials, startTimeout: 3_000 })
  await until('the snapshot was asked for', () => issuer.asked.includes('/revocations/snapshot'))
  issuer.platform.advance(3_000)
  const { api, outcome } = await protecting
  t.equal(api.health().state, 'starting')
  t.equal(await outcome(token), 'starting')
  t.match(await api.check({ headers: { authorization: `Bearer ${issuer.token()}` } }), { status: 503 })
  answer()
  await until('it is ready', () => api.health().state === 'ready')
  t.match(api.health(), { revocation: 'feed', revocations: 1, position: '1', connected: true, problem: undefined })
  t.equal(await outcome(token), 'revoked')
  t.equal(issuer.streams[0]?.lastEventId, '1', 'the stream resumes behind the snapshot')
  t.equal(issuer.streams[0]?.heartbeat, 2_000)
})

t.test('a snapshot comes in pages, in commit order', async (t) => {
  const { issuer, outcome, api } = await follow(t, {}, (issuer) => {
    issuer.pageSize = 10
    issuer.revoke({ kind: 'user', id: 'user-1' })
    for (let index = 0; index < 33; index++) issuer.revoke(terminal('token', `token-${index}`))
    issuer.revoke({ kind: 'user', id: 'user-1', nbf: 1, exp: 4_000_000_000 })
  })
  t.equal(issuer.asked.filter((path) => path === '/revocations/snapshot').length, 4)
  t.match(api.health(), { revocations: 34, position: '35' })
  t.equal(await outcome(issuer.token({ jti: 'token-32' })), 'revoked')
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('attack 77: a snapshot that the server did not sign for this API is none', async (t) => {
  const bad: readonly ((issuer: TestIssuer) => string)[] = [
    (issuer) => issuer.snapshot(0, {}, { ...makeKey(), kid: issuer.key.kid }),
    (issuer) => issuer.snapshot(0, {}, issuer.key, 'at+jwt'),
    (issuer) => issuer.snapshot(0, {}, issuer.key, 'statuslist+jwt'),
    (issuer) => issuer.snapshot(0, { iss: 'https://other.example' }),
    (issuer) => issuer.snapshot(0, { aud: 'https://other.example' }),
    (issuer) => issuer.snapshot(0, { exp: issuer.platform.seconds - 6 }),
    (issuer) => issuer.snapshot(0, { exp: undefined }),
    (issuer) => issuer.snapshot(0, { iat: issuer.platform.seconds + 60 }),
    (issuer) => issuer.snapshot(0, { position: 1 }),
    (issuer) => issuer.snapshot(0, { position: '-1' }),
    (issuer) => issuer.snapshot(0, { more: true, position: '0' }),
    (issuer) => issuer.snapshot(0, { revocations: undefined }),
    (issuer) => issuer.snapshot(0, { revocations: [{ kind: 'token' }] }),
    (issuer) => issuer.snapshot(0, { revocations: [{ kind: 'token', id: 'x', exp: '1' }] }),
    (issuer) => issuer.snapshot(0, { revocations: [null] }),
    (issuer) => issuer.snapshot(0).slice(0, -10),
    () => '',
  ]
  for (const [index, make] of bad.entries()) {
    const issuer = await TestIssuer.start(t)
    issuer.handlers.set('/revocations/snapshot', (_, response) => response.end(make(issuer)))
    const { api, warnings } = await issuer.protect(t, { credentials, startTimeout: 0 })
    await until('it was refused', () => warnings.some((each) => each.includes('interrupted')))
    t.match(api.health(), { state: 'starting', connected: false }, String(index))
    issuer.handlers.delete('/revocations/snapshot')
    await issuer.platform.passUntil('the next one is taken', () => api.health().state === 'ready')
  }
})

t.test('the age of what is known: since the heartbeat came, and its own', async (t) => {
  const followed = await follow(t)
  const { issuer, api } = followed
  t.equal(api.health().age, 0)
  issuer.platform.advance(1_500)
  t.equal(api.health().age, 1_500)
  issuer.heartbeat({ age: 700 })
  await until('it came', () => api.health().age === 700)
  issuer.platform.advance(100)
  t.equal(api.health().age, 800)
})

t.test('a heartbeat that waited in a queue does not look fresh', async (t) => {
  const followed = await follow(t)
  const { issuer, api } = followed
  const sent = issuer.platform.now()
  issuer.platform.advance(4_000)
  t.equal(api.health().age, 4_000)
  issuer.heartbeat({ time: sent + 1_000 })
  await until('it came', () => api.health().age === 3_000)
  issuer.platform.advance(1_000)
  issuer.heartbeat({ time: sent + 4_500 })
  await until('it came', () => api.health().age === 500)
  t.equal(api.health().state, 'ready')
})

/** Bytes of the feed are so many milliseconds under way, from the first of a connection on. */
async function followSlowly(t: Test, milliseconds: number): Promise<Followed & { readonly timers: readonly number[] }> {
  const issuer = await TestIssuer.start(t)
  const { now, monotonic, random } = issuer.platform
  const timers: number[] = []
  const platform = {
    ...{ now, monotonic, random },
    setTimer(callback: () => void, milliseconds: number) {
      timers.push(milliseconds)
      return issuer.platform.setTimer(callback, milliseconds)
    },
    async fetch(url: string, init: RequestInit) {
      const response = await issuer.platform.fetch(url, init)
      // The server has written its first heartbeat.
      if (url.includes('/revocations?')) issuer.platform.advance(milliseconds)
      return response
    },
  }
  return { issuer, timers, ...(await issuer.protect(t, { credentials, platform })) }
}

t.test('a network that is as slow with everything does not make old knowledge look fresh', async (t) => {
  const { issuer, api } = await followSlowly(t, 2_000)
  t.equal(api.health().age, 2_000, 'the first heartbeat was under way for no longer than it took to get it')
  issuer.platform.advance(2_000)
  issuer.heartbeat({ age: 1, time: issuer.platform.now() - 2_000 })
  await until('it came', () => api.health().age === 2_001)
  issuer.platform.advance(2_000)
  issuer.heartbeat({ age: 3, time: issuer.platform.now() - 500 })
  await until('one that was faster says how slow the others were', () => api.health().age === 503)
  issuer.platform.advance(2_000)
  issuer.heartbeat({ age: 4 })
  await until('and so does the fastest', () => api.health().age === 4)
})

t.test('a connection that took too long to begin is made anew, with longer and longer pauses', async (t) => {
  const { issuer, api, timers } = await followSlowly(t, 3_000)
  t.match(api.health(), { state: 'ready', age: 3_000, problem: 'the server took 3000 ms to answer' })
  await issuer.platform.passUntil('it asks again', () => issuer.platform.count('/revocations?') > 5)
  // All others are how long somebody is waited for.
  t.same(
    timers.filter((milliseconds) => milliseconds <= 800),
    [50, 100, 200, 400, 800],
  )
})

t.test('a server that is blind does not look fresh, however fast its heartbeats are', async (t) => {
  const followed = await follow(t)
  const { issuer, api, outcome } = followed
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  for (let age = 2_500; age <= 12_500; age += 2_500) {
    issuer.platform.advance(2_000)
    issuer.heartbeat({ age })
    await until('it came', () => api.health().age === age)
  }
  t.match(api.health(), { state: 'stale', connected: true })
  t.equal(await outcome(token), 'knowledge_stale')
  issuer.heartbeat()
  await until('it sees again', () => api.health().state === 'ready')
  t.equal(await outcome(token), 'ok')
})

t.test('past the tolerance nothing is let through: 503', async (t) => {
  const { issuer, api, outcome, check } = await follow(t, { tolerance: 1_000 })
  t.equal(issuer.streams[0]?.heartbeat, 250, 'a quarter of the tolerance')
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  await issuer.stop()
  issuer.platform.advance(1_000)
  t.equal(await outcome(token), 'ok')
  issuer.platform.advance(1)
  t.match(await check(token), { ok: false, status: 503, reason: 'knowledge_stale', headers: { 'retry-after': '1' } })
  t.equal(api.health().state, 'stale')
  t.equal(
    await outcome(issuer.token({ exp: issuer.platform.seconds - 60 })),
    'expired',
    'what is bad by itself is told so',
  )
})

t.test('while a machine sleeps, what it knows grows old', async (t) => {
  const { issuer, outcome } = await follow(t)
  t.equal(await outcome(issuer.token()), 'ok')
  issuer.platform.setClock(60_000)
  t.equal(await outcome(issuer.token()), 'knowledge_stale', 'though its monotonic clock stood still')
})

t.test('past the tolerance each token is introspected, where the API chose so', async (t) => {
  const { issuer, outcome } = await follow(t, { onStale: 'introspect' })
  const [good, bad] = [issuer.token({ jti: 'good' }), issuer.token({ jti: 'bad' })]
  issuer.opaque.set(good, { active: true, ...issuer.claims({ jti: 'good' }) })
  for (const token of [good, bad]) t.equal(await outcome(token), 'ok')
  t.notOk(issuer.asked.includes('/introspect'), 'while it knows, nobody is asked')
  issuer.handlers.set('/revocations', (_, response) => response.writeHead(503).end())
  issuer.endStreams()
  issuer.platform.advance(10_001)
  t.equal(await outcome(good), 'ok')
  t.equal(await outcome(bad), 'inactive')
  issuer.opaque.set(good, { active: false })
  issuer.platform.advance(1_001)
  t.equal(await outcome(good), 'inactive', 'an answer is for the moment')
  issuer.handlers.set('/introspect', (_, response) => response.writeHead(503).end())
  issuer.platform.advance(5_001)
  t.equal(await outcome(good), 'introspection_unavailable')
})

t.test('a connection that ends is made anew, and resumes where it was', async (t) => {
  const followed = await follow(t)
  const { issuer, api, outcome } = followed
  issuer.revoke(terminal('token', 'before'))
  await heard(followed)
  issuer.endStreams()
  await until('it is lost', () => !api.health().connected)
  t.match(api.health(), { state: 'ready', problem: 'the connection was closed' })
  issuer.revoke(terminal('token', 'meanwhile'))
  issuer.platform.advance(50)
  await until('it is back', () => api.health().connected)
  t.equal(issuer.streams[0]?.lastEventId, '1')
  t.equal(await outcome(issuer.token({ jti: 'before' })), 'revoked')
  t.equal(await outcome(issuer.token({ jti: 'meanwhile' })), 'revoked')
  t.equal(issuer.asked.filter((path) => path === '/revocations/snapshot').length, 1)
})

t.test('attempts come at random, further and further apart, up to 5 s', async (t) => {
  const { issuer, api } = await follow(t)
  const attempts: number[] = []
  issuer.handlers.set('/revocations', (_, response) => {
    attempts.push(issuer.platform.monotonic())
    response.writeHead(503).end()
  })
  issuer.endStreams()
  await until('it is lost', () => !api.health().connected)
  while (attempts.length < 10) {
    const before = attempts.length
    await until('it waits or has asked', () => issuer.platform.timers === 1 || attempts.length > before)
    issuer.platform.advance(50)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const pauses = attempts.slice(1).map((at, index) => at - attempts[index]!)
  // Half of the bound: that is what this test's chance says each time.
  const bounds = [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]
  for (const [index, pause] of pauses.entries()) {
    t.ok(pause >= bounds[index]! / 2 && pause <= bounds[index]!, `${pause} ms of ${bounds[index]}`)
  }
})

t.test('a connection that is half dead is noticed by its silence', async (t) => {
  const { issuer, api } = await follow(t)
  const [silent] = issuer.streams
  issuer.platform.advance(5_999)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.ok(api.health().connected)
  issuer.platform.advance(1)
  await until('it is given up', () => !api.health().connected)
  t.match(api.health().problem, /nothing was heard/)
  issuer.platform.advance(100)
  await until('there is another', () => api.health().connected && issuer.streams.some((stream) => stream !== silent))
  t.equal(api.health().age, 0, 'before the tolerance was reached')
})

t.test('moved: the server stops, and says when to come back', async (t) => {
  const { issuer, api } = await follow(t)
  const before = issuer.asked.filter((path) => path === '/revocations').length
  issuer.send('event: moved\nretry: 850\ndata: {}\n\n')
  await until('it has gone', () => !api.health().connected)
  issuer.platform.advance(849)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(issuer.asked.filter((path) => path === '/revocations').length, before)
  issuer.platform.advance(1)
  await until('it is back', () => api.health().connected)
})

t.test('reset: a restored database has forgotten, and what was revoked stays so until it has expired', async (t) => {
  const followed = await follow(t)
  const { issuer, api, outcome } = followed
  issuer.revoke(terminal('token', 'forgotten'), { kind: 'user', id: 'disabled' })
  await heard(followed)
  issuer.log.length = 0
  issuer.log.push(terminal('token', 'restored'))
  issuer.send('event: reset\ndata: {}\n\n')
  issuer.endStreams()
  await issuer.platform.passUntil('it has begun anew', () => api.health().connected && api.health().position === '1')
  t.equal(issuer.asked.filter((path) => path === '/revocations/snapshot').length, 2)
  t.equal(await outcome(issuer.token({ jti: 'forgotten' })), 'revoked')
  t.equal(await outcome(issuer.token({ jti: 'restored' })), 'revoked')
  t.equal(await outcome(issuer.token({ sub: 'disabled' })), 'ok', 'what lasts until it is lifted is as the server says')
})

t.test('a token of the verifier that has ended is replaced', async (t) => {
  const { issuer, api } = await follow(t)
  t.equal(issuer.asked.filter((path) => path === '/token').length, 1)
  issuer.endStreams()
  await until('it is lost', () => !api.health().connected)
  issuer.platform.advance(100)
  await until('it is back', () => api.health().connected)
  t.equal(issuer.asked.filter((path) => path === '/token').length, 1, 'as long as it is good, the same')
  let refusals = 1
  issuer.handlers.set('/revocations', (_, response) => {
    if (--refusals === 0) issuer.handlers.delete('/revocations')
    response.writeHead(401).end()
  })
  issuer.endStreams()
  await issuer.platform.passUntil(
    'it has a new one',
    () => issuer.asked.filter((path) => path === '/token').length === 2 && api.health().connected,
  )
  for (let second = 0; second < 480; second += 2) {
    issuer.platform.advance(2_000)
    issuer.heartbeat()
    await until('it came', () => api.health().age === 0)
  }
  issuer.endStreams()
  await until('it is lost', () => !api.health().connected)
  await issuer.platform.passUntil('it is back', () => api.health().connected)
  t.equal(issuer.asked.filter((path) => path === '/token').length, 3, 'and at four fifths of its life')
})

t.test('credentials that the server refuses are told at the start', async (t) => {
  const issuer = await TestIssuer.start(t)
  await t.rejects(issuer.protect(t, { credentials: { clientId: 'orders', clientSecret: 'wrong' } }), {
    name: 'ConfigurationError',
    message: /refuses the credentials/,
  })
})

t.test('events that are malformed end the connection, and nothing behind them is believed', async (t) => {
  for (const event of [
    'event: heartbeat\ndata: {"position":"1","age":0}\n\n',
    'event: heartbeat\ndata: {"position":"x","age":0,"time":1}\n\n',
    'event: heartbeat\ndata: {"position":"1","age":-1,"time":1}\n\n',
    'event: heartbeat\ndata: {"position":"1","age":0,"age":0,"time":1}\n\n',
    'id: 9\nevent: revocations\ndata: {}\n\n',
    'id: 9\nevent: revocations\ndata: [{"kind":"token"}]\n\n',
    'id: 9\nevent: revocations\ndata: [{"kind":"token","id":"a","id":"b","exp":1}]\n\n',
    'id: 9\nevent: revocations\ndata: [\n\n',
  ]) {
    const { issuer, api, warnings } = await follow(t)
    issuer.send(event)
    await until('it is given up', () => !api.health().connected)
    t.equal(api.health().position, '0', event.slice(0, 40))
    t.ok(warnings.some((each) => each.includes('interrupted')))
    issuer.platform.advance(100)
    await until('it is back', () => api.health().connected)
  }
})

t.test('events may come in any pieces, with comments and other line ends', async (t) => {
  const followed = await follow(t)
  const { issuer, api, outcome } = followed
  const entries = JSON.stringify([terminal('token', 'ü-1')])
  const text = `: comment\r\nid: 5\r\nevent: revocations\r\ndata: ${entries}\r\nunknown: x\r\n\r\ndata\n\n:\n\n`
  for (const character of text) {
    issuer.send(character)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await until('it came', () => api.health().position === '5')
  t.equal(await outcome(issuer.token({ jti: 'ü-1' })), 'revoked')
  t.ok(api.health().connected)
})

t.test('what has expired is forgotten', async (t) => {
  const followed = await follow(t)
  const { issuer, api } = followed
  const now = issuer.platform.seconds
  issuer.revoke(
    ...Array.from({ length: 500 }, (_, index) => ({
      kind: 'token',
      id: `token-${index}`,
      exp: now + (index % 2 === 0 ? 10 : 3_600),
    })),
  )
  issuer.revoke({ kind: 'user', id: 'disabled' })
  await heard(followed)
  t.equal(api.health().revocations, 501)
  for (const [seconds, left] of [
    [69, 501],
    [2, 251],
    [3_700, 1],
  ] as const) {
    issuer.platform.advance(seconds * 1000)
    // The connection does not outlast the silence: the heartbeat may be for the next one.
    await issuer.platform.passUntil('it was swept', () => {
      issuer.heartbeat()
      const { connected, age, revocations } = api.health()
      return connected && age !== undefined && age < 1_000 && revocations <= left
    })
    t.equal(api.health().revocations, left)
  }
})

t.test('a key that was taken back is refused, and its successor is known at once', async (t) => {
  const followed = await follow(t)
  const { issuer, outcome } = followed
  const [old] = issuer.keys
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  issuer.keys = [makeKey(), ...issuer.keys]
  issuer.revoke(terminal('key', old!.kid))
  await heard(followed)
  t.equal(await outcome(token), 'revoked')
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('close ends the connection', async (t) => {
  const { issuer, api, outcome } = await follow(t)
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  await api.close()
  await until('the server has seen it', () => issuer.streams.length === 0)
  t.equal(api.health().state, 'closed')
  t.equal(await outcome(token), 'starting', 'and nothing is let through')
  t.equal(issuer.platform.timers, 0)
})

t.test('a server without a feed: credentials are for introspection, and revocations by status list', async (t) => {
  const { api, warnings } = await follow(t, {}, (issuer) => {
    issuer.metadata = { revocation_feed_endpoint: undefined }
  })
  t.match(api.health(), { state: 'ready', revocation: 'status-list' })
  t.match(warnings, [/has no revocation feed/])
})
