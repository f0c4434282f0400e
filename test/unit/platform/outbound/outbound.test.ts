import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import {
  createOutbound,
  type OutboundAnswer,
  type OutboundSettings,
  type OutboundShare,
} from '../../../../src/platform/outbound/index.js'
import { makeCertificate } from '../../../support/certificate.js'
import { flood, hang, openReceiver, reset, say, status, switchProtocols } from '../../../support/receiver.js'
import { freePort } from '../../../support/running-server.js'

/** What a refusal is. */
const because = (reason: string) => ({ name: 'OutboundError', reason })

/** As many as a host has places. */
const four = <Result>(ask: () => Promise<Result>) => Array.from({ length: 4 }, ask)

/** All four come to nothing. */
async function allRejected(t: Test, ask: () => Promise<unknown>, reason: string, message = ''): Promise<void> {
  await Promise.all(four(ask).map((each) => t.rejects(each, because(reason), message)))
}

const forever = () => new Promise<never>(() => undefined)

const hostOf = (url: string): string => new URL(url).host

/** A server on loopback, and what asks it because its host is exempt. */
async function openScene(test: Parameters<typeof openReceiver>[0], more: Partial<OutboundSettings> = {}) {
  const receiver = await openReceiver(test, '/document')
  return { receiver, outbound: createOutbound({ allow: [hostOf(receiver.url)], ...more }) }
}

t.test('gives what came back', async (t) => {
  const { receiver, outbound } = await openScene(t)
  receiver.answer((response) => {
    response.writeHead(200, { 'content-type': 'application/json', etag: '"a"', 'cache-control': 'max-age=60' })
    response.end('{"keys":[]}')
  })
  const answer = await outbound.get(`${receiver.url}?a=b`, { accept: 'application/json' })
  t.equal(answer.status, 200)
  t.match(answer.headers, { 'content-type': 'application/json', etag: '"a"', 'cache-control': 'max-age=60' })
  t.equal(answer.body.toString(), '{"keys":[]}')
  t.match(receiver.received, [
    {
      method: 'GET',
      path: '/document?a=b',
      headers: {
        host: hostOf(receiver.url),
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': /^ostiary\//,
        connection: 'close',
      },
    },
  ])
})

t.test('posts a body', async (t) => {
  const { receiver, outbound } = await openScene(t)
  receiver.answer(204)
  const contentType = 'application/x-www-form-urlencoded'
  t.match(await outbound.post(receiver.url, { contentType, body: 'logout_token=ü' }), { status: 204 })
  t.match(receiver.received, [
    { method: 'POST', body: 'logout_token=ü', headers: { 'content-type': contentType, 'content-length': '15' } },
  ])
})

t.test('attack 95: a redirect is not followed', async (t) => {
  const { receiver, outbound } = await openScene(t)
  const other = await openReceiver(t)
  for (const code of [301, 302, 303, 304, 307, 308]) {
    receiver.answer(status(code, { location: other.url }))
    await t.rejects(outbound.get(receiver.url), because('outbound_redirect'), String(code))
  }
  t.same(other.received, [])
})

t.test('attack 95: an answer has 64 KiB at most, whatever it says of itself', async (t) => {
  const { receiver, outbound } = await openScene(t)
  receiver.answer((response) => response.writeHead(200).end('x'.repeat(65_536)))
  t.equal((await outbound.get(receiver.url)).body.length, 65_536)
  receiver.answer((response) => response.writeHead(200).end('x'.repeat(65_537)))
  await t.rejects(outbound.get(receiver.url), because('outbound_too_large'))

  let broken = () => {}
  const wasBroken = new Promise<void>((resolve) => (broken = resolve))
  receiver.answer((response) => {
    const more = (): void => {
      while (response.write('x'.repeat(1_000)));
    }
    response.on('drain', more).on('close', broken)
    more()
  })
  await t.rejects(outbound.get(receiver.url), because('outbound_too_large'), 'one without an end')
  await wasBroken
})

