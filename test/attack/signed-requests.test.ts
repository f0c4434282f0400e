import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { signature } from '../../packages/resource-server/src/index.js'
import { protect } from '../../packages/resource-server/src/node.js'
import { type SignOptions, signRequest } from '../../packages/resource-server/src/sign.js'
import { audience, TestIssuer } from '../resource-server/support/issuer.js'
import { longAgo } from '../resource-server/support/platform.js'
import { keyId, makeSigningKey, origin } from '../resource-server/support/signed.js'

interface Answer {
  readonly status: number
  readonly text: string
}

/** An API that takes signed requests, by HTTP, and everything that it says. */
async function scene(t: Test, { capacity = 1000 } = {}) {
  const issuer = await TestIssuer.start(t)
  const { platform } = issuer
  const { privateJwk, key } = makeSigningKey()
  const keys = new Map([[keyId, key]])
  const said: string[] = []
  const scheme = signature({ origin, platform: longAgo(platform), capacity, findKey: async (id) => keys.get(id) })
  const warn = (message: string) => said.push(message)
  const api = await protect({ issuer: issuer.issuer, audience, platform, warn, schemes: [scheme] })
  const guard = api.scopes('orders:read')
  const http = createServer(async (request, response) => {
    const token = await guard(request, response)
    if (token) response.end(JSON.stringify({ for: token.sub, body: String(await api.body(request)).length }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    http.closeAllConnections()
    await Promise.all([api.close(), new Promise((resolve) => http.close(resolve))])
  })

  /** Every byte is the test's: no client library makes a request better than it was meant. */
  function raw(text: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const socket = connect((http.address() as AddressInfo).port, '127.0.0.1')
      let received = ''
      socket.setEncoding('utf8')
      socket.on('data', (piece) => (received += piece))
      socket.on('error', reject)
      socket.on('close', () => {
        said.push(received)
        resolve({ status: Number(received.split(' ')[1]), text: received })
      })
      socket.write(text)
    })
  }

  const sign = (options: Partial<SignOptions> = {}) =>
    signRequest({ key: privateJwk, keyId, platform, url: `${origin}/orders`, ...options })

  return { platform, keys, key, privateJwk, said, raw, sign }
}

type Fields = readonly (readonly [string, string])[] | Readonly<Record<string, string>>

function written(fields: Fields, { method = 'GET', target = '/orders', body = '' } = {}): string {
  const lines = (Array.isArray(fields) ? fields : Object.entries(fields)).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return `${method} ${target} HTTP/1.1\r\nHost: orders.example\r\nConnection: close\r\n${length}${lines.join('')}\r\n${body}`
}

const json = { 'content-type': 'application/json' }
const post = { method: 'POST', headers: json, body: '{"item":1}' }
const asSent = { method: 'POST', body: '{"item":1}' }

t.test('attack 113: a key id that is guessed is as good as a signature that is wrong', async (t) => {
  const { raw, sign, keys, key } = await scene(t)
  keys.set('anotherKey000001', { ...key, jwk: makeSigningKey().key.jwk })
  const unknown = await raw(written(await sign({ keyId: 'noSuchKey0000001' })))
  const wrong = await raw(written(await sign({ keyId: 'anotherKey000001' })))
  const withoutDate = ({ text }: Answer) => text.replace(/\r\nDate: [^\r]+/, '')
  t.equal(unknown.status, 401)
  t.equal(withoutDate(unknown), withoutDate(wrong), 'nothing tells which of the two it was')
  const { signature: value = '', 'signature-input': input = '' } = await sign()
  const query = new URLSearchParams({ signature: value, 'signature-input': input })
  t.equal((await raw(written({}, { target: `/orders?${query}` }))).status, 401, 'in the address it is nothing')
})

