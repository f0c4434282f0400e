import t, { type Test } from 'tap'
import { OutboundError } from '../../src/platform/outbound/index.js'
import { authorizationUrl, redirectUri, signedIn } from '../support/authorization.js'
import {
  assertionClaims,
  createJwksHost,
  encoded,
  type Json,
  makeKey,
  signed,
  unsigned,
} from '../support/client-keys.js'
import { challenge } from '../support/grants.js'
import { registered } from '../support/registration.js'
import { createTestServer, type TestClient, testIssuer } from '../support/server.js'

const key = makeKey()
const host = createJwksHost([key.jwk])
const server = await createTestServer(t, { outbound: host.outbound })
const shared = { first_party: true, jwks: { keys: [key.jwk] } }
const client = await server.createClient(shared)
const careless = await server.createClient({ ...shared, request_object_signing_alg: 'none' })
const browser = await signedIn(server, await server.createUser())
const now = Math.floor(server.clock.now().getTime() / 1000)

const inside = (of: TestClient, more: Json = {}): Json => ({
  client_id: of.clientId,
  response_type: 'code',
  redirect_uri: redirectUri,
  state: 'inside',
  code_challenge: challenge,
  code_challenge_method: 'S256',
  ...more,
})

/** It is told at the registered redirect URI, by what stands outside. */
async function isRefused(t: Test, request: string, message: string, reason?: string, of = client): Promise<void> {
  const { answer, left } = await browser.open(authorizationUrl(of, { request }))
  t.match(answer, { error: 'invalid_request_object', state: 'the state', iss: testIssuer }, message)
  t.equal(`${left?.origin}${left?.pathname}`, redirectUri, message)
  if (reason !== undefined) t.match(server.logs.join(), `"reason":"request_object_${reason}"`, message)
}

t.test('attack 31: alg none, in every spelling, where the client has not registered it', async (t) => {
  await isRefused(t, unsigned(inside(client)), 'none', 'unsigned')
  for (const alg of ['None', 'NONE', 'nOnE', 'none ', '']) {
    await isRefused(t, unsigned(inside(client), { alg }), `alg ${alg}`)
    await isRefused(t, `${encoded({ alg })}.${encoded(inside(client))}.AAAA`, `alg ${alg}, signed`, 'alg_not_supported')
  }
  const whole = await signed(key, inside(client))
  const [header = '', payload = ''] = whole.split('.')
  await isRefused(t, `${header}.${payload}.`, 'its signature was cut off', 'malformed')
  await isRefused(t, `${encoded({ alg: 'none' })}.${payload}.AAAA`, 'none with a signature')
  await isRefused(
    t,
    await signed(key, inside(careless)),
    'signed, where none was registered',
    'alg_not_registered',
    careless,
  )
})

t.test('attack 31: a signature that is not the client’s', async (t) => {
  const stranger = makeKey()
  await isRefused(t, await signed(stranger, inside(client)), 'of a stranger', 'signature_wrong')
  const { kid: _, ...own } = stranger.jwk
  for (const header of [
    { jwk: own },
    { jku: 'https://attacker.example/jwks' },
    { x5u: 'https://attacker.example/x5' },
  ]) {
    await isRefused(t, await signed(stranger, inside(client), header), JSON.stringify(Object.keys(header)))
  }
  await isRefused(
    t,
    await signed(stranger, inside(client), { kid: '../../etc/passwd' }),
    'a path as kid',
    'key_unknown',
  )
  await isRefused(t, await signed(stranger, inside(client), { kid: "' OR 1=1 --" }), 'SQL as kid')
  const whole = await signed(key, inside(client))
  const [header = '', , signature = ''] = whole.split('.')
  await isRefused(t, `${header}.${encoded(inside(client, { scope: 'more' }))}.${signature}`, 'changed')
  await isRefused(t, `${whole}=`, 'padded', 'malformed')
  await isRefused(t, `${whole}.x.y`, 'encrypted', 'malformed')
  const secret = encoded({ alg: 'HS256', kid: 'first' })
  await isRefused(t, `${secret}.${encoded(inside(client))}.${signature}`, 'HS256', 'alg_not_supported')
  const twice = `{"client_id":"${client.clientId}","state":"a","state":"b"}`
  await isRefused(t, `${header}.${encoded(twice)}.${signature}`, 'a member twice', 'claims_malformed')
  t.same(host.asked, [], 'nobody was asked for a key')
})

t.test('attack 32: outside parameters do not come over those inside', async (t) => {
  const request = await signed(key, inside(client, { scope: '', prompt: 'none', login_hint: 'a' }))
  const { answer } = await browser.open(authorizationUrl(client, { request, prompt: 'login', state: 'forged' }))
  t.match(answer, { code: /^oac_/, state: 'inside' })
  const strict = await signed(key, inside(client, { aud: testIssuer, exp: now + 60 }), { typ: 'oauth-authz-req+jwt' })
  for (const forged of [{ prompt: 'login' }, { max_age: '0' }, { response_mode: 'fragment' }, { scope: 'openid' }]) {
    const { answer: same, left } = await browser.open(authorizationUrl(client, { request: strict, ...forged }))
    t.match(same, { code: /^oac_/, state: 'inside' }, JSON.stringify(forged))
    t.equal(left?.hash, '')
  }
})

