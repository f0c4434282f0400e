import t from 'tap'
import { disableUser, setPassword } from '../../src/identity/index.js'
import { createDelivery } from '../../src/jobs/index.js'
import { revoke } from '../../src/revocation/index.js'
import { partitions, sessions } from '../../src/store/index.js'
import { authorizationUrl, logIn } from '../support/authorization.js'
import type { TestBrowser } from '../support/browser.js'
import {
  claimsOfToken,
  idTokensFor,
  logoutUrl,
  openTellingClients,
  relyingParty,
  sessionAt,
  signedInAt,
  verifyLogout,
  waitingLogouts,
} from '../support/logout.js'
import { hang, openReceiver, type Receiver, status } from '../support/receiver.js'
import { createTestServer, sql, type TestClient, type TestServer } from '../support/server.js'
import { by, deliver } from '../support/telling.js'

// OpenID Connect Back-Channel Logout 1.0.

const cause = { ...by, reason: 'test' }

/** One for each test: whom the server may ask is a setting. */
const receivers = await Promise.all(Array.from({ length: 12 }, () => openReceiver(t, '/logout?tenant=1')))
const { server, user, client: silent, delivery } = await openTellingClients(t, receivers)
const nextReceiver = (): Receiver => receivers.shift()!
const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'

/** An application that hears of the ends of sessions. */
const told = (url: string, more: object = {}) => ({ ...relyingParty, backchannel_logout_uri: url, ...more })

async function endSessionById({ ctx }: TestServer, id: string): Promise<void> {
  const session = await sessions.findById(ctx.db, id)
  if (!session) throw new Error('there is no such session')
  await revoke(ctx, { kind: 'session', id, ...session }, cause)
}

async function signOut(browser: TestBrowser, hint: string): Promise<void> {
  await browser.submit(await browser.open(logoutUrl({ id_token_hint: hint })), {}, { button: 'logout-yes' })
}