t.test('attack 138: a compressed answer is not taken', async (t) => {
  const { receiver, outbound } = await openScene(t)
  const bomb = gzipSync(Buffer.alloc(1_000_000))
  receiver.answer((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb))
  await t.rejects(outbound.get(receiver.url), because('outbound_encoded'))
})

t.test('attack 95: who does not answer is not waited for', async (t) => {
  const { receiver, outbound } = await openScene(t, { timeout: 40 })
  receiver.answer(hang)
  await t.rejects(outbound.get(receiver.url), because('outbound_timeout'))
  receiver.answer((response) => void response.writeHead(200).write('a'))
  await t.rejects(outbound.get(receiver.url), because('outbound_timeout'), 'in the middle of the answer')
  receiver.answer(reset)
  await t.rejects(outbound.get(receiver.url), because('outbound_unreachable'))
  const nobody = `http://localhost:${await freePort()}/`
  await t.rejects(createOutbound({ allow: [hostOf(nobody)] }).get(nobody), because('outbound_unreachable'))
})

t.test('RFC 9110 §15.2.2: a host that changes to a protocol that nobody asked for is let go', async (t) => {
  // Long before the time is over.
  const { receiver, outbound } = await openScene(t, { timeout: 60_000 })
  const hints = say('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Other\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n')
  for (const how of [switchProtocols, hints, say('HTTP/1.1 101 Switching Protocols\r\n\r\n')]) {
    receiver.answer(how)
    await allRejected(t, () => outbound.get(receiver.url), 'outbound_unreachable')
    await t.rejects(outbound.post(receiver.url, { contentType: 'a/b', body: 'c' }), because('outbound_unreachable'))
  }
  receiver.answer(200)
  const answers = await Promise.all(four(() => outbound.get(receiver.url)))
  t.match(answers, Array(4).fill({ status: 200 }), 'all four places are free')
})

/** Where an answer may stop. */
const unfinished = [
  '',
  'HTTP/1.1 103 Early Hints\r\n\r\n',
  'HTTP/1.1 200 OK\r\nA: ',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: ',
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na',
]

t.test('wherever an answer stops, its place is free again in time', async (t) => {
  const { receiver, outbound } = await openScene(t, { timeout: 40 })
  for (const bytes of unfinished) {
    receiver.answer(say(bytes))
    await allRejected(t, () => outbound.get(receiver.url), 'outbound_timeout', bytes)
  }
})

t.test('wherever an answer is cut off, its place is free again', async (t) => {
  const { receiver, outbound } = await openScene(t, { timeout: 60_000 })
  for (const bytes of unfinished) {
    receiver.answer(({ socket }) => void socket?.end(bytes))
    await allRejected(t, () => outbound.get(receiver.url), 'outbound_unreachable', bytes)
  }
})

t.test('a handshake that is not answered is not waited for', async (t) => {
  const open = new Set<Socket>()
  const server = createTcpServer((socket) => open.add(socket.resume().on('close', () => open.delete(socket))))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const outbound = createOutbound({ allow: [hostOf(url)], timeout: 40 })
  await allRejected(t, () => outbound.get(url), 'outbound_timeout')
  await t.rejects(outbound.get(url), because('outbound_timeout'), 'all four places are free')
})

t.test('whatever becomes of a request, its time is bounded', async (t) => {
  const outbound = createOutbound({ allow: ['host.test:80'], timeout: 20, resolve: async () => [], send: forever })
  await allRejected(t, () => outbound.get('http://host.test/'), 'outbound_timeout')
  await t.rejects(outbound.get('http://host.test/'), because('outbound_timeout'), 'all four places are free')
})

t.test('attack 95: what is no part of an answer is bounded too', async (t) => {
  const { receiver, outbound } = await openScene(t, { timeout: 60_000 })
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  for (const [beginning, piece] of [
    ['', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(20)],
    ['', '\r\n'.repeat(1_000)],
    [chunked, `1;${'x'.repeat(10_000)}\r\na\r\n`],
  ] as const) {
    receiver.answer(flood(beginning, piece))
    await t.rejects(outbound.get(receiver.url), because('outbound_too_large'), JSON.stringify(piece.slice(0, 20)))
  }
  // As small as chunks are in earnest.
  receiver.answer(say(`${chunked}${`10\r\n${'x'.repeat(16)}\r\n`.repeat(4_096)}0\r\n\r\n`))
  t.equal((await outbound.get(receiver.url)).body.length, 65_536)
})

