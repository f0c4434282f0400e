import t from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { openContext } from '../../src/open-context.js'
import { outbox } from '../../src/store/index.js'
import { hang, openReceiver, type Receiver, refuse, reset, status } from '../support/receiver.js'
import { freePort } from '../support/running-server.js'
import { sql } from '../support/server.js'
import { deliver, endToken, openTelling, revokeToken, waiting } from '../support/telling.js'
import { claimsOf } from '../support/tokens.js'

t.test('a receiver that is down, and then up: delivered, by the same jti', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  await endToken(server)
  receiver.answer(reset)
  const pauses: number[] = []
  for (let attempt = 1; attempt <= 14; attempt++) {
    await deliver(delivery)
    t.equal(receiver.received.length, attempt)
    const [row] = await waiting(server)
    t.match(row, { attempts: attempt, last_error: /^(und_err_socket|econnreset)$/ })
    const next = row!['next_attempt_at'].getTime() - server.clock.now().getTime()
    pauses.push(next / 1000)
    await deliver(delivery)
    t.equal(receiver.received.length, attempt, 'not before its time')
    server.clock.advance(next / 1000)
  }
  for (const [index, pause] of pauses.entries()) {
    const longest = Math.min(2 ** index, 600)
    t.ok(pause >= longest / 2 - 0.001 && pause <= longest, `${pause} s after ${index + 1} attempts`)
  }
  t.ok(new Set(pauses.slice(-4)).size > 1, 'with a share of chance')

  receiver.answer(202)
  await deliver(delivery)
  t.same(await waiting(server), [])
  const ids = new Set(receiver.received.map(({ body }) => claimsOf(body)['jti']))
  t.equal(ids.size, 1)
  const times = new Set(receiver.received.map(({ body }) => claimsOf(body)['iat']))
  t.equal(times.size, 1, 'nothing but the signature is another')
  t.equal((await server.audit('outbox.failed')).length, 1, 'the audit says once that it waits')
})

t.test('a receiver that is not there at all', async (t) => {
  const { server, delivery } = await openTelling(t, [`http://127.0.0.1:${await freePort()}/`])
  await endToken(server)
  await deliver(delivery)
  t.match(await waiting(server), [{ attempts: 1, last_error: 'econnrefused' }])
})

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

const answers: readonly (readonly [name: string, answer: Parameters<Receiver['answer']>[0], reason: string])[] = [
  ['RFC 8935 §2.2: 200 is no acknowledgement', 200, 'status_200'],
  ['204', 204, 'status_204'],
  ['401', 401, 'status_401'],
  ['404', 404, 'status_404'],
  ['500', 500, 'status_500'],
  ['400 without a reason', 400, 'status_400'],
  ['400 with a reason that is none', refuse('<script>alert(1)</script>'), 'status_400'],
  ['400 that is no JSON', (response) => void response.writeHead(400).end('{"err":'), 'status_400'],
  ['400 that is null', (response) => void response.writeHead(400).end('null'), 'status_400'],
  ['RFC 8935 §2.4: invalid_key', refuse('invalid_key'), 'invalid_key'],
  ['RFC 8935 §2.4: invalid_issuer', refuse('invalid_issuer'), 'invalid_issuer'],
  ['RFC 8935 §2.4: invalid_audience', refuse('invalid_audience'), 'invalid_audience'],
  ['RFC 8935 §2.4: authentication_failed', refuse('authentication_failed'), 'authentication_failed'],
  ['RFC 8935 §2.4: access_denied', refuse('access_denied'), 'access_denied'],
]

t.test('whatever else a receiver answers: another attempt follows, and the audit says why', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  for (const [name, answer, reason] of answers) {
    const before = { calls: receiver.received.length, events: (await server.audit('outbox')).length }
    receiver.answer(answer)
    await endToken(server)
    await deliver(delivery)
    t.match(await waiting(server), [{ attempts: 1, last_error: reason }], name)
    const [event, ...more] = (await server.audit('outbox')).slice(before.events)
    const detail = { kind: 'revocation', destination: new URL(receiver.url).origin }
    t.match(event, { type: 'outbox.failed', actor: 'system', reason, detail }, name)
    t.same(more, [], name)
    receiver.answer(202)
    server.clock.advance(1)
    await deliver(delivery)
    t.equal(receiver.received.length, before.calls + 2, name)
    t.same(await waiting(server), [], name)
  }
})

