import t, { type Test } from 'tap'
import { createDelivery, type Delivery } from '../../src/jobs/index.js'
import { createOutbound } from '../../src/platform/outbound/index.js'
import { nameReceivers } from '../../src/protocol/revocation/index.js'
import { revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import {
  claimsOfToken,
  logoutUrl,
  openTellingClients,
  relyingParty,
  sessionAt,
  signedInAt,
  waitingLogouts,
} from '../support/logout.js'
import { hang, openReceiver, type Received, type Receiver } from '../support/receiver.js'
import { createTestServer, sql, type TestClient, type TestServer } from '../support/server.js'
import { by, deliver, endToken } from '../support/telling.js'

// Back-Channel Logout: what waits for one client is a lane, and clients may be strangers. However many of them are away, the
// others hear; and what was written for a client is told, whichever process ends meanwhile.

/** As `src/jobs/deliver-outbox.ts` has it. */
const places = { all: 24, troubled: 8 }

const told = (url: string) => ({ ...relyingParty, backchannel_logout_uri: url })

interface Scene {
  readonly server: TestServer
  readonly userId: string
  readonly delivery: Delivery
  readonly clients: readonly [TestClient, ...TestClient[]]
}

/** A client for each of the receivers. */
async function openScene(
  t: Test,
  receivers: readonly Receiver[],
  env: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  // No call ends by itself while a test looks at it.
  const outbound = createOutbound({ allow: receivers.map(({ url }) => new URL(url).host), timeout: 600_000 })
  const { server, user, delivery } = await openTellingClients(t, receivers, { env, outbound })
  const [first, ...others] = receivers
  const clients: [TestClient, ...TestClient[]] = [await server.createClient(told(first!.url))]
  for (const { url } of others) clients.push(await server.createClient(told(url)))
  return { server, userId: user.id, delivery, clients }
}

/** Somebody signs out who was signed in at these. */
async function signOut({ server, userId }: Scene, clients: readonly [TestClient, ...TestClient[]]): Promise<void> {
  const id = await sessionAt(server, clients, userId)
  const session = await sessions.findById(server.ctx.db, id)
  if (!session) throw new Error('there is no such session')
  await revoke(server.ctx, { kind: 'session', id, ...session }, { ...by, reason: 'test' })
}

/** Receivers that take a call and say nothing, until they are broken off. */
async function openHanging(t: Test, count: number) {
  const receivers = await Promise.all(Array.from({ length: count }, () => openReceiver(t, '/logout')))
  let calls = 0
  let heard = () => {}
  for (const receiver of receivers) {
    receiver.answer(() => {
      calls++
      heard()
    })
  }
  return {
    receivers,
    calls: () => calls,
    /** Resolves when so many have come in all. */
    async arrived(number: number): Promise<void> {
      while (calls < number) await new Promise<void>((resolve) => (heard = resolve))
    },
    breakOff(): void {
      for (const receiver of receivers) receiver.breakOff()
    },
  }
}

const jtiOf = ({ body }: Received) => claimsOfToken(new URLSearchParams(body).get('logout_token') ?? '')['jti']

const claimed = async (server: TestServer) =>
  (await sql(server, 'SELECT FROM outbox WHERE claimed_until IS NOT NULL')).length

t.test('clients that hang, more of them than there are places, hold up nobody who answers', async (t) => {
  const many = places.all + 6
  const hanging = await openHanging(t, many)
  const quick = await openReceiver(t, '/logout')
  quick.answer(200)
  const scene = await openScene(t, [quick, ...hanging.receivers])
  const { server, delivery, clients } = scene
  const [answering, ...[first, ...others]] = clients
  await signOut(scene, [first!, ...others])

  await delivery.look()
  await hanging.arrived(places.all)
  await delivery.look()
  t.equal(await claimed(server), places.all, 'so many as nothing is known of')
  hanging.breakOff()
  await delivery.idle()
  await delivery.look()
  await hanging.arrived(many)
  hanging.breakOff()
  await delivery.idle()

  // Now all of them are known.
  for (let round = 1; round <= 4; round++) {
    server.clock.advance(20)
    const before = hanging.calls()
    await delivery.look()
    await hanging.arrived(before + places.troubled)
    for (let n = 1; n <= 3; n++) {
      await signOut(scene, [answering])
      await delivery.look()
      await quick.arrived(3 * (round - 1) + n)
    }
    t.equal(hanging.calls(), before + places.troubled, 'eight places')
    hanging.breakOff()
    await delivery.idle()
  }
  t.ok(
    hanging.receivers.every(({ received }) => received.length >= 2),
    'each has its turn',
  )
  t.equal(quick.received.length, 12, 'nothing twice')

  for (const receiver of hanging.receivers) receiver.answer(200)
  for (let round = 0; round < 8; round++) {
    server.clock.advance(600)
    await deliver(delivery)
  }
  t.same(await waitingLogouts(server), [])
  for (const { received } of hanging.receivers) t.equal(new Set(received.map(jtiOf)).size, 1, 'told, by one jti')
})

t.test('a client that waited long for its turn is no new one', async (t) => {
  const hanging = await openHanging(t, places.all)
  const scene = await openScene(t, hanging.receivers)
  const { server, delivery, clients } = scene
  await signOut(scene, clients)
  await delivery.look()
  await hanging.arrived(places.all)
  hanging.breakOff()
  await delivery.idle()
  for (const pause of [30, 3_600, 86_400]) {
    server.clock.advance(pause)
    const before = hanging.calls()
    await delivery.look()
    await hanging.arrived(before + places.troubled)
    await delivery.look()
    t.equal(await claimed(server), places.troubled, `after ${pause} s`)
    hanging.breakOff()
    await delivery.idle()
  }
})

t.test('clients that hang hold up no receiver of revocations', async (t) => {
  const hanging = await openHanging(t, places.all + 1)
  const receiver = await openReceiver(t)
  const scene = await openScene(t, hanging.receivers, { REVOCATION_RECEIVERS: receiver.url })
  const { server, delivery, clients } = scene
  await signOut(scene, clients)
  await delivery.look()
  await hanging.arrived(places.all)
  await nameReceivers(server.ctx)
  for (let n = 1; n <= 20; n++) {
    await endToken(server)
    await delivery.look()
    await receiver.arrived(n)
  }
  hanging.breakOff()
})

t.test('a client that is away hears all of it when it is back, and the others hear at once', async (t) => {
  const [away, other] = [await openReceiver(t, '/logout'), await openReceiver(t, '/logout')]
  away.answer(503)
  other.answer(200)
  const scene = await openScene(t, [away, other])
  const { server, delivery, clients } = scene
  for (let n = 1; n <= 20; n++) {
    await signOut(scene, clients)
    await deliver(delivery)
    t.equal(other.received.length, n)
    server.clock.advance(60)
  }
  const before = away.received.length
  away.answer(200)
  for (let round = 0; round < 4; round++) {
    server.clock.advance(600)
    await deliver(delivery)
  }
  t.same(await waitingLogouts(server), [])
  const heard = away.received.slice(before).map(jtiOf)
  t.equal(heard.length, 20, 'each once')
  t.same(new Set(heard).size, 20)
  t.equal(other.received.length, 20)
})

t.test(
  'a worker that is killed in the middle of its calls: another tells the rest, and nobody who had heard',
  async (t) => {
    const [stuck, quick] = [await openReceiver(t, '/logout'), await openReceiver(t, '/logout')]
    stuck.answer(hang)
    quick.answer(200)
    const scene = await openScene(t, [stuck, quick])
    const { server, clients } = scene
    for (let n = 0; n < 5; n++) await signOut(scene, clients)
    // It gets no further than a process that is killed while it calls.
    const killed = createDelivery(server.ctx)
    await killed.look()
    await Promise.all([stuck.arrived(2), quick.arrived(5)])
    const underWay = stuck.received.map(jtiOf)

    stuck.answer(200)
    const other = createDelivery(server.ctx)
    t.teardown(() => other.stop())
    await deliver(other)
    t.equal(stuck.received.length, 2 + 3, 'what nobody had begun')
    server.clock.advance(30)
    await deliver(other)
    t.same(await waitingLogouts(server), [])
    t.same(stuck.received.slice(5).map(jtiOf).sort(), underWay.sort(), 'once more, by the same jti')
    t.equal(new Set(stuck.received.map(jtiOf)).size, 5)
    t.equal(quick.received.length, 5, 'nothing twice')
    stuck.breakOff()
    await killed.idle()
  },
)

t.test('a sign-out that was answered is told, also where whoever answered it ended with it', async (t) => {
  const receiver = await openReceiver(t, '/logout')
  receiver.answer(200)
  const { server, user, delivery } = await openTellingClients(t, [receiver])
  const client = await server.createClient(told(receiver.url))
  const beside = await createTestServer(t, { beside: server })
  const { browser, tokens } = await signedInAt(beside, client, user)
  const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token }))
  const done = await browser.submit(page, {}, { button: 'logout-yes' })
  t.equal(done.status, 200)
  // What it had in memory alone is gone.
  await beside.app.close()
  await deliver(delivery)
  t.match(
    receiver.received.map(({ body }) => claimsOfToken(new URLSearchParams(body).get('logout_token') ?? '')),
    [{ sub: user.id, aud: client.clientId }],
  )
})
