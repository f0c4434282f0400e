import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { OutboundError } from '../../src/platform/outbound/index.js'
import {
  assertionClaims,
  assertionType,
  createJwksHost,
  type Json,
  jwksAnswer,
  makeKey,
  proofOf,
  signed,
  type TestKey,
} from '../support/client-keys.js'
import { issueCode } from '../support/grants.js'
import { refused } from '../support/refused.js'
import { ask as askRegistration, metadata, registered } from '../support/registration.js'
import { createTestServer, registration, type TestServer, testIssuer } from '../support/server.js'
import { application } from '../support/tokens.js'

const server = await createTestServer(t, { env: { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' } })
const key = makeKey()
const byKey = (keys: readonly Json[] = [key.jwk], more: Json = {}) => ({
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: { keys },
  ...more,
})
const client = await server.createService('', byKey())
const form = { grant_type: 'client_credentials' }

async function ask(
  clientId = client.clientId,
  { by = key, claims = {}, header = {}, more = {} }: { by?: TestKey; claims?: Json; header?: Json; more?: object } = {},
  of: TestServer = server,
) {
  return of.post('/token', { ...form, ...(await proofOf(of, by, clientId, claims, header)), ...more })
}

/** How often the audit says so. */
async function audited(reason: string, of: TestServer): Promise<number> {
  const events = await of.audit('client.authentication_failed')
  return events.reduce((sum, event) => sum + (event.reason === reason ? (event.count ?? 1) : 0), 0)
}

async function isRefused(
  t: Test,
  asking: () => Promise<LightMyRequestResponse>,
  reason: string,
  of = server,
): Promise<void> {
  const before = await audited(reason, of)
  const reply = await asking()
  t.equal(reply.statusCode, 401, reason)
  t.equal(reply.json().error, 'invalid_client', reason)
  t.equal(await audited(reason, of), before + 1, reason)
}

t.test('RFC 7523 §2.2: a client proves itself by a key that it has registered, by each algorithm', async (t) => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const own = makeKey(alg)
    const { clientId } = await server.createService('', byKey([own.jwk]))
    t.equal((await ask(clientId, { by: own })).statusCode, 200, alg)
    const { alg: _, ...unnamed } = own.jwk
    const other = await server.createService('', byKey([unnamed]))
    t.equal((await ask(other.clientId, { by: own })).statusCode, 200, `${alg}, by a key that names none`)
  }
})

t.test('RFC 7523 §2.2: at every endpoint of clients', async (t) => {
  const token = (await ask()).json().access_token
  const introspected = await server.post('/introspect', { token, ...(await proofOf(server, key, client.clientId)) })
  t.match(introspected.json(), { active: true, client_id: client.clientId })
  t.equal((await server.post('/revoke', { token, ...(await proofOf(server, key, client.clientId)) })).statusCode, 200)
  const after = await server.post('/introspect', { token, ...(await proofOf(server, key, client.clientId)) })
  t.same(after.json(), { active: false })
})

t.test('RFC 7521 §4.2: client_id may be left out, and names the same client where it is given', async (t) => {
  t.equal((await ask(client.clientId, { more: { client_id: client.clientId } })).statusCode, 200)
  const other = await server.createService('', byKey())
  await isRefused(t, () => ask(client.clientId, { more: { client_id: other.clientId } }), 'assertion_iss_wrong')
})

t.test('RFC 7523 §3: every claim and header is checked', async (t) => {
  const now = Math.floor(server.clock.now().getTime() / 1000)
  const cases: readonly [reason: string, claims: Json, header?: Json][] = [
    ['iss_wrong', { iss: 'somebody' }],
    ['iss_wrong', { iss: undefined }],
    ['aud_wrong', { aud: undefined }],
    ['aud_wrong', { aud: `${testIssuer}/` }],
    ['aud_wrong', { aud: `${testIssuer}/token` }],
    ['aud_wrong', { aud: [testIssuer] }],
    ['exp_missing', { exp: undefined }],
    ['expired', { exp: now - 60 }],
    ['exp_too_far', { exp: now + 3_661 }],
    ['time_malformed', { exp: String(now + 60) }],
    ['not_yet_valid', { nbf: now + 61 }],
    ['issued_in_future', { iat: now + 61 }],
    ['jti_missing', { jti: undefined }],
    ['jti_missing', { jti: '' }],
    ['jti_missing', { jti: 1 }],
    ['jti_missing', { jti: 'j'.repeat(1_025) }],
    ['typ_wrong', {}, { typ: 'at+jwt' }],
    ['typ_wrong', {}, { typ: 'oauth-authz-req+jwt' }],
    ['key_unknown', {}, { kid: 'another' }],
  ]
  for (const [reason, claims, header = {}] of cases) {
    await isRefused(t, () => ask(client.clientId, { claims, header }), `assertion_${reason}`)
  }
  await isRefused(t, () => ask(client.clientId, { by: makeKey() }), 'assertion_signature_wrong')
  for (const [claims, header] of [
    [{ exp: now - 59 }, {}],
    [{ exp: now + 3_660, nbf: now + 60, iat: now + 60 }, {}],
    [{ iat: undefined }, { typ: 'JWT' }],
    [{ scope: 'everything', note: { a: 1 } }, {}],
    [{}, { typ: 'client-authentication+jwt' }],
    [{}, { typ: 'application/client-authentication+JWT' }],
    [{}, { kid: undefined }],
  ] as const) {
    t.equal((await ask(client.clientId, { claims, header })).statusCode, 200, JSON.stringify([claims, header]))
  }
})

t.test('OIDC Core §10.1: of several keys that could have signed, the name is told', async (t) => {
  const second = makeKey('ES256', 'second')
  const { clientId } = await server.createService('', byKey([key.jwk, second.jwk]))
  t.equal((await ask(clientId, { by: second })).statusCode, 200)
  await isRefused(t, () => ask(clientId, { header: { kid: undefined } }), 'assertion_kid_missing')
})

t.test('OIDC Registration §2: token_endpoint_auth_signing_alg is the only algorithm', async (t) => {
  const { alg: _, ...unnamed } = makeKey('PS256').jwk
  const rsa = makeKey('PS256')
  const { clientId } = await server.createService(
    '',
    byKey([unnamed, rsa.jwk, key.jwk].slice(1), { token_endpoint_auth_signing_alg: 'PS256' }),
  )
  t.equal((await ask(clientId, { by: rsa })).statusCode, 200)
  await isRefused(t, () => ask(clientId), 'assertion_alg_not_registered')
})

t.test('CLIENT_ASSERTION_AUDIENCE: the token endpoint counts where the server or the client says so', async (t) => {
  const lenient = await createTestServer(t, { beside: server, env: { CLIENT_ASSERTION_AUDIENCE: 'endpoint' } })
  const endpoint = `${testIssuer}/token`
  for (const aud of [testIssuer, endpoint, [testIssuer, endpoint], [endpoint]]) {
    t.equal((await ask(client.clientId, { claims: { aud } }, lenient)).statusCode, 200, JSON.stringify(aud))
  }
  for (const aud of [[], [endpoint, 'https://attacker.example'], `${testIssuer}/revoke`, [[testIssuer]]]) {
    t.equal((await ask(client.clientId, { claims: { aud } }, lenient)).statusCode, 401, JSON.stringify(aud))
  }
  const strict = await server.createService('', byKey([key.jwk], { client_assertion_audience: 'issuer' }))
  t.equal((await ask(strict.clientId, { claims: { aud: endpoint } }, lenient)).statusCode, 401)
  const older = await server.createService('', byKey([key.jwk], { client_assertion_audience: 'endpoint' }))
  t.equal((await ask(older.clientId, { claims: { aud: endpoint } })).statusCode, 200)
})

t.test(
  'attack 69: clients that register themselves have the audience of the policy, whatever they were before',
  async (t) => {
    const env = { REGISTRATION: 'open', REGISTRATION_GRANT_TYPES: 'authorization_code client_credentials' }
    const bound = { ...env, CLIENT_ASSERTION_AUDIENCE: 'endpoint', REGISTRATION_ASSERTION_AUDIENCE: 'issuer' }
    const of = await createTestServer(t, { beside: server, env: bound })
    const claims = { aud: `${testIssuer}/token` }
    const grants = { grant_types: ['authorization_code', 'client_credentials'] }
    const own = { ...metadata, ...grants, ...byKey() }
    const change = async ({ path, clientId, token }: { path: string; clientId: string; token: string }, to: object) => {
      const reply = await askRegistration(of, 'PUT', path, { client_id: clientId, ...to }, { token })
      t.equal(reply.statusCode, 200)
      return { path, clientId, token: reply.json().registration_access_token as string }
    }
    const status = async (clientId: string, at = of) => (await ask(clientId, { claims }, at)).statusCode

    const always = await registered(of, own)
    t.equal(await status(always.clientId), 401)
    let later = await change(await registered(of, grants), own)
    t.equal(await status(later.clientId), 401, 'one that had a secret before')

    await updateClient(server.ctx, later.clientId, { client_assertion_audience: 'endpoint' }, registration)
    await of.refresh()
    t.equal(await status(later.clientId), 200, 'an administrator decides otherwise')
    later = await change(await change(later, { ...metadata, ...grants }), own)
    t.equal(await status(later.clientId), 200, 'and that stays')

    const lenient = await createTestServer(t, {
      beside: server,
      env: { ...env, REGISTRATION_ASSERTION_AUDIENCE: 'endpoint' },
    })
    t.equal(await status(always.clientId, lenient), 200, 'the policy of today counts')
    t.equal(await status((await server.createService('', byKey())).clientId, lenient), 401, 'for no other client')
  },
)

t.test('RFC 7523 §3, 7: an assertion is good once, and of two clients each has its own', async (t) => {
  const claims = { jti: 'the same' }
  t.equal((await ask(client.clientId, { claims })).statusCode, 200)
  await isRefused(t, () => ask(client.clientId, { claims }), 'assertion_used_before')
  const other = await server.createService('', byKey())
  t.equal((await ask(other.clientId, { claims })).statusCode, 200)
})

t.test('RFC 7523 §3, 7: and once on both sides of midnight', async (t) => {
  const midnight = Math.ceil(server.clock.now().getTime() / 86_400_000) * 86_400
  server.clock.set(new Date((midnight - 60) * 1000))
  for (const [jti, first, second] of [
    ['before and behind', midnight - 10, midnight + 200],
    ['behind and before', midnight + 200, midnight - 10],
  ] as const) {
    t.equal((await ask(client.clientId, { claims: { jti, exp: first } })).statusCode, 200)
    await isRefused(t, () => ask(client.clientId, { claims: { jti, exp: second } }), 'assertion_used_before')
  }
})

t.test('RFC 7523 §3, 7: what was wrong otherwise does not use it up', async (t) => {
  const proof = await proofOf(server, key, client.clientId)
  const [head, body] = proof.client_assertion.split('.')
  await isRefused(
    t,
    () => server.post('/token', { ...form, ...proof, client_assertion: `${head}.${body}.${'A'.repeat(86)}` }),
    'assertion_signature_wrong',
  )
  t.equal((await server.post('/token', { ...form, ...proof })).statusCode, 200)
})

t.test('RFC 7523 §3, 7: of 200 uses of one assertion at two servers one wins', async (t) => {
  const second = await createTestServer(t, {
    beside: server,
    env: { FAILURES_PER_NETWORK: '100000', FAILURES_PER_CLIENT: '1000' },
  })
  const { clientId } = await server.createService('', byKey())
  const proof = await proofOf(server, key, clientId)
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, index) => [server, second][index % 2]!.post('/token', { ...form, ...proof })),
  )
  const won = replies.filter(({ statusCode }) => statusCode === 200)
  t.equal(won.length, 1)
  t.equal(replies.filter(({ statusCode }) => statusCode === 401).length, 199)
})