t.test('RFC 8935 §2.4: invalid_request is final, and the audit says that nobody was told', async (t) => {
  const receiver = await openReceiver(t, '/hook/secret-in-the-path')
  const { server, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(refuse('invalid_request'))
  await endToken(server)
  await deliver(delivery)
  t.same(await waiting(server), [])
  const { jti } = claimsOf(receiver.received[0]!.body)
  const detail = { message: jti, kind: 'revocation', destination: new URL(receiver.url).origin, attempts: 1 }
  t.match(await server.audit('outbox'), [
    { type: 'outbox.given_up', actor: 'system', reason: 'invalid_request', detail },
  ])
  t.ok(server.logs.some((line) => line.includes('a message was given up')))
  t.notOk(server.logs.some((line) => line.includes('secret-in-the-path')))
})

t.test('a redirect is not followed: whoever answers does not choose who hears of it', async (t) => {
  const [receiver, other] = [await openReceiver(t), await openReceiver(t)]
  const { server, delivery } = await openTelling(t, [receiver.url], { REVOCATION_RECEIVER_TOKENS: 'secret' })
  for (const code of [302, 307, 308]) {
    receiver.answer(status(code, { location: other.url }))
    await endToken(server)
    await deliver(delivery)
    server.clock.advance(600)
  }
  t.same(other.received, [])
  t.match((await waiting(server))[0], { last_error: /^status_30[278]$/ })
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

t.test('given up after seven days of trying, and not for a clock that jumps', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url])
  receiver.answer(500)
  await endToken(server)
  await deliver(delivery)
  server.clock.advance(8 * 86_400)
  await deliver(delivery)
  t.match(await waiting(server), [{ attempts: 2 }], 'long ago, but hardly tried')
  while ((await waiting(server)).length > 0) {
    if (receiver.received.length > 30) return t.fail('it is tried for ever')
    server.clock.advance(600)
    await deliver(delivery)
  }
  t.equal(receiver.received.length, 20)
  t.match(await server.audit('outbox.given_up'), [{ reason: 'status_500', detail: { attempts: 20 } }])
})

t.test('a receiver that was taken out of the settings is not called; put back, it gets what waits', async (t) => {
  const receiver = await openReceiver(t)
  const telling = await openTelling(t, [])
  const { server, ctx } = telling
  await sql(server, `UPDATE setting SET value = $1 WHERE name = 'revocation_receivers'`, [
    JSON.stringify([receiver.url]),
  ])
  await endToken(server)
  await deliver(telling.delivery)
  t.same(receiver.received, [])
  t.match(await waiting(server), [{ last_error: 'not_configured' }])

  const config = { ...ctx.config, revocation: { receivers: [{ url: receiver.url, token: undefined }] } }
  const delivery = createDelivery({ ...ctx, config })
  server.clock.advance(1)
  await deliver(delivery)
  t.equal(receiver.received.length, 1)
})

t.test('a process that ends in the middle of a call: another delivers, when the claim is over', async (t) => {
  const receiver = await openReceiver(t)
  const { server, ctx } = await openTelling(t, [receiver.url])
  await endToken(server)
  // It gets no further than a process that is killed while it calls.
  receiver.answer(hang)
  const killed = createDelivery(ctx)
  await killed.look()
  await receiver.arrived(1)

  const other = createDelivery(ctx)
  receiver.answer(202)
  await deliver(other)
  server.clock.advance(29)
  await deliver(other)
  t.equal(receiver.received.length, 1, 'not while it may still be delivered')
  server.clock.advance(1)
  await deliver(other)
  t.same(await waiting(server), [])
  t.equal(claimsOf(receiver.received[1]!.body)['jti'], claimsOf(receiver.received[0]!.body)['jti'])
  receiver.breakOff()
  await killed.idle()
  t.same(await waiting(server), [], 'and nothing comes of who was late')
})