t.test('Back-Channel Logout §2.4, §2.5: a client is sent a logout token that it can verify', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const client = await server.createClient(told(receiver.url))
  const { browser, tokens } = await signedInAt(server, client, user)
  await signOut(browser, tokens.id_token)
  t.equal(receiver.received.length, 0, 'nobody waits for it')
  t.match(await waitingLogouts(server), [{ destination: client.clientId, attempts: 0 }])
  server.clock.advance(600)
  await deliver(delivery)

  t.match(receiver.received, [
    { method: 'POST', path: '/logout?tenant=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  ])
  const { payload, protectedHeader } = await verifyLogout(server, client, receiver.received[0]!)
  const now = Math.floor(server.clock.now().getTime() / 1000)
  const { sub, sid } = claimsOfToken(tokens.id_token)
  t.match(payload, { sub, sid, iat: now, exp: now + 120 }, 'made when it is sent')
  t.same(payload['events'], { [logoutEvent]: {} })
  t.same(Object.keys(payload).sort(), ['aud', 'events', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub'], 'no nonce')
  t.equal(protectedHeader.alg, 'RS256')
  t.same(await waitingLogouts(server), [])
})

t.test('whatever ends a session tells the clients that got an ID token in it, each once', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(204)
  const { ctx } = server
  const client = await server.createClient(told(receiver.url))
  const other = await server.createUser('other@example.com')
  interface Case {
    readonly user: { readonly id: string; readonly email: string; readonly password: string }
    readonly browser: TestBrowser
    readonly hint: string
    readonly sid: string
  }
  /** What ends it, and whether one session alone. */
  const endings: Readonly<Record<string, readonly [(on: Case) => Promise<unknown>, 'session' | 'user']>> = {
    'the application asks': [({ browser, hint }) => signOut(browser, hint), 'session'],
    'the account page': [
      async ({ browser }) => browser.submit(await browser.open('/account'), {}, { button: 'sign_out' }),
      'session',
    ],
    'somebody else signs in': [
      async ({ browser }) => {
        const login = await browser.open(authorizationUrl(client, { scope: 'openid', prompt: 'login' }))
        await logIn(browser, login, other)
      },
      'session',
    ],
    'the operator ends the session': [({ sid }) => endSessionById(server, sid), 'session'],
    'the operator revokes the user': [({ user }) => revoke(ctx, { kind: 'user', userId: user.id }, cause), 'user'],
    'the password is changed': [({ user }) => setPassword(ctx, user.id, 'quite another passphrase', by), 'user'],
    'the user is disabled': [({ user }) => disableUser(ctx, user.id, by), 'user'],
  }
  let count = 0
  for (const [what, [end, kind]] of Object.entries(endings)) {
    const user = await server.createUser(`user${count}@example.com`)
    const { browser, tokens } = await signedInAt(server, client, user)
    if (count === 0) await idTokensFor(server, client, user, browser)
    const { sid = '', sub } = claimsOfToken(tokens.id_token)
    await end({ user, browser, hint: tokens.id_token, sid })
    await deliver(delivery)
    t.equal(receiver.received.length, ++count, `${what}: once, however many ID tokens`)
    const { payload } = await verifyLogout(server, client, receiver.received[count - 1]!)
    t.equal(payload.sub, sub, what)
    t.equal(payload['sid'], kind === 'session' ? sid : undefined, `${what}: all sessions are named by sub alone`)
    t.same(payload['events'], { [logoutEvent]: {} })
  }
})

t.test('who has no part in the session hears nothing', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const create = () => server.createClient(told(receiver.url))
  const [here, elsewhere, plain, disabled] = [await create(), await create(), await create(), await create()]
  const sid = await sessionAt(server, [here, silent, plain, disabled], user.id)
  await sql(server, `UPDATE authorization_grant SET scope = '{email}' WHERE client_id = $1`, [plain.clientId])
  await sql(server, 'UPDATE client SET disabled_at = $2 WHERE client_id = $1', [disabled.clientId, server.clock.now()])
  await sessionAt(server, [elsewhere], user.id)
  await sessionAt(server, [elsewhere, here], (await server.createUser('grace@example.com')).id)
  await endSessionById(server, sid)
  t.same(
    (await waitingLogouts(server)).map(({ destination }) => destination),
    [here.clientId],
    'neither without an address, without openid, nor in another session',
  )
  await deliver(delivery)
  t.equal(receiver.received.length, 1)
})

t.test('OIDC Core §8: a client with pairwise subjects hears its own, signed as its ID tokens are', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const more = { subject_type: 'pairwise', id_token_signed_response_alg: 'ES256' }
  const client = await server.createClient(told(receiver.url, more))
  const { tokens } = await signedInAt(server, client, user)
  const { sub, sid } = claimsOfToken(tokens.id_token)
  const of = 'SELECT session_id FROM authorization_grant WHERE client_id = $1'
  const [row] = await sql(server, of, [client.clientId])
  t.not(sid, row?.['session_id'], 'another sector could compare it')
  await endSessionById(server, String(row?.['session_id']))
  await deliver(delivery)
  const { payload, protectedHeader } = await verifyLogout(server, client, receiver.received[0]!)
  t.equal(payload.sub, sub)
  t.equal(payload['sid'], sid)
  t.not(payload.sub, user.id)
  t.notMatch(receiver.received[0]!.body, user.id)
  t.equal(protectedHeader.alg, 'ES256')
})

t.test('Back-Channel Logout §2.2: who needs the sid is told of each session of a user', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const client = await server.createClient(told(receiver.url, { backchannel_logout_session_required: true }))
  const own = await server.createUser('own@example.com')
  const sids = []
  for (let n = 0; n < 3; n++) sids.push(await sessionAt(server, [client], own.id))
  const over = sids.shift() ?? ''
  await endSessionById(server, over)
  await deliver(delivery)
  await revoke(server.ctx, { kind: 'user', userId: own.id }, cause)
  await deliver(delivery)
  const heard = []
  for (const one of receiver.received) heard.push((await verifyLogout(server, client, one)).payload['sid'])
  t.equal(heard.shift(), over)
  t.same(heard.sort(), sids.sort(), 'and not of what had ended before')
})

t.test('a client that hangs holds up no sign-out, and no other client', async (t) => {
  const [stuck, quick] = [nextReceiver(), nextReceiver()]
  stuck.answer(hang)
  quick.answer(200)
  const slow = await server.createClient(told(stuck.url))
  const other = await server.createClient(told(quick.url))
  // Also one that has named the address of another as its own.
  const sharing = await server.createClient(told(`${new URL(stuck.url).origin}/events`))
  for (let n = 1; n <= 10; n++) {
    await endSessionById(server, await sessionAt(server, [slow, other, sharing], user.id))
    await delivery.look()
    await quick.arrived(n)
  }
  t.ok(stuck.received.length <= 4, 'two at a time to each')
  stuck.answer(200)
  stuck.breakOff()
  await delivery.idle()
  for (let n = 0; n < 5; n++) {
    server.clock.advance(600)
    await deliver(delivery)
  }
  t.same(await waitingLogouts(server), [])
  t.equal(quick.received.length, 10, 'nothing twice')
})

