import t from 'tap'
import { outbox } from '../../src/store/index.js'
import { hang, openReceiver, status } from '../support/receiver.js'
import { sql } from '../support/server.js'
import { deliver, endToken, openTelling, waiting } from '../support/telling.js'
import { claimsOf } from '../support/tokens.js'

// What waits for one receiver is a lane: how much of it is tried at once, and what comes of it where nothing gets through.

t.test('a receiver that hangs holds up no revocation, and no other receiver', async (t) => {
  const [stuck, quick] = [await openReceiver(t), await openReceiver(t)]
  const { server, delivery } = await openTelling(t, [stuck.url, quick.url])
  stuck.answer(hang)
  await endToken(server)
  await delivery.look()
  await stuck.arrived(1)
  await quick.arrived(1)
  for (let n = 2; n <= 20; n++) {
    await endToken(server)
    await delivery.look()
    await quick.arrived(n)
  }
  t.equal(stuck.received.length, 1, 'that lane waits for its first call')
  t.equal((await waiting(server)).filter(({ destination }) => destination === stuck.url).length, 20)
  stuck.answer(202)
  stuck.breakOff()
  await delivery.idle()
  server.clock.advance(1)
  await deliver(delivery)
  t.same(await waiting(server), [])
  t.equal(stuck.received.length, 21)
  t.equal(quick.received.length, 20, 'nothing twice')
})

t.test('no more than eight calls at a time to one receiver', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  for (let n = 0; n < 30; n++) await endToken(server)
  receiver.answer(hang)
  await delivery.look()
  await receiver.arrived(8)
  await delivery.look()
  t.equal((await sql(server, 'SELECT FROM outbox WHERE claimed_until IS NOT NULL')).length, 8)
  receiver.answer(202)
  receiver.breakOff()
  await delivery.idle()
  t.equal(receiver.received.length, 8, 'nothing got through, so the rest was not tried')
  await deliver(delivery)
  t.equal(receiver.received.length, 8, 'nor at once again')
  server.clock.advance(1)
  await deliver(delivery)
  t.equal(receiver.received.length, 38, 'until something does: then all that is due')
  t.same(await waiting(server), [])
})

t.test('a receiver that is away is asked by a message or two every ten seconds, however many wait', async (t) => {
  const [away, other] = [await openReceiver(t), await openReceiver(t)]
  const { server, delivery } = await openTelling(t, [away.url, other.url])
  away.answer(503)
  for (let n = 0; n < 40; n++) await endToken(server)
  await deliver(delivery)
  t.equal(away.received.length, 8, 'before anything is known of it')
  t.equal(other.received.length, 40)
  for (let round = 2; round <= 12; round++) {
    const before = away.received.length
    server.clock.advance(10)
    for (let look = 1; look <= 5; look++) await deliver(delivery)
    // Two where the first of them is the one that failed last, which says nothing about the others.
    t.ok(away.received.length > before && away.received.length <= before + 2)
  }
  await endToken(server)
  await deliver(delivery)
  t.equal(other.received.length, 41, 'which holds up nobody else')

  away.answer(202)
  server.clock.advance(10)
  await deliver(delivery)
  const kept = (await waiting(server)).length
  server.clock.advance(600)
  await deliver(delivery)
  t.ok(kept < 20, 'what was due came at once')
  t.same(await waiting(server), [])
})

t.test('given up by the lane: a receiver that is away for seven days does not hear what is older', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(500)
  // So many that none of them has twenty attempts of its own.
  await Promise.all(Array.from({ length: 1_000 }, () => endToken(server)))
  server.clock.advance(7 * 86_400)
  await endToken(server)
  const left = async () => (await waiting(server)).length
  for (let round = 1; round <= 720; round++) {
    await deliver(delivery)
    server.clock.advance(10)
  }
  t.ok((await left()) > 900, 'old, but it was asked for hardly more than an hour')
  for (let round = 1; round <= 720 && (await left()) > 900; round++) {
    await deliver(delivery)
    server.clock.advance(10)
  }
  t.ok((await left()) < 100, 'what nobody came to try goes at once')
  for (let round = 1; round <= 200 && (await left()) > 1; round++) {
    server.clock.advance(600)
    for (let look = 1; look <= 2; look++) await deliver(delivery)
  }
  t.equal(await left(), 1, 'and what was tried, one by one; the youngest stays')
  const events = await server.audit('outbox.given_up')
  const gone = events.map(({ detail }) => Number((detail as Record<string, unknown>)['messages'] ?? 1))
  t.equal(
    gone.reduce((sum, count) => sum + count, 0),
    1_000,
    'the audit has all of them',
  )
})

t.test('messages that are wrong do not hold up those that are not', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  await Promise.all(Array.from({ length: 10 }, () => endToken(server)))
  const wrong = new Set((await sql(server, 'SELECT id FROM outbox')).map(({ id }) => id))
  receiver.answer((response, { body }) => response.writeHead(wrong.has(claimsOf(body)['jti']) ? 500 : 202).end())
  for (let round = 0; round < 400; round++) {
    await deliver(delivery)
    server.clock.advance(10)
  }
  for (let message = 1; message <= 10; message++) {
    await endToken(server)
    for (let look = 0; look < 20; look++) {
      await deliver(delivery)
      server.clock.advance(1)
    }
    t.equal((await waiting(server)).length, 10, 'told within twenty seconds')
  }
})

t.test('one that is wrong by itself holds up nothing', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(500)
  await endToken(server)
  for (let attempt = 1; attempt <= 12; attempt++) {
    await deliver(delivery)
    server.clock.advance(600)
  }
  await deliver(delivery)
  receiver.answer(202)
  await endToken(server)
  await deliver(delivery)
  t.match(await waiting(server), [{ attempts: 13 }], 'the other is told at once')
})

t.test('attack 133: a clock that is set back lets no lane rest for longer, one that jumps begins anew', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(status(503, { 'retry-after': '600' }))
  await endToken(server)
  await deliver(delivery)
  receiver.answer(202)
  server.clock.advance(-300)
  await endToken(server)
  await deliver(delivery)
  t.same(await waiting(server), [])
})

t.test('an operator’s retry comes at once, whatever was asked for before', async (t) => {
  const receiver = await openReceiver(t)
  const { server, ctx, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(status(429, { 'retry-after': '300' }))
  await endToken(server)
  await deliver(delivery)
  receiver.answer(202)
  await outbox.retry(ctx.db, {}, server.clock.now())
  await deliver(delivery)
  t.equal(receiver.received.length, 1)
  delivery.endRests()
  await deliver(delivery)
  t.same(await waiting(server), [])
})

t.test('RFC 6585 §4: 429 with Retry-After is heeded, for all that is meant for that receiver', async (t) => {
  const [busy, other] = [await openReceiver(t), await openReceiver(t)]
  const { server, delivery } = await openTelling(t, [busy.url, other.url])
  busy.answer(status(429, { 'retry-after': '120' }))
  await endToken(server)
  await deliver(delivery)
  t.equal(busy.received.length, 1)
  busy.answer(202)
  server.clock.advance(119)
  await endToken(server)
  await deliver(delivery)
  t.equal(busy.received.length, 1, 'a new one waits too')
  t.equal(other.received.length, 2)
  server.clock.advance(1)
  await deliver(delivery)
  t.equal(busy.received.length, 3)
  t.same(await waiting(server), [])

  busy.answer(status(503, { 'retry-after': '999999' }))
  await endToken(server)
  await deliver(delivery)
  busy.answer(202)
  server.clock.advance(600)
  await deliver(delivery)
  t.same(await waiting(server), [], 'but nobody is left alone for longer than any pause')
})