t.test('attack 114: a request that one key signed is not taken for another one’s', async (t) => {
  const { raw, sign, keys, key } = await scene(t)
  keys.set('keyOfSomebody001', {
    ...makeSigningKey().key,
    token: { ...key.token, sub: 'somebody', scope: ['orders:read'] },
  })
  const headers = await sign()
  const renamed = headers['signature-input']?.replace(keyId, 'keyOfSomebody001') ?? ''
  t.equal((await raw(written({ ...headers, 'signature-input': renamed }))).status, 401)
  const other = await sign({ keyId: 'keyOfSomebody001' })
  t.equal((await raw(written(other))).status, 401, 'signed by the wrong key from the start')
  const mixed = { ...headers, 'signature-input': headers['signature-input'] ?? '', signature: other['signature'] ?? '' }
  t.equal((await raw(written(mixed))).status, 401)
  t.match((await raw(written(headers))).text, /"for":"service-1"/)
})

t.test('attack 115: a key permits what it is registered for, until it ends', async (t) => {
  const { raw, sign, keys, key, platform } = await scene(t)
  t.equal((await raw(written(await sign()))).status, 200)
  keys.set(keyId, { ...key, token: { ...key.token, scope: ['orders:write'] } })
  t.equal((await raw(written(await sign({ headers: { scope: 'orders:read' } })))).status, 403)
  keys.set(keyId, { ...key, token: { ...key.token, expiresAt: platform.seconds + 10 } })
  t.equal((await raw(written(await sign()))).status, 200)
  platform.advance(15_000)
  t.equal((await raw(written(await sign()))).status, 401, 'expired')
  keys.delete(keyId)
  t.equal((await raw(written(await sign()))).status, 401, 'revoked')
})

t.test('attack 116: a key that is ended in an emergency is refused with the next request', async (t) => {
  const { raw, sign, keys } = await scene(t)
  const [used, ready] = [await sign(), await sign()]
  t.equal((await raw(written(used))).status, 200)
  keys.delete(keyId)
  t.equal((await raw(written(ready))).status, 401, 'whatever was signed before')
})

t.test(
  'attack 117: a burst past what the memory of nonces holds is refused, and makes room for no replay',
  async (t) => {
    const { raw, sign, platform } = await scene(t, { capacity: 20 })
    const burst = await Promise.all(Array.from({ length: 12 }, () => sign()))
    const answers: Answer[] = []
    for (const headers of burst) answers.push(await raw(written(headers)))
    t.same(
      answers.map(({ status }) => status),
      [...Array(5).fill(200), ...Array(7).fill(503)],
    )
    t.match(answers[11]?.text, /\r\nretry-after: \d+\r\n/i)
    for (const headers of burst.slice(0, 5)) t.equal((await raw(written(headers))).status, 401, 'a replay')
    platform.advance(66_000)
    t.equal((await raw(written(await sign()))).status, 200)
    for (const headers of burst) t.equal((await raw(written(headers))).status, 401, 'and later, too')
  },
)

t.test('attack 118: no key, signature or nonce is in an answer or a warning', async (t) => {
  const { raw, sign, said, privateJwk, keys, key } = await scene(t)
  const secrets = [privateJwk['d'], keyId]
  const changes: Record<string, string>[] = [
    {},
    { signature: 'ostiary=:AAAA:' },
    { 'signature-input': 'ostiary=();tag="ostiary"' },
  ]
  for (const change of changes) {
    const signed = await sign(post)
    secrets.push(signed['signature']?.slice(9), /nonce="([^"]+)"/.exec(signed['signature-input'] ?? '')?.[1])
    const headers = { ...signed, ...change }
    await raw(written(headers, asSent))
    await raw(written(headers, { ...asSent, body: '{"item":2}' }))
  }
  keys.set(keyId, { ...key, jwk: { ...key.jwk, d: privateJwk['d'] } })
  t.equal((await raw(written(await sign()))).status, 401, 'a private key was registered')
  const everything = said.join('\n')
  t.match(everything, /HTTP\/1\.1 200/)
  for (const secret of secrets) {
    if (secret === undefined) continue
    const spellings = [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]
    for (const spelling of spellings) t.notOk(everything.includes(spelling), spelling.slice(0, 6))
  }
})

