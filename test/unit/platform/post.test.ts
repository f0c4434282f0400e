import t from 'tap'
import { post, secondsToWait } from '../../../src/platform/post.js'
import { hang, openReceiver, reset, status } from '../../support/receiver.js'
import { freePort } from '../../support/running-server.js'

const call = { headers: { 'Content-Type': 'text/plain' }, body: 'hello', timeout: 5_000 }

t.test('sends what it was given, and gives what came back', async (t) => {
  const receiver = await openReceiver(t)
  receiver.answer((response) => {
    response.writeHead(429, { 'retry-after': '7' }).end('{"why":"so"}')
  })
  t.same(await post(receiver.url, call), { status: 429, retryAfter: '7', body: '{"why":"so"}' })
  t.match(receiver.received, [
    {
      method: 'POST',
      path: '/events',
      body: 'hello',
      headers: { 'content-type': 'text/plain', 'user-agent': /^ostiary\// },
    },
  ])
  receiver.answer(202)
  t.same(await post(receiver.url, call), { status: 202, retryAfter: undefined, body: '' })
})

t.test('a redirect is an answer, and nobody else is called', async (t) => {
  const receiver = await openReceiver(t)
  const other = await openReceiver(t)
  for (const code of [301, 302, 303, 307, 308]) {
    receiver.answer(status(code, { location: other.url }))
    t.equal((await post(receiver.url, { ...call, headers: { Authorization: 'Bearer secret' } })).status, code)
  }
  t.same(other.received, [])
})

t.test('an answer is read to a bound, however long it is', async (t) => {
  const receiver = await openReceiver(t)
  let broken = () => {}
  const wasBroken = new Promise<void>((resolve) => (broken = resolve))
  receiver.answer((response) => {
    response.writeHead(200)
    const more = (): void => {
      while (response.write('x'.repeat(1000)));
    }
    response.on('drain', more)
    response.on('close', broken)
    more()
  })
  const { body } = await post(receiver.url, call)
  t.equal(body.length, 4096)
  await wasBroken
})

t.test('no answer: a word says why', async (t) => {
  const receiver = await openReceiver(t)
  receiver.answer(hang)
  await t.rejects(post(receiver.url, { ...call, timeout: 30 }), { name: 'NoReplyError', message: 'timeout' })
  receiver.answer((response) => void response.writeHead(200).write('a'))
  await t.rejects(post(receiver.url, { ...call, timeout: 30 }), { message: 'timeout' }, 'in the middle of the answer')

  receiver.answer(hang)
  const stop = new AbortController()
  const broken = post(receiver.url, { ...call, signal: stop.signal })
  await receiver.arrived(3)
  stop.abort()
  await t.rejects(broken, { message: 'aborted' })

  receiver.answer(reset)
  await t.rejects(post(receiver.url, call), { message: /^(und_err_socket|econnreset)$/ })
  const nobody = `http://127.0.0.1:${await freePort()}/`
  await t.rejects(post(nobody, call), { message: 'econnrefused' })
})

t.test('RFC 9110 §10.2.3: Retry-After is seconds or a date', async (t) => {
  const now = new Date('2026-03-01T12:00:00Z')
  t.equal(secondsToWait('120', now), 120)
  t.equal(secondsToWait(' 0 ', now), 1)
  t.equal(secondsToWait('Sun, 01 Mar 2026 12:01:00 GMT', now), 60)
  t.equal(secondsToWait('Sun, 01 Mar 2026 11:00:00 GMT', now), 1, 'it is over')
  for (const none of [undefined, '', '-1', '1.5', 'soon', '2026-03-01', '99999999999', 'Sun, x']) {
    t.equal(secondsToWait(none, now), undefined, String(none))
  }
})
