import { createHmac, generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { readClientKey } from '../../src/clients/keys/index.js'
import { createOutbound, type OutboundAnswer, OutboundError } from '../../src/platform/outbound/index.js'
import {
  assertionClaims,
  assertionType,
  createJwksHost,
  encoded,
  type Json,
  jwksAnswer,
  makeKey,
  proofOf,
  signed,
} from '../support/client-keys.js'
import { openReceiver, switchProtocols } from '../support/receiver.js'
import { refused } from '../support/refused.js'
import { createTestServer, type TestServer, testIssuer } from '../support/server.js'
import { statementsOf } from '../support/tokens.js'

// The bounds on failures have tests of their own.
const env = { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' }
const key = makeKey()
const host = createJwksHost([key.jwk])
const server = await createTestServer(t, { env, outbound: host.outbound })
const byKey = { token_endpoint_auth_method: 'private_key_jwt' }
const client = await server.createService('', { ...byKey, jwks: { keys: [key.jwk] } })
const jwksUri = 'https://client.example.com/jwks'
const byUri = { ...byKey, jwks_uri: jwksUri }
const form = { grant_type: 'client_credentials', client_assertion_type: assertionType }

const present = (client_assertion: string, of: TestServer = server, more: Readonly<Record<string, string>> = {}) =>
  of.post('/token', { ...form, client_assertion, ...more })
const claims = (more: Json = {}, clientId = client.clientId) => assertionClaims(server, clientId, more)

/** How often the audit says so. */
async function audited(of: TestServer, reason: string): Promise<number> {
  const events = await of.audit('client.authentication_failed')
  return events.reduce((sum, event) => sum + (event.reason === reason ? (event.count ?? 1) : 0), 0)
}

async function isRefused(t: Test, assertion: string, message: string): Promise<void> {
  const reply = await present(assertion)
  t.equal(reply.statusCode, 401, message)
  t.match(reply.json(), { error: 'invalid_client' }, message)
}

t.test(
  'attack 65: a wrong assertion costs the same statements and gets the same answer, whatever client it names',
  async (t) => {
    const warm = await server.createService('', { ...byKey, jwks: { keys: [key.jwk] } })
    const secret = await server.createService()
    const cold = await server.createService('', { ...byKey, jwks: { keys: [key.jwk] } })
    for (const { clientId } of [warm, client])
      await server.post('/token', { ...form, ...(await proofOf(server, key, clientId)) })
    await server.ctx.clients.find(secret.clientId)
    server.ctx.clients.drop(cold.clientId)
    const stranger = makeKey()
    await present(await signed(stranger, claims({}, 'nobody')))
    const measured = []
    for (const { clientId } of [{ clientId: 'nobody' }, warm, secret, cold]) {
      const assertion = await signed(stranger, claims({}, clientId))
      let reply: Awaited<ReturnType<typeof present>> | undefined
      const statements = await statementsOf(server, async () => {
        reply = await present(assertion)
      })
      const { date: _, 'x-request-id': __, ...headers } = reply?.headers ?? {}
      measured.push({ statements, status: reply?.statusCode, body: reply?.body, headers })
    }
    const [unknown, ...known] = measured
    t.equal(unknown?.status, 401)
    for (const other of known) t.same(other, unknown)
  },
)

t.test('attack 66: an assertion and another method at once', async (t) => {
  const { client_assertion } = await proofOf(server, key, client.clientId)
  const service = await server.createService()
  for (const [more, headers] of [
    [{ client_secret: service.clientSecret, client_id: service.clientId }, {}],
    [{ client_secret: 'x' }, {}],
    [{}, { authorization: service.basic }],
  ] as const) {
    const reply = await server.post('/token', { ...form, client_assertion, ...more }, headers)
    t.equal(reply.statusCode, 400)
    t.match(reply.json(), { error: 'invalid_request' })
  }
  t.equal((await present(client_assertion)).statusCode, 200, 'nor was it used up')
})

t.test('attack 67: an assertion for a client of another method, and no assertion', async (t) => {
  const basic = await server.createService('', { jwks: { keys: [key.jwk] } })
  await isRefused(t, await signed(key, claims({}, basic.clientId)), 'basic, with a key that it has registered')
  const reply = await server.post('/token', { grant_type: 'client_credentials', client_id: client.clientId })
  t.match(reply.json(), { error: 'invalid_client' }, 'its name alone')
})

t.test('attack 69: forged assertions', async (t) => {
  const stranger = makeKey()
  const input = (header: Json, of = claims()): string => `${encoded(header)}.${encoded(of)}`
  const hmac = (text: string, secret: string): string => createHmac('sha256', secret).update(text).digest('base64url')
  for (const secret of [JSON.stringify(key.jwk), String(key.jwk['x']), '']) {
    const text = input({ alg: 'HS256', kid: 'first' })
    await isRefused(t, `${text}.${hmac(text, secret)}`, 'HS256 with the public key as secret')
  }
  for (const alg of ['none', 'None', 'NONE', '']) {
    await isRefused(t, `${input({ alg })}.`, `alg ${alg}`)
    await isRefused(t, `${input({ alg })}.AAAA`, `alg ${alg} with a signature`)
  }
  for (const alg of ['ES384', 'RS512', 'HS512', 'ES256K', 'Ed448', 'RSA1_5', 'constructor', 1, null, ['ES256']]) {
    await isRefused(t, `${input({ alg, kid: 'first' })}.AAAA`, `alg ${alg}`)
  }
  const { kid: _, ...own } = stranger.jwk
  for (const header of [
    { jwk: own },
    { jwk: own, kid: undefined },
    { jku: 'https://attacker.example/jwks' },
    { x5u: 'https://attacker.example/x5u' },
    { x5c: ['MIIB'] },
    { kid: '../../../../dev/null' },
    { kid: "x' UNION SELECT 'key" },
    { kid: '__proto__' },
    { kid: 'x'.repeat(5_000) },
  ]) {
    await isRefused(t, await signed(stranger, claims(), header), JSON.stringify(header).slice(0, 60))
  }
  t.same(host.asked, [], 'nobody was asked for a key')
  await isRefused(t, await critical({ crit: ['exp'], exp: 1 }), 'an unknown crit')
  await isRefused(t, await critical({ crit: ['b64'], b64: false }), 'b64')
  await isRefused(t, await critical({ crit: [] }), 'an empty crit')
  const now = Math.floor(server.clock.now().getTime() / 1000)
  for (const more of [
    { aud: 'https://attacker.example' },
    { aud: [testIssuer, 'https://attacker.example'] },
    { aud: ['https://attacker.example', testIssuer] },
    { aud: `${testIssuer}/authorize` },
    { aud: testIssuer.toUpperCase() },
    { iss: 'https://attacker.example' },
    { sub: 'somebody' },
    { exp: undefined },
    { exp: now + 366 * 86_400 },
    { exp: Number.MAX_SAFE_INTEGER },
    { exp: null },
    { exp: now - 61 },
    { jti: undefined },
  ]) {
    await isRefused(t, await signed(key, claims(more)), JSON.stringify(more))
  }
  const right = await signed(key, claims())
  const [header = '', payload = '', signature = ''] = right.split('.')
  const last = signature.at(-1) ?? ''
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const unusedBits = signature.slice(0, -1) + alphabet[alphabet.indexOf(last) ^ 1]
  const doubled = encoded(`${JSON.stringify(claims()).slice(0, -1)},"sub":"${client.clientId}"}`)
  for (const [name, forged] of Object.entries({
    'another payload': `${header}.${encoded(claims({ note: 1 }))}.${signature}`,
    'no signature': `${header}.${payload}.`,
    'two parts': `${header}.${payload}`,
    'four parts': `${right}.x`,
    padding: `${right}=`,
    'unused bits': `${header}.${payload}.${unusedBits}`,
    'a member twice': `${header}.${doubled}.${signature}`,
  })) {
    await isRefused(t, forged, name)
  }
  t.equal((await present(right)).statusCode, 200, 'and the one that is right')
  const beside = await createTestServer(t, { beside: server, env })
  t.equal((await present(right, beside)).statusCode, 401, 'used, at another process')
  t.equal((await present(right, beside, { client_id: client.clientId })).statusCode, 401)
})

/** Signed all the same: a library would refuse to. */
async function critical(more: Json): Promise<string> {
  const { sign } = await import('node:crypto')
  const input = `${encoded({ alg: 'ES256', kid: 'first', ...more })}.${encoded(claims())}`
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

t.test('attack 69: a token of ours, an ID token or a request object is no assertion', async (t) => {
  const { access_token } = (await present(await signed(key, claims()))).json()
  await isRefused(t, access_token, 'an access token')
  await isRefused(t, await signed(key, claims(), { typ: 'oauth-authz-req+jwt' }), 'a request object')
  await isRefused(t, await signed(key, claims(), { typ: 'dpop+jwt' }), 'a DPoP proof')
})

t.test('attack 73: an assertion in the address', async (t) => {
  const assertion = await signed(key, claims())
  const reply = await server.post(`/token?client_assertion=${assertion}`, form)
  t.match(reply.json(), { error: 'invalid_request' })
})

t.test('attack 79: names of keys that do not exist fetch the keys once per interval', async (t) => {
  const { clientId } = await server.createService('', byUri)
  const before = host.asked.length
  t.equal((await present(await signed(key, claims({}, clientId)))).statusCode, 200)
  t.equal(host.asked.length, before + 1)
  const flood = async (): Promise<void> => {
    const assertions = await Promise.all(
      Array.from({ length: 100 }, (_, index) => signed(key, claims({}, clientId), { kid: `random ${index}` })),
    )
    for (const reply of await Promise.all(assertions.map((assertion) => present(assertion)))) {
      // The client may have rotated since the address was asked: that is no refusal.
      t.ok([401, 503].includes(reply.statusCode))
    }
  }
  await flood()
  t.equal(host.asked.length, before + 1, 'none right after the first')
  for (const round of [2, 3]) {
    server.clock.advance(5)
    await flood()
    await flood()
    t.equal(host.asked.length, before + round)
  }
  server.clock.advance(-86_400)
  t.equal(
    (await present(await signed(key, claims({}, clientId)))).statusCode,
    200,
    'attack 133: a clock that is set back',
  )
  server.clock.advance(86_400)
})

t.test('attack 79: many at once wait for one request', async (t) => {
  const { clientId } = await server.createService('', { ...byKey, jwks_uri: 'https://slow.example.com/jwks' })
  const before = host.asked.length
  const waiting: ((answer: OutboundAnswer) => void)[] = []
  host.answer = () => new Promise((resolve) => void waiting.push(resolve))
  const assertions = await Promise.all(Array.from({ length: 50 }, () => signed(key, claims({}, clientId))))
  const replies = assertions.map((assertion) => present(assertion))
  while (host.asked.length === before) await new Promise((resolve) => setImmediate(resolve))
  for (const release of waiting) release(jwksAnswer([key.jwk]))
  t.same(new Set((await Promise.all(replies)).map(({ statusCode }) => statusCode)), new Set([200]))
  t.equal(host.asked.length, before + 1)
})

t.test('attack 81: keys that cost much, prove nothing or are no keys', async (t) => {
  const rsa = makeKey('RS256').jwk
  const bits = (count: number): string => Buffer.alloc(count / 8, 0xff).toString('base64url')
  const base = { kty: 'RSA', alg: 'RS256', e: 'AQAB' }
  const ec = key.jwk
  // A power of 65537 is one modulo every prime. CVE-2017-15361
  const rocaModulus = Buffer.from(`0${(65_537n ** 128n).toString(16)}`, 'hex').toString('base64url')
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const x448 = generateKeyPairSync('ed448').publicKey.export({ format: 'jwk' })
  const since = performance.now()
  for (const [name, jwk] of Object.entries({
    'RSA of 512 bits': { ...base, n: bits(512) },
    'RSA of 1024 bits': { ...base, n: bits(1024) },
    'RSA of 2040 bits': { ...base, n: bits(2040) },
    'RSA of 4104 bits': { ...base, n: bits(4104) },
    'RSA of 65536 bits': { ...base, n: bits(65_536) },
    'a leading zero': { ...base, n: Buffer.concat([Buffer.alloc(1), Buffer.alloc(256, 0xff)]).toString('base64url') },
    'a modulus that can be factored': { ...base, n: rocaModulus },
    'an even modulus': { ...base, n: Buffer.alloc(256, 0xfe).toString('base64url') },
    'an exponent of 2048 bits': { ...rsa, e: bits(2048) },
    'an exponent of 33 bits': { ...rsa, e: Buffer.from([1, 0, 0, 0, 1]).toString('base64url') },
    'the exponent 1': { ...rsa, e: 'AQ' },
    'an even exponent': { ...rsa, e: 'AQAA' },
    'the exponent 0': { ...rsa, e: 'AA' },
    'a point off its curve': { ...ec, y: ec['x'] },
    'the point 0': { ...ec, x: bits(256).replace(/./g, 'A'), y: bits(256).replace(/./g, 'A') },
    'a short coordinate': { ...ec, x: 'AAAA' },
    'P-384': p384,
    Ed448: x448,
    'a secret': { kty: 'oct', k: 'AAAA' },
    'a private key': { ...ec, d: 'AAAA' },
    'a key for encryption': { ...ec, use: 'enc' },
    'a key that signs': { ...ec, key_ops: ['sign'] },
    'key_ops that are a text': { ...ec, key_ops: 'verify' },
    'the algorithm of another kind': { ...ec, alg: 'RS256' },
    'an encryption algorithm': { ...rsa, alg: 'RSA-OAEP' },
    'a kid that is a number': { ...ec, kid: 1 },
    'padded base64url': { ...ec, x: `${ec['x']}=` },
    null: null,
    'an array': [],
  })) {
    t.type(readClientKey(jwk), 'string', name)
  }
  const took = performance.now() - since
  t.ok(took < 1_000, `${took} ms for all`)
  for (const jwk of [rsa, ec, makeKey('EdDSA').jwk, { ...ec, key_ops: ['verify'] }])
    t.type(readClientKey(jwk), 'object')
})

t.test('attack 81: a set with such keys, and an encrypted assertion', async (t) => {
  host.answer = async () =>
    jwksAnswer([{ kty: 'RSA', kid: 'first', n: 'AQ', e: 'AQAB' }, { kty: 'oct', k: 'AAAA', kid: 'first' }, key.jwk])
  const { clientId } = await server.createService('', { ...byKey, jwks_uri: 'https://mixed.example.com/jwks' })
  t.equal((await present(await signed(key, claims({}, clientId)))).statusCode, 200, 'RFC 7517 §5: the others count')
  const bomb = { alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', zip: 'DEF', p2c: 2 ** 31, p2s: 'AAAA' }
  await isRefused(t, `${encoded(bomb)}.AAAA.AAAA.AAAA.AAAA`, 'a JWE')
  await isRefused(t, `${encoded({ ...bomb, alg: 'dir' })}..AAAA.AAAA.AAAA`, 'dir')
  const deep = `${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`
  await isRefused(t, `${encoded({ alg: 'ES256' })}.${encoded(deep)}.AAAA`, 'deep nesting')
})

t.test('attack 95: a jwks_uri is refused at registration where it names no public host', async (t) => {
  const own = await createTestServer(t, { beside: server })
  for (const jwks_uri of [
    'http://client.example.com/jwks',
    'https://127.0.0.1/jwks',
    'https://2130706433/jwks',
    'https://[::ffff:127.0.0.1]/jwks',
    'https://169.254.169.254/latest/meta-data/',
    'https://localhost/jwks',
    'https://client.example.com:0/jwks',
    'https://user:password@client.example.com/jwks',
    'file:///etc/passwd',
  ]) {
    await refused(t, own.createService('', { ...byKey, jwks_uri }), { code: 'invalid_client_metadata' }, jwks_uri)
  }
})

t.test('attack 95: a jwks_uri whose name leads to a private address later', async (t) => {
  let addresses = ['93.184.216.34']
  const outbound = createOutbound({ allow: [], resolve: async () => addresses })
  const own = await createTestServer(t, { env, outbound })
  const { clientId } = await own.createService('', byUri)
  for (const [index, rebound] of [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    '::ffff:10.0.0.1',
    'fd00::1',
  ].entries()) {
    addresses = [...(index % 2 === 0 ? [] : ['93.184.216.34']), rebound]
    own.clock.advance(10)
    const proof = await proofOf(own, key, clientId)
    t.equal((await own.post('/token', { ...form, ...proof })).statusCode, 503, rebound)
    t.equal(await audited(own, 'assertion_outbound_not_public'), index + 1, rebound)
  }
})

t.test('attack 95: what a host answers instead of keys', async (t) => {
  const receiver = await openReceiver(t, '/jwks')
  const { host: name } = new URL(receiver.url)
  const own = await createTestServer(t, { env: { ...env, OUTBOUND_ALLOW: name } })
  const { clientId } = await own.createService('', { ...byKey, jwks_uri: receiver.url })
  const ask = async () => (await own.post('/token', { ...form, ...(await proofOf(own, key, clientId)) })).statusCode
  receiver.answer((response) => void response.writeHead(302, { location: 'http://169.254.169.254/' }).end())
  t.equal(await ask(), 503, 'a redirect')
  t.equal(await audited(own, 'assertion_outbound_redirect'), 1)
  own.clock.advance(10)
  receiver.answer(
    (response) => void response.writeHead(200).end(JSON.stringify({ keys: [key.jwk], pad: 'x'.repeat(65_536) })),
  )
  t.equal(await ask(), 503, 'more than 64 KiB')
  own.clock.advance(10)
  receiver.answer((response) => void response.writeHead(200).end(JSON.stringify({ keys: [key.jwk] })))
  t.equal(await ask(), 200, 'and keys')
  t.equal(receiver.received.length, 3)
})

t.test('attack 95: a host that answers 101 holds up nobody', async (t) => {
  const receiver = await openReceiver(t, '/jwks')
  const { host: name } = new URL(receiver.url)
  const own = await createTestServer(t, { env: { ...env, OUTBOUND_ALLOW: name } })
  const uris = Array.from({ length: 6 }, (_, index) => `${receiver.url}/${index}`)
  const asking = await Promise.all(uris.map((uri) => own.createService('', { ...byKey, jwks_uri: uri })))
  const ask = async (clientId: string) =>
    (await own.post('/token', { ...form, ...(await proofOf(own, key, clientId)) })).statusCode
  receiver.answer(switchProtocols)
  // One after the other: more than a host has places.
  for (const { clientId } of asking) t.equal(await ask(clientId), 503)
  t.equal(await audited(own, 'assertion_outbound_unreachable'), 6)
  own.clock.advance(10)
  receiver.answer((response) => void response.writeHead(200).end(JSON.stringify({ keys: [key.jwk] })))
  for (const { clientId } of asking) t.equal(await ask(clientId), 200)
})

t.test('attack 95: why a host was not reached is not told', async (t) => {
  const { clientId } = await server.createService('', { ...byKey, jwks_uri: 'https://away.example.com/jwks' })
  const bodies = new Set<string>()
  for (const reason of ['outbound_timeout', 'outbound_unreachable', 'outbound_tls', 'outbound_not_public'] as const) {
    host.answer = async () => {
      throw new OutboundError(reason, 'It was not reached.')
    }
    server.clock.advance(10)
    bodies.add((await present(await signed(key, claims({}, clientId)))).body)
  }
  t.equal(bodies.size, 1)
})