t.test('attack 119: a body cannot be passed off as of another content type', async (t) => {
  const { raw, sign } = await scene(t)
  const signed = await sign(post)
  const form = { ...signed, 'content-type': 'application/x-www-form-urlencoded' }
  t.equal((await raw(written(form, asSent))).status, 401, 'changed')
  const { 'content-type': _, ...without } = signed
  t.equal((await raw(written(without, asSent))).status, 401, 'taken away')
  for (const added of ['text/plain', 'application/json']) {
    const twice = [...Object.entries(signed), ['Content-Type', added] as const]
    t.equal((await raw(written(twice, asSent))).status, 401, 'repeated')
  }
  const inflated = [...Object.entries(signed), ['Content-Encoding', 'gzip'] as const]
  t.equal((await raw(written(inflated, asSent))).status, 400, 'an encoding that nobody signed')
  for (const type of ['application/json; charset=utf-7', 'application/json ;', 'APPLICATION/json']) {
    t.equal((await raw(written({ ...signed, 'content-type': type }, asSent))).status, 401, type)
  }
  t.equal((await raw(written(signed, asSent))).status, 200)
})

t.test('attack 123: two lengths, folded lines and repeated fields are refused', async (t) => {
  const { raw, sign } = await scene(t)
  const signed = await sign(post)
  const entries = Object.entries(signed)
  const chunked = [...entries, ['Transfer-Encoding', 'chunked'] as const]
  t.equal(
    (await raw(written(chunked, { ...asSent, body: '0\r\n\r\nGET / HTTP/1.1\r\n\r\n' }))).status,
    400,
    'CL and TE',
  )
  const twoLengths = [...entries, ['Content-Length', '3'] as const]
  t.equal((await raw(written(twoLengths, asSent))).status, 400, 'two lengths')
  for (const name of ['Signature-Input', 'Signature']) {
    const twice = [...entries, [name, signed[name.toLowerCase()] ?? ''] as const]
    t.equal((await raw(written(twice, asSent))).status, 400, `${name} twice`)
  }
  const digests = [...entries, ['Content-Digest', signed['content-digest'] ?? ''] as const]
  t.equal((await raw(written(digests, asSent))).status, 401, 'Content-Digest twice')
  for (const name of ['content-digest', 'signature-input', 'signature']) {
    const value = signed[name] ?? ''
    for (const fold of ['\r\n ', '\r\n\t']) {
      const folded = { ...signed, [name]: `${value.slice(0, 12)}${fold}${value.slice(12)}` }
      t.ok([400, 401].includes((await raw(written(folded, asSent))).status), `${name} is folded`)
    }
  }
  const injected = { ...signed, 'signature-input': `${signed['signature-input']}\nx: y` }
  t.not((await raw(written(injected, asSent))).status, 200, 'a bare line end')
  const large = [...entries, ['X-Padding', 'x'.repeat(50_000)] as const]
  t.equal((await raw(written(large, asSent))).status, 431, 'headers that are too large')
  const many = { ...signed, 'signature-input': `${signed['signature-input']}, ${'a=();x, '.repeat(1500)}b=()` }
  t.equal((await raw(written(many, asSent))).status, 400, 'more than is read')
  t.equal((await raw(written(signed, asSent))).status, 200)
})

t.test('attack 123: a body that was smuggled into a request without one is not taken for signed', async (t) => {
  const { raw, sign } = await scene(t)
  const signed = await sign({ method: 'POST' })
  t.equal((await raw(written(signed, asSent))).status, 400)
  const chunked = { ...signed, 'transfer-encoding': 'chunked' }
  const head = written(chunked, { method: 'POST' })
  t.equal((await raw(`${head}a\r\n{"item":1}\r\n0\r\n\r\n`)).status, 400)
  t.equal((await raw(written(signed, { method: 'POST' }))).status, 200)
})