t.test('Back-Channel Logout §2.8: what is tried again, and what is final', async (t) => {
  const receiver = nextReceiver()
  const client = await server.createClient(told(receiver.url))
  const end = async () => {
    await endSessionById(server, await sessionAt(server, [client], user.id))
    await deliver(delivery)
  }
  await end()
  t.match(await waitingLogouts(server), [{ attempts: 1, last_error: 'status_202' }], '202 says nothing')
  for (const [how, reason] of [
    [500, 'status_500'],
    [status(302, { location: '/elsewhere' }), 'outbound_redirect'],
    [status(200, { 'content-encoding': 'gzip' }), 'outbound_encoded'],
  ] as const) {
    receiver.answer(how)
    server.clock.advance(601)
    await deliver(delivery)
    t.match(await waitingLogouts(server), [{ last_error: reason }])
  }
  receiver.answer(204)
  server.clock.advance(601)
  await deliver(delivery)
  t.same(await waitingLogouts(server), [])
  const attempts = await Promise.all(
    receiver.received.map(({ body }) => claimsOfToken(new URLSearchParams(body).get('logout_token') ?? '')),
  )
  t.equal(attempts.length, 5)
  t.equal(new Set(attempts.map(({ jti }) => jti)).size, 1, 'one jti through all attempts')
  t.equal(new Set(attempts.map(({ iat }) => iat)).size, 5, 'and a fresh token for each')

  receiver.answer(400)
  await end()
  t.same(await waitingLogouts(server), [], 'a token that is refused stays so')
  t.match((await server.audit('outbox.given_up')).at(-1), {
    reason: 'status_400',
    detail: { kind: 'logout', destination: client.clientId },
  })
})

t.test('what waits for a client goes to where it is now, and to nobody where it is gone', async (t) => {
  const [before, after] = [nextReceiver(), nextReceiver()]
  before.answer(503)
  after.answer(200)
  const client = await server.createClient(told(before.url))
  const move = async (uri: string | null) => {
    await sql(server, 'UPDATE client SET backchannel_logout_uri = $2 WHERE client_id = $1', [client.clientId, uri])
    await server.refresh()
    server.clock.advance(601)
    await deliver(delivery)
  }
  const end = async () => {
    await endSessionById(server, await sessionAt(server, [client], user.id))
    await deliver(delivery)
  }
  await end()
  await move(after.url)
  t.equal(after.received.length, 1)
  await move(before.url)
  await end()
  await move(null)
  t.same(await waitingLogouts(server), [])
  t.equal(before.received.length, 2)
  t.match((await server.audit('outbox.given_up')).at(-1), { reason: 'no_logout_uri' })
})

t.test('two workers deliver each message once, however many end at once', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const beside = await createTestServer(t, {
    beside: server,
    env: { OUTBOUND_ALLOW: new URL(receiver.url).host },
  })
  const second = createDelivery(beside.ctx)
  t.teardown(() => second.stop())
  const clients: readonly [TestClient, TestClient] = [
    await server.createClient(told(receiver.url)),
    await server.createClient(told(receiver.url)),
  ]
  const sids: string[] = []
  for (let n = 0; n < 6; n++) sids.push(await sessionAt(server, clients, user.id))
  // Each twice, at both servers: one of the two ends it.
  await Promise.all(sids.flatMap((sid) => [endSessionById(server, sid), endSessionById(beside, sid)]))
  t.equal((await waitingLogouts(server)).length, 12)
  for (let round = 0; round < 5; round++) {
    await Promise.all([delivery.look(), second.look()])
    await Promise.all([delivery.idle(), second.idle()])
    server.clock.advance(601)
  }
  t.same(await waitingLogouts(server), [])
  const heard = receiver.received.map(({ body }) => {
    const { aud, sid } = claimsOfToken(new URLSearchParams(body).get('logout_token') ?? '')
    return `${aud} ${sid}`
  })
  t.equal(heard.length, 12)
  t.same([...new Set(heard)].sort(), clients.flatMap(({ clientId }) => sids.map((sid) => `${clientId} ${sid}`)).sort())
})

t.test('Back-Channel Logout §2.1: it is published, and nothing of the front channel', async (t) => {
  const metadata = (await server.get('/.well-known/openid-configuration')).json()
  t.match(metadata, { backchannel_logout_supported: true, backchannel_logout_session_supported: true })
  t.notOk('frontchannel_logout_supported' in metadata)
})

t.test('Back-Channel Logout §2.5: who got an ID token days ago, and nothing else, hears of it', async (t) => {
  const receiver = nextReceiver()
  receiver.answer(200)
  const env = { SESSION_LIFETIME: '1209600', SESSION_IDLE_LIFETIME: '1209600' }
  const own = await openTellingClients(t, [receiver], { env })
  const { ctx, clock } = own.server
  const maintain = async () => {
    const horizon = await partitions.horizonOf(ctx.db, ctx.config)
    await partitions.ensurePartitions(ctx.db.pool, horizon, clock.now())
    return partitions.dropExpiredPartitions(ctx.db.pool, horizon, clock.now())
  }
  await maintain()
  const grant_types = ['authorization_code']
  const client = await own.server.createClient(told(receiver.url, { grant_types, scope: 'openid email' }))
  const { browser, tokens } = await signedInAt(own.server, client, own.user)
  clock.advance(13 * 86_400)
  const dropped = await maintain()
  t.ok(
    dropped.some((name) => name.startsWith('authorization_grant_')),
    'what is over is gone',
  )
  await signOut(browser, tokens.id_token)
  t.match(await waitingLogouts(own.server), [{ destination: client.clientId }])
})