t.test('attack 32: client_id and response_type are the same inside and outside', async (t) => {
  const other = await server.createClient(shared)
  await isRefused(t, await signed(key, inside(other)), 'another client', 'client_id_wrong')
  await isRefused(
    t,
    await signed(key, inside(client, { response_type: 'token' })),
    'response_type',
    'response_types_differ',
  )
  const unnamed = await browser.open(`/authorize?request=${await signed(key, inside(client))}`)
  t.equal(unnamed.status, 400)
  t.notOk(unnamed.left, 'a client that is named inside alone is nobody')
})

t.test('attack 32: no redirect to what is not registered, inside or outside', async (t) => {
  for (const redirect_uri of ['https://attacker.example/cb', `${redirectUri}/`, `${redirectUri}?x`, [redirectUri], 1]) {
    for (const [of, request] of [
      [client, await signed(key, inside(client, { redirect_uri }))],
      [careless, unsigned(inside(careless, { redirect_uri }))],
    ] as const) {
      const page = await browser.open(authorizationUrl(of, { request }))
      t.equal(page.status, 400, String(redirect_uri))
      t.notOk(page.left)
    }
  }
  const attacker = 'https://attacker.example/cb'
  // Nothing of an object that is not the client's says where to.
  const forged = await signed(makeKey(), inside(client, { redirect_uri: attacker }))
  await isRefused(t, forged, 'forged')
  const both = await browser.open(authorizationUrl(client, { request: forged, redirect_uri: attacker }))
  t.equal(both.status, 400)
  t.notOk(both.left)
  const right = await browser.open(
    authorizationUrl(client, { request: await signed(key, inside(client)), redirect_uri: attacker }),
  )
  t.equal(`${right.left?.origin}${right.left?.pathname}`, redirectUri, 'the one inside, which is registered')
})

t.test('attack 32: control characters and endless values inside are refused as outside', async (t) => {
  for (const more of [
    { state: 'a\u0000b' },
    { nonce: 'a\r\nb' },
    { scope: 'x'.repeat(8_193) },
    { claims: { a: 'x'.repeat(8_193) } },
  ]) {
    await isRefused(t, await signed(key, inside(client, more)), JSON.stringify(more).slice(0, 40))
  }
  const { answer } = await browser.open(
    authorizationUrl(client, { request: await signed(key, inside(client, { constructor: 'x', ['__proto__']: 'y' })) }),
  )
  t.match(answer, { code: /^oac_/ })
})

t.test('attack 33: a request_uri is fetched only where the client has registered it', async (t) => {
  const registered = 'https://client.example.com/object'
  const of = await server.createClient({ ...shared, request_uris: [registered] })
  const cases: readonly [TestClient, string][] = [
    [client, registered],
    [of, `${registered}?`],
    [of, `${registered}/`],
    [of, 'https://CLIENT.example.com/object'],
    [of, 'http://169.254.169.254/'],
    [of, 'http://localhost:3000/authorize'],
    [of, 'urn:ietf:params:oauth:request_uri:x'],
    [of, `${registered}#${'x'.repeat(512)}`],
    [of, ''.padEnd(9_000, 'x')],
  ]
  for (const [asking, request_uri] of cases) {
    const { answer } = await browser.open(authorizationUrl(asking, { request_uri }))
    const error = request_uri.length > 8_192 ? 'invalid_request' : 'invalid_request_uri'
    t.match(answer, { error, state: 'the state' }, request_uri.slice(0, 60))
  }
  t.same(host.asked, [])
  t.match(server.logs.join(), '"reason":"request_uri_unregistered"')
})

t.test('attack 33: what is behind a registered request_uri is no request object', async (t) => {
  const request_uri = 'https://client.example.com/object'
  const of = await server.createClient({ ...shared, request_uris: [request_uri] })
  const good = await signed(key, inside(of))
  const open = async () => (await browser.open(authorizationUrl(of, { request_uri }))).answer
  for (const reason of [
    ...(['outbound_not_public', 'outbound_redirect', 'outbound_timeout', 'outbound_too_large'] as const),
    ...(['outbound_encoded', 'outbound_tls', 'outbound_busy', 'outbound_unreachable'] as const),
  ]) {
    host.answer = async () => Promise.reject(new OutboundError(reason, 'No.'))
    t.match(await open(), { error: 'invalid_request_uri', state: 'the state' }, reason)
    t.match(server.logs.join(), `"reason":"request_uri_${reason}"`)
  }
  const answers: readonly [status: number, body: string, error: string][] = [
    [404, good, 'invalid_request_uri'],
    [200, '', 'invalid_request_object'],
    [200, '<html></html>', 'invalid_request_object'],
    [200, unsigned(inside(of)), 'invalid_request_object'],
    [200, await signed(key, inside(client)), 'invalid_request_object'],
    [200, await signed(key, inside(of, { request_uri })), 'invalid_request_object'],
  ]
  for (const [status, body, error] of answers) {
    host.answer = async () => ({ status, headers: {}, body: Buffer.from(body) })
    t.match(await open(), { error, state: 'the state' }, `${status} ${body.slice(0, 20)}`)
  }
  host.answer = async () => ({ status: 200, headers: {}, body: Buffer.from(good) })
  t.match(await open(), { code: /^oac_/ })
  host.asked.length = 0
})