t.test('a name that does not resolve in time is not waited for', async (t) => {
  const outbound = createOutbound({ allow: [], timeout: 20, resolve: forever })
  await allRejected(t, () => outbound.get('https://slow.example.com/'), 'outbound_timeout')
  await t.rejects(outbound.get('https://slow.example.com/'), because('outbound_timeout'), 'all four places are free')
  await t.resolves(outbound.checks()('https://slow.example.com/'), 'a registration is not refused for it')
})

t.test(
  'attack 95: names of one registration are looked up in one time, and what was not looked at is no answer',
  async (t) => {
    const asked: string[] = []
    const resolve = (host: string) => {
      asked.push(host)
      return forever()
    }
    const outbound = createOutbound({ allow: [], timeout: 40, resolve })
    const check = outbound.checks()
    await check('https://a.example.com/1')
    await check('https://a.example.com/2')
    t.same(asked, ['a.example.com'], 'a host once')
    await check('https://b.example.com/')
    const others = async () => {
      for (const host of 'cdef') await check(`https://${host}.example.com/`)
    }
    await t.rejects(others, because('outbound_timeout'), 'half of the time each')

    const waiting = Array.from({ length: 8 }, (_, index) =>
      outbound.checks('documents')(`https://h${index}.example.com/`),
    )
    await t.rejects(outbound.checks('documents')('https://other.example.com/'), because('outbound_busy'))
    await Promise.all(waiting)
  },
)

t.test('a call can be broken off', async (t) => {
  const { receiver, outbound } = await openScene(t)
  const end = new AbortController()
  receiver.answer(() => end.abort())
  await t.rejects(outbound.get(receiver.url, { signal: end.signal }), because('outbound_timeout'))
  await t.rejects(outbound.get(receiver.url, { signal: end.signal }), because('outbound_timeout'), 'before it began')
  t.equal(receiver.received.length, 1)
})

t.test('attack 95: a name that leads to a private address is not asked', async (t) => {
  for (const addresses of [['127.0.0.1'], ['8.8.8.8', '10.0.0.1'], ['::ffff:127.0.0.1'], ['fd00::1', '8.8.8.8']]) {
    const outbound = createOutbound({ allow: [], resolve: async () => addresses })
    await t.rejects(outbound.get('https://client.example.com/'), because('outbound_not_public'), String(addresses))
    await t.rejects(outbound.checks()('https://client.example.com/'), because('outbound_not_public'))
  }
  const unknown = async () => {
    throw new Error('ENOTFOUND')
  }
  const lost = createOutbound({ allow: [], resolve: unknown })
  await t.rejects(lost.get('https://client.example.com/'), because('outbound_name_unknown'))
  await t.resolves(lost.checks()('https://client.example.com/'), 'a registration is not refused for it')
})

t.test('attack 95: the address is pinned: a name is resolved once for each request', async (t) => {
  const answers = [['127.0.0.1'], ['10.0.0.1']]
  let asked = 0
  const receiver = await openReceiver(t, '/document')
  receiver.answer(200)
  const url = `http://rebound.example.com:${new URL(receiver.url).port}/document`
  const outbound = createOutbound({ allow: [hostOf(url)], resolve: async () => answers[asked++] ?? [] })
  t.match(await outbound.get(url), { status: 200 })
  t.equal(asked, 1)
  t.match(receiver.received, [{ headers: { host: hostOf(url) } }])
})

t.test('a host is asked four times at once, and others meanwhile', async (t) => {
  const { receiver, outbound } = await openScene(t)
  const open: (() => void)[] = []
  receiver.answer((response) => void open.push(() => response.writeHead(200).end()))
  const asked = four(() => outbound.get(receiver.url))
  await receiver.arrived(4)
  await t.rejects(outbound.get(receiver.url), because('outbound_busy'))
  for (const answer of open) answer()
  t.match(await Promise.all(asked), Array(4).fill({ status: 200 }))
  receiver.answer(200)
  t.match(await outbound.get(receiver.url), { status: 200 }, 'what is over counts no longer')
})