t.test('stopping: what ends in time is done, what does not is released for others', async (t) => {
  const [slow, stuck] = [await openReceiver(t), await openReceiver(t)]
  const { server, ctx, delivery } = await openTelling(t, [slow.url, stuck.url])
  await endToken(server)
  let finish = () => {}
  slow.answer((response) => (finish = () => void response.writeHead(202).end()))
  stuck.answer(hang)
  await delivery.look()
  await Promise.all([slow.arrived(1), stuck.arrived(1)])
  const stopping = delivery.stop()
  finish()
  await stopping
  t.match(await waiting(server), [{ destination: stuck.url, last_error: null }])
  t.same(await sql(server, 'SELECT FROM outbox WHERE claimed_until IS NOT NULL'), [])
  await delivery.look()
  await delivery.idle()
  t.equal(stuck.received.length, 1, 'who has stopped begins nothing')

  stuck.answer(202)
  await deliver(createDelivery(ctx))
  t.same(await waiting(server), [], 'at once')
})

t.test('two processes that look at the same time deliver each message once', async (t) => {
  const receiver = await openReceiver(t)
  const { server, ctx, delivery } = await openTelling(t, [receiver.url])
  for (let n = 0; n < 60; n++) await endToken(server)
  const others = [delivery, createDelivery(ctx), createDelivery(ctx)]
  for (let round = 0; round < 3; round++) await Promise.all(others.map(deliver))
  t.equal(receiver.received.length, 60)
  t.equal(new Set(receiver.received.map(({ body }) => claimsOf(body)['jti'])).size, 60)
})

t.test('whoever delivers is woken by a revocation of another process', async (t) => {
  const { server, ctx } = await openTelling(t, ['https://receiver.example/events'])
  const { config, log, clock, random } = ctx
  const other = await openContext({ config, log, clock, random, databaseUrl: server.databaseUrl, follow: true })
  t.teardown(() => other.close())
  let calls = 0
  let woken = () => {}
  const wakes = new Promise<void>((resolve) => (woken = resolve))
  const stop = other.onMessage((retry) => {
    t.equal(retry, false)
    calls++
    woken()
  })
  await endToken(server)
  await wakes
  stop()
  const heard = new Promise<boolean>((resolve) => other.onMessage(resolve))
  await outbox.retry(ctx.db, {}, server.clock.now())
  t.equal(await heard, true, 'and told of an operator who wants it now')
  t.equal(calls, 1, 'who has stopped listening is left alone')
})

t.test('a message that cannot be made waits like any other, and its lane goes on', async (t) => {
  const receiver = await openReceiver(t)
  const { server, ctx } = await openTelling(t, [receiver.url])
  const sign = () => Promise.reject(new Error('there is no signing key'))
  const broken = createDelivery({ ...ctx, keys: { ...ctx.keys, sign } })
  await endToken(server)
  await deliver(broken)
  t.match(await waiting(server), [{ attempts: 1, last_error: 'unexpected' }])
  server.clock.advance(1)
  await deliver(createDelivery(ctx))
  t.same(await waiting(server), [])
})

t.test('a database that goes away after the call: delivered once more, by the same jti', async (t) => {
  const receiver = await openReceiver(t)
  const { server, ctx } = await openTelling(t, [receiver.url])
  await endToken(server)
  const run = () => Promise.reject(new Error('Connection terminated'))
  await deliver(createDelivery({ ...ctx, db: { ...ctx.db, run } }))
  t.equal(receiver.received.length, 1)
  t.match(await waiting(server), [{ attempts: 1, last_error: null }])
  server.clock.advance(30)
  await deliver(createDelivery(ctx))
  t.same(await waiting(server), [])
  t.equal(new Set(receiver.received.map(({ body }) => claimsOf(body)['jti'])).size, 1)
})

t.test('no credential and no token is in a log line, an audit event or the outbox', async (t) => {
  const receiver = await openReceiver(t)
  const { server, delivery } = await openTelling(t, [receiver.url], { REVOCATION_RECEIVER_TOKENS: 'receiver-secret' })
  receiver.answer((response, { headers }) => {
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ err: headers.authorization, description: headers.authorization }))
  })
  const token = await revokeToken(server)
  await deliver(delivery)
  const kept = JSON.stringify([await sql(server, 'SELECT * FROM outbox'), await server.audit(), server.logs])
  for (const secret of ['receiver-secret', token, receiver.received[0]!.body]) t.notMatch(kept, secret)
})