t.test(
  'attack 33: how often a stranger may have theirs fetched is bounded, and so is how many are at once',
  async (t) => {
    const theirs = createJwksHost()
    const open = await createTestServer(t, { env: { REGISTRATION: 'open' }, outbound: theirs.outbound })
    const request_uri = 'https://client.example.com/object'
    const stranger = await registered(open, { redirect_uris: [redirectUri], request_uris: [request_uri] })
    const ask = () => open.get(authorizationUrl(stranger, { request_uri }))
    const nothing = { status: 404, headers: {}, body: Buffer.alloc(0) }
    theirs.answer = async () => nothing
    for (let round = 0; round < 60; round++) t.not((await ask()).statusCode, 429)
    const late = await ask()
    t.equal(late.statusCode, 429)
    t.ok(Number(late.headers['retry-after']) > 0)
    t.equal(late.headers['ratelimit-policy'], '"request-objects";q=60;w=60')
    t.equal(theirs.asked.length, 60)

    open.clock.advance(60)
    const held: ((answer: typeof nothing) => void)[] = []
    theirs.answer = () => new Promise((resolve) => held.push(resolve))
    const waiting = Array.from({ length: 8 }, ask)
    while (held.length < 8) await new Promise(setImmediate)
    await ask()
    t.match(open.logs.join(), '"reason":"request_uri_outbound_busy"')
    t.equal(held.length, 8, 'the rest is for keys and for logouts')
    for (const answer of held) answer(nothing)
    await Promise.all(waiting)
    theirs.answer = async () => nothing
    await ask()
    t.equal(theirs.asked.length, 69)
  },
)

t.test('attack 37: request and request_uri, side by side and one in the other', async (t) => {
  const request = await signed(key, inside(client))
  const { answer } = await browser.open(
    authorizationUrl(client, { request, request_uri: 'https://client.example.com/o' }),
  )
  t.match(answer, { error: 'invalid_request', state: 'the state' })
  for (const more of [{ request }, { request_uri: 'https://client.example.com/o' }, { request: 1 }]) {
    await isRefused(t, await signed(key, inside(client, more)), JSON.stringify(Object.keys(more)), 'nested')
  }
  t.same(host.asked, [])
})

t.test('attack 38: for another server, by another client, over or too long', async (t) => {
  const typ = 'oauth-authz-req+jwt'
  const cases: readonly [reason: string, claims: Json, header?: Json][] = [
    ['aud_wrong', { aud: 'https://attacker.example' }],
    ['aud_wrong', { aud: ['https://attacker.example', `${testIssuer}/`] }],
    ['aud_wrong', { aud: [] }],
    ['iss_wrong', { iss: 'somebody' }],
    ['expired', { exp: now - 60 }],
    ['exp_too_far', { exp: now + 3_661 }],
    ['not_yet_valid', { nbf: now + 61 }],
    ['issued_in_future', { iat: now + 61 }],
    ['time_malformed', { exp: `${now}` }],
    ['typ_wrong', {}, { typ: 'at+jwt' }],
    ['typ_wrong', {}, { typ: 'client-authentication+jwt' }],
    // RFC 9101 §4, §10.8: who says that this specification holds says for whom and until when.
    ['aud_missing', { exp: now + 60 }, { typ }],
    ['exp_missing', { aud: testIssuer }, { typ }],
    ['aud_missing', {}, { typ: `application/${typ}` }],
  ]
  for (const [reason, claims, header = {}] of cases) {
    await isRefused(t, await signed(key, inside(client, claims), header), reason, reason)
  }
  for (const more of [
    // OIDC Core §6.1 asks for neither.
    {},
    { aud: testIssuer },
    { aud: ['https://other.example', testIssuer] },
    { exp: now + 60, iat: now },
  ]) {
    const { answer } = await browser.open(
      authorizationUrl(client, { request: await signed(key, inside(client, more)) }),
    )
    t.match(answer, { code: /^oac_/ }, JSON.stringify(more))
  }
  const whole = await signed(key, inside(client, { aud: testIssuer, exp: now + 60 }), { typ })
  t.match((await browser.open(authorizationUrl(client, { request: whole }))).answer, { code: /^oac_/ })
})

t.test('attack 38: an assertion is no request object', async (t) => {
  const assertion = await signed(key, { ...inside(client), ...assertionClaims(server, client.clientId) })
  await isRefused(t, assertion, 'RFC 9101 §10.8', 'sub_is_client')
})