t.test('attack 95: what strangers named takes no place of what operators named, however slow it is', async (t) => {
  const held: (() => void)[] = []
  let holds = true
  const send = () =>
    new Promise<OutboundAnswer>((resolve) => {
      const answer = () => resolve({ status: 200, headers: {}, body: Buffer.alloc(0) })
      if (holds) held.push(answer)
      else answer()
    })
  const outbound = createOutbound({ allow: [], timeout: 60_000, resolve: async () => ['8.8.8.8'], send })
  let refused = 0
  const ask = (url: string, share?: OutboundShare) =>
    outbound.get(url, { share }).then(
      () => 'answered',
      (error) => ++refused && error.reason,
    )
  const asked = Array.from({ length: 64 }, (_, index) => [
    ...[ask(`https://a${index}.example.com/`), ask(`https://b${index}.example.com/`, 'strangers')],
    ask(`https://c${index}.example.com/`, 'documents'),
  ]).flat()
  // All are either under way or refused by now.
  while (held.length + refused < asked.length) await new Promise(setImmediate)
  t.equal(held.length, 24 + 8)
  holds = false
  for (const share of ['operators', 'logouts'] as const) {
    t.equal(await ask('https://other.example.com/', share), 'answered', share)
    t.equal(await ask('https://b0.example.com/', share), 'answered', `${share}, of the same host`)
  }
  for (const share of [undefined, 'strangers', 'documents'] as const) {
    t.equal(await ask('https://other.example.com/', share), 'outbound_busy', share ?? 'who says nothing is a stranger')
  }

  for (const answer of held) answer()
  const outcomes = await Promise.all(asked)
  t.equal(outcomes.filter((outcome) => outcome === 'answered').length, 24 + 8)
  for (const share of ['strangers', 'documents'] as const) {
    t.equal(await ask('https://other.example.com/', share), 'answered', `${share}: what is over counts no longer`)
  }
})

t.test('a host is asked four times at once in each share', async (t) => {
  const held: (() => void)[] = []
  const send = () =>
    new Promise<OutboundAnswer>((resolve) =>
      held.push(() => resolve({ status: 200, headers: {}, body: Buffer.alloc(0) })),
    )
  const outbound = createOutbound({ allow: [], timeout: 60_000, resolve: async () => ['8.8.8.8'], send })
  const url = 'https://host.example.com/'
  const asked = four(() => outbound.get(url, { share: 'strangers' }))
  await t.rejects(outbound.get(url, { share: 'strangers' }), because('outbound_busy'))
  asked.push(...four(() => outbound.get(url, { share: 'operators' })))
  await t.rejects(outbound.get(url, { share: 'operators' }), because('outbound_busy'))
  while (held.length < 8) await new Promise(setImmediate)
  for (const answer of held) answer()
  t.match(await Promise.all(asked), Array(8).fill({ status: 200 }))
})

t.test('TLS: a certificate has to be trusted, and NODE_EXTRA_CA_CERTS is', async (t) => {
  const made = makeCertificate({
    name: 'localhost',
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2090-01-01T00:00:00Z'),
  })
  const server = createTlsServer(made, (_request, response) => response.end('good'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const url = `https://localhost:${port}/`
  await t.rejects(createOutbound({ allow: [hostOf(url)] }).get(url), because('outbound_tls'))

  const file = join(t.testdir(), 'ca.pem')
  writeFileSync(file, made.cert)
  const module = new URL('../../../../src/platform/outbound/index.ts', import.meta.url)
  const program = `
    const { createOutbound } = await import('${module}')
    const { body } = await createOutbound({ allow: ['localhost:${port}'] }).get('${url}')
    console.log(String(body))`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import=tsx', '--input-type=module', '-e', program],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: file } },
  )
  t.equal(stdout.trim(), 'good')
})
