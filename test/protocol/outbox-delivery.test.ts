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