t.test('an assertion of 32 KiB is read, and no longer one', async (t) => {
  const longest = 'x'.repeat(24_200)
  const fits = await proofOf(server, key, client.clientId, { note: longest })
  t.ok(fits.client_assertion.length > 32_000 && fits.client_assertion.length <= 32_768)
  t.equal((await server.post('/token', { ...form, ...fits })).statusCode, 200)
  const tooLong = await server.post('/token', {
    ...form,
    ...(await proofOf(server, key, client.clientId, { note: 'x'.repeat(25_000) })),
  })
  t.match(tooLong.json(), { error: 'invalid_request' })
})

t.test('RFC 7523 §2.2: a parameter that is missing or of another type', async (t) => {
  const proof = await proofOf(server, key, client.clientId)
  for (const [wrong, reason] of [
    [{ client_assertion: proof.client_assertion }, 'assertion_type_unknown'],
    [
      { ...proof, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer' },
      'assertion_type_unknown',
    ],
    [{ client_assertion_type: assertionType }, 'assertion_malformed'],
    [{ ...proof, client_assertion: 'x.y.z' }, 'assertion_malformed'],
    [await proofOf(server, key, 'a\u0000b'), 'assertion_sub_malformed'],
  ] as const) {
    await isRefused(t, () => server.post('/token', { ...form, ...wrong }), reason)
  }
})

t.test('a code and a refresh, whose retry with a new assertion gets the same answer', async (t) => {
  const user = await server.createUser()
  const app = await server.createClient({ ...application, ...byKey() })
  t.equal(app.clientSecret, '', 'it gets no secret')
  const code = await issueCode(server, app, user.id, { scope: ['openid', 'offline_access'] })
  const first = (await server.post('/token', { ...code.form, ...(await proofOf(server, key, app.clientId)) })).json()
  t.ok(first.id_token)
  const refresh = async () =>
    (
      await server.post('/token', {
        grant_type: 'refresh_token',
        refresh_token: first.refresh_token,
        ...(await proofOf(server, key, app.clientId)),
      })
    ).json()
  const second = await refresh()
  t.ok(second.refresh_token)
  t.same(await refresh(), second)
})

t.test('RFC 7591 §2: the method needs keys, and what replaces them counts at once', async (t) => {
  await refused(t, server.createService('', { token_endpoint_auth_method: 'private_key_jwt' }), {
    code: 'invalid_client_metadata',
  })
  const { clientId } = await server.createService('', byKey())
  t.equal((await ask(clientId)).statusCode, 200)
  const next = makeKey('EdDSA', 'next')
  const beside = await createTestServer(t, { beside: server })
  t.equal((await ask(clientId, {}, beside)).statusCode, 200, 'remembered by another process')
  await updateClient(server.ctx, clientId, { jwks: { keys: [next.jwk] } }, registration)
  t.equal((await ask(clientId, { by: next }, beside)).statusCode, 200, 'which has not heard of the change')
  await isRefused(t, () => ask(clientId), 'assertion_key_unknown')
})

t.test('RFC 7517 §5: keys behind jwks_uri are fetched once, and again when they are over', async (t) => {
  const host = createJwksHost([key.jwk])
  const own = await createTestServer(t, { outbound: host.outbound })
  const { clientId } = await own.createService('', {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://client.example.com/jwks',
  })
  const works = async (by = key) => (await ask(clientId, { by }, own)).statusCode === 200
  t.same(await Promise.all(Array.from({ length: 20 }, () => works())), Array(20).fill(true))
  t.same(host.asked, ['https://client.example.com/jwks'], 'one request for all who wait')
  own.clock.advance(299)
  t.ok(await works())
  t.equal(host.asked.length, 1)
  for (const [control, kept] of [
    ['max-age=600', 600],
    ['public, max-age=5', 60],
    ['no-store', 60],
    ['max-age=999999', 3_600],
    ['private', 300],
  ] as const) {
    host.answer = async () => jwksAnswer([key.jwk], { 'cache-control': control })
    own.clock.advance(3_600)
    const before = host.asked.length
    t.ok(await works())
    own.clock.advance(kept - 1)
    t.ok(await works())
    t.equal(host.asked.length, before + 1, control)
    own.clock.advance(1)
    t.ok(await works())
    t.equal(host.asked.length, before + 2, control)
  }
})

t.test('OIDC Core §10.1.1: a client that rotates its keys is asked for them', async (t) => {
  const host = createJwksHost([key.jwk])
  const own = await createTestServer(t, { outbound: host.outbound })
  const { clientId } = await own.createService('', {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://client.example.com/jwks',
  })
  t.equal((await ask(clientId, {}, own)).statusCode, 200)
  const next = makeKey('ES256', 'next')
  host.answer = async () => jwksAnswer([next.jwk, key.jwk])
  own.clock.advance(5)
  t.equal((await ask(clientId, { by: next }, own)).statusCode, 200, 'a kid that is not known yet')
  t.equal((await ask(clientId, {}, own)).statusCode, 200, 'the old one, while it is published')
  host.answer = async () => jwksAnswer([next.jwk])
  own.clock.advance(301)
  await isRefused(t, () => ask(clientId, {}, own), 'assertion_key_unknown', own)
})

t.test('OIDC Core §10.1.1: a client that rotates right after somebody made us ask is not refused', async (t) => {
  const host = createJwksHost([key.jwk])
  const own = await createTestServer(t, { outbound: host.outbound, env: { FAILURES_PER_CLIENT: '3' } })
  const { clientId } = await own.createService('', {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://client.example.com/jwks',
  })
  t.equal((await ask(clientId, {}, own)).statusCode, 200)
  own.clock.advance(5)
  // A stranger, by a name that no key has.
  await isRefused(t, () => ask(clientId, { by: makeKey('ES256', 'strange') }, own), 'assertion_key_unknown', own)
  const next = makeKey('ES256', 'next')
  host.answer = async () => jwksAnswer([next.jwk])
  for (let n = 0; n < 40; n++) {
    const reply = await ask(clientId, { by: next }, own)
    t.equal(reply.statusCode, 503)
    t.match(reply.json(), { error: 'temporarily_unavailable' })
  }
  t.equal(host.asked.length, 2, 'no address is asked right after another answer (attack 79)')
  own.clock.advance(5)
  t.equal((await ask(clientId, { by: next }, own)).statusCode, 200, 'and nothing was held against it')
  const reasons = (await own.audit('client.authentication_failed')).map(({ reason }) => reason)
  t.ok(reasons.includes('assertion_jwks_uri_asked_just_before'))
})

t.test('RFC 7517 §5: an address that does not answer', async (t) => {
  const host = createJwksHost()
  const own = await createTestServer(t, { outbound: host.outbound })
  const { clientId } = await own.createService('', {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://client.example.com/jwks',
  })
  const away = async () => {
    throw new OutboundError('outbound_timeout', 'There was no answer in time.')
  }
  // Nothing is known of who asks: so it is no guess either, and others who reach the address can lock nobody out.
  const isAway = async () => {
    const reply = await ask(clientId, {}, own)
    t.equal(reply.statusCode, 503)
    t.equal(reply.headers['retry-after'], '10')
    t.match(reply.json(), { error: 'temporarily_unavailable' })
  }
  host.answer = away
  await isAway()
  await isAway()
  t.equal(host.asked.length, 1, 'it is remembered for a moment')
  own.clock.advance(10)
  host.answer = async () => jwksAnswer([key.jwk])
  t.equal((await ask(clientId, {}, own)).statusCode, 200)
  host.answer = away
  own.clock.advance(300)
  t.equal((await ask(clientId, {}, own)).statusCode, 200, 'what was known counts for a while')
  own.clock.advance(3_600)
  await isAway()
  for (const answer of [
    { ...jwksAnswer([key.jwk]), status: 404 },
    { ...jwksAnswer([]), body: Buffer.from('<html>') },
    { ...jwksAnswer([]), body: Buffer.from('{"keys":[],"keys":[]}') },
    jwksAnswer(Array(51).fill(key.jwk)),
  ]) {
    own.clock.advance(10)
    host.answer = async () => answer
    await isAway()
  }
  const told = (await own.audit('client.authentication_failed')).map(({ reason, count }) => [reason, count ?? 1])
  t.same(told.slice(0, 1), [['assertion_outbound_timeout', 3]], 'why stands in the audit')
  t.same(await own.ctx.db.query('failures', 'SELECT 1 FROM failure_count', []), [], 'and counts against nobody')
})

t.test('a success forgets the failures before it', async (t) => {
  const own = await createTestServer(t, { env: { FAILURES_PER_CLIENT: '3' } })
  const { clientId } = await own.createService('', byKey())
  for (let round = 0; round < 3; round++) {
    for (let failure = 0; failure < 2; failure++) {
      t.equal((await ask(clientId, { by: makeKey() }, own)).statusCode, 401)
    }
    t.equal((await ask(clientId, {}, own)).statusCode, 200)
  }
  for (let failure = 0; failure < 3; failure++) await ask(clientId, { by: makeKey() }, own)
  t.equal((await ask(clientId, { by: makeKey() }, own)).statusCode, 429)
  t.equal((await ask(clientId, {}, own)).statusCode, 200, 'a signature is no guess: past the bound too')
  t.equal((await ask(clientId, { by: makeKey() }, own)).statusCode, 429)
})

t.test('RFC 8414 §2: the method and its algorithms are published', async (t) => {
  const metadata = (await server.get('/.well-known/oauth-authorization-server')).json()
  for (const endpoint of ['token', 'revocation', 'introspection']) {
    t.ok(metadata[`${endpoint}_endpoint_auth_methods_supported`].includes('private_key_jwt'), endpoint)
    const algs = metadata[`${endpoint}_endpoint_auth_signing_alg_values_supported`]
    t.same(algs, ['RS256', 'PS256', 'ES256', 'EdDSA'], endpoint)
  }
})

t.test('no assertion stands in the log or the audit', async (t) => {
  const claims = assertionClaims(server, client.clientId)
  const assertion = await signed(makeKey(), claims)
  await server.post('/token', { ...form, client_assertion_type: assertionType, client_assertion: assertion })
  const [, payload = '', signature = ''] = assertion.split('.')
  for (const text of [server.logs.join(), JSON.stringify(await server.audit())]) {
    t.notOk(text.includes(payload) || text.includes(signature))
  }
})
