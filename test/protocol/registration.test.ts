import t, { type Test } from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { createInitialAccessToken } from '../../src/protocol/registration/index.js'
import { authorizationUrl, authorize, redirectUri, signedIn } from '../support/authorization.js'
import { verifier } from '../support/grants.js'
import { openReceiver } from '../support/receiver.js'
import { ask, metadata, register, registered } from '../support/registration.js'
import { createTestServer, registration, type TestServer } from '../support/server.js'

const server = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' } })
const by = { actor: 'operator' }
const user = await server.createUser()

/** Another process on the same database, with other settings: it needs no keys of its own. */
const besides = (test: Test, env: Record<string, string>) =>
  createTestServer(test, { beside: server, env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000', ...env } })

const initialToken = async (of: TestServer, maxUses = 1, lifetime = 3600) =>
  createInitialAccessToken(of.ctx, { maxUses, lifetime }, by)

t.test('RFC 7591 §3.2.1: what is answered', async (t) => {
  const reply = await register(server, {
    ...metadata,
    contacts: ['ops@app.example'],
    grant_types: ['authorization_code'],
  })
  t.equal(reply.statusCode, 201)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.match(reply.headers['content-type'], /^application\/json/)
  const answer = reply.json()
  t.same(answer, {
    client_id: answer.client_id,
    client_secret: answer.client_secret,
    client_id_issued_at: Math.floor(server.clock.now().getTime() / 1000),
    client_secret_expires_at: 0,
    registration_access_token: answer.registration_access_token,
    registration_client_uri: `http://localhost:3000/register/${answer.client_id}`,
    client_name: 'Notes',
    contacts: ['ops@app.example'],
    application_type: 'web',
    redirect_uris: ['https://app.example/cb'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    scope: 'openid profile email address phone offline_access',
    id_token_signed_response_alg: 'RS256',
  })
  t.match(answer.client_secret, /^[\w-]{43}$/)
  t.match(answer.registration_access_token, /^ora_0_[\w-]{43}$/)
  const kept = JSON.stringify(await server.ctx.db.query('test', 'SELECT * FROM client', []))
  t.notMatch(kept, answer.registration_access_token, 'only its hash is kept')
  t.match(await server.audit('client.registered'), [
    { clientId: answer.client_id, actor: 'anonymous', ip: '192.0.2.10' },
  ])
})

t.test('RFC 7591 §3: what was registered works', async (t) => {
  const client = await registered(server, { scope: 'openid email' })
  const { code = '' } = await authorize(server, client, user, { scope: 'openid email' })
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  const tokens = await server.post('/token', form, { authorization: client.basic })
  t.equal(tokens.statusCode, 200)
  t.ok(tokens.json().id_token)
})

t.test('RFC 7591 §2: a public client gets no secret', async (t) => {
  const { answer } = await registered(server, { token_endpoint_auth_method: 'none' })
  t.notOk('client_secret' in answer)
  t.notOk('client_secret_expires_at' in answer)
})

t.test('RFC 7591 §2: names that nobody knows are ignored, and the answer says what was registered', async (t) => {
  const { answer } = await registered(server, {
    'client_name#de': 'Notizen',
    skip_consent: true,
    id_token_encrypted_response_alg: 'RSA-OAEP',
    token_endpoint_auth_signing_alg: 'RS256',
    backchannel_logout_session_required: true,
    software_version: null,
  })
  for (const name of ['client_name#de', 'skip_consent', 'id_token_encrypted_response_alg', 'software_version']) {
    t.notOk(name in answer, name)
  }
})

t.test('RFC 7591 §3.2.1: what the policy does not allow is left out', async (t) => {
  await server.createResource('https://orders.example', 'orders')
  const { answer } = await registered(server, {
    scope: 'openid orders admin',
    grant_types: ['authorization_code', 'implicit', 'client_credentials'],
    response_types: ['code', 'token id_token'],
  })
  t.match(answer, { scope: 'openid', grant_types: ['authorization_code'], response_types: ['code'] })
  for (const wrong of [{ scope: 'orders' }, { grant_types: ['client_credentials'] }, { response_types: ['token'] }]) {
    const reply = await register(server, { ...metadata, ...wrong })
    t.match(reply.json(), { error: 'invalid_client_metadata' }, JSON.stringify(wrong))
  }
})

t.test('RFC 7591 §3.2.2: what is wrong is refused by its code', async (t) => {
  const wrong: readonly (readonly [string, object | string])[] = [
    ['invalid_redirect_uri', { ...metadata, redirect_uris: ['http://app.example/cb'] }],
    ['invalid_redirect_uri', { ...metadata, redirect_uris: ['https://app.example/cb#x'] }],
    ['invalid_redirect_uri', { ...metadata, post_logout_redirect_uris: ['javascript:alert(1)'] }],
    ['invalid_client_metadata', { client_name: 'Without' }],
    ['invalid_client_metadata', { ...metadata, token_endpoint_auth_method: 'client_secret_jwt' }],
    ['invalid_client_metadata', { ...metadata, id_token_signed_response_alg: 'none' }],
    ['invalid_client_metadata', { ...metadata, grant_types: 'authorization_code' }],
    ['invalid_client_metadata', { ...metadata, client_name: 'Goo\u200bgle' }],
    ['invalid_client_metadata', { ...metadata, scope: 'openid  email' }],
    ['invalid_client_metadata', { ...metadata, scope: ['openid'] }],
    ['invalid_client_metadata', { ...metadata, jwks: { keys: [] } }],
    ['invalid_client_metadata', '{'],
    ['invalid_client_metadata', '[]'],
    ['invalid_client_metadata', '"x"'],
    ['invalid_client_metadata', 'null'],
  ]
  for (const [error, body] of wrong) {
    const reply = await register(server, body)
    t.equal(reply.statusCode, 400, JSON.stringify(body))
    t.match(reply.json(), { error, error_description: /./ })
    t.equal(reply.headers['www-authenticate'], undefined)
  }
  t.ok((await server.audit('client.registration_refused')).length > 0)
  const form = await server.post('/register', { client_name: 'x' })
  t.equal(form.statusCode, 415)
  t.equal((await ask(server, 'GET', '/register')).statusCode, 405)
})

t.test('RFC 7591 §3: with REGISTRATION=token nobody registers without one', async (t) => {
  const closed = await createTestServer(t, { env: { REGISTRATION: 'token' } })
  const { token, value } = await initialToken(closed, 2)
  const missing = await register(closed)
  t.equal(missing.statusCode, 401)
  t.match(missing.headers['www-authenticate'], /^Bearer realm="[^"]+"$/)
  for (const wrong of ['x', `${value}x`, value.toUpperCase(), `ori_0_${'A'.repeat(43)}`, `ora_0_${'A'.repeat(43)}`]) {
    const reply = await register(closed, metadata, { token: wrong })
    t.equal(reply.statusCode, 401)
    t.match(reply.json(), { error: 'invalid_token' })
    t.match(reply.headers['www-authenticate'], /error="invalid_token"/)
  }
  // What is refused uses nothing up.
  t.equal((await register(closed, { client_name: 'x' }, { token: value })).statusCode, 400)
  t.equal((await register(closed, metadata, { token: value })).statusCode, 201)
  t.equal((await register(closed, metadata, { token: value })).statusCode, 201)
  t.equal((await register(closed, metadata, { token: value })).statusCode, 401, 'used up')
  const events = await closed.audit('client.registered')
  t.equal(events[0]?.actor, `registration-token:${token.id}`)

  const short = await initialToken(closed, 1, 60)
  closed.clock.advance(60)
  t.equal((await register(closed, metadata, { token: short.value })).statusCode, 401, 'expired')
})

t.test('a registration token has no more uses than it has, however many use it at once', async (t) => {
  const closed = await createTestServer(t, { env: { REGISTRATION: 'token' } })
  const beside = await createTestServer(t, { beside: closed, env: { REGISTRATION: 'token' } })
  const { value } = await initialToken(closed, 3)
  const replies = await Promise.all(
    Array.from({ length: 12 }, (_, index) => register(index % 2 ? beside : closed, metadata, { token: value })),
  )
  t.same(replies.map(({ statusCode }) => statusCode).sort(), [...Array(3).fill(201), ...Array(9).fill(401)])
  t.equal((await closed.audit('client.registered')).length, 3)
})

t.test(
  'with REGISTRATION=open a token that is shown is checked, and its uses count instead of the quota',
  async (t) => {
    const open = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1' } })
    const { value } = await initialToken(open, 5)
    t.equal((await register(open, metadata, { token: 'wrong' })).statusCode, 401)
    t.equal((await register(open)).statusCode, 201)
    t.equal((await register(open)).statusCode, 429)
    t.equal((await register(open, metadata, { token: value })).statusCode, 201)
  },
)

t.test('the policy names the hosts of redirect URIs', async (t) => {
  const bound = await besides(t, {
    REGISTRATION_REDIRECT_HOSTS: 'app.example *.apps.example localhost com.example.app:',
  })
  const native = { application_type: 'native' }
  const good = [
    { redirect_uris: ['https://app.example/cb', 'https://a.apps.example/cb', 'http://localhost:3000/cb'] },
    { redirect_uris: ['com.example.app:/cb'], ...native },
  ]
  for (const each of good) t.equal((await register(bound, each)).statusCode, 201)
  const wrong = [
    { redirect_uris: ['https://app.example/cb', 'https://evil.example/cb'] },
    { redirect_uris: ['https://app.example.evil.example/cb'] },
    { redirect_uris: ['https://evilapps.example/cb'] },
    { redirect_uris: ['https://apps.example/cb'] },
    { redirect_uris: ['com.example.application:/cb'], ...native },
    { redirect_uris: ['http://127.0.0.1/cb'], ...native },
    { ...metadata, post_logout_redirect_uris: ['https://evil.example/'] },
  ]
  for (const each of wrong) t.match((await register(bound, each)).json(), { error: 'invalid_redirect_uri' })
})

t.test('RFC 9700 §2.1.1: the policy may exempt confidential clients from PKCE, and no others', async (t) => {
  const redirect_uri = 'com.example.app:/cb'
  const exempt = await besides(t, { REGISTRATION_REQUIRE_PKCE: 'off' })
  const client = await registered(exempt)
  t.notOk(await needsPkce(exempt, client))
  t.ok(await needsPkce(server, client), 'the policy of today counts, whatever was that of then')
  t.notOk(await needsPkce(exempt, await registered(server)))
  t.ok(await needsPkce(exempt, await registered(exempt, { token_endpoint_auth_method: 'none' })))
  const native = await registered(exempt, { application_type: 'native', redirect_uris: [redirect_uri] })
  t.ok(await needsPkce(exempt, native, { redirect_uri }))
})

t.test('RFC 9700 §2.1.1: an administrator may exempt one that registered itself, and it stays so', async (t) => {
  const client = await registered(server)
  t.ok(await needsPkce(server, client))
  await updateClient(server.ctx, client.clientId, { require_pkce: false }, registration)
  t.notOk(await needsPkce(server, client))
})

/** Whether its authorization request without PKCE is refused for that, once somebody has signed in. */
async function needsPkce(of: TestServer, client: { readonly clientId: string }, more: object = {}) {
  const browser = await signedIn(of, user)
  const without = { ...more, scope: 'openid', code_challenge: undefined, code_challenge_method: undefined }
  const { answer } = await browser.open(authorizationUrl(client, without))
  return /PKCE is required/.test(String(answer['error_description'] ?? ''))
}

t.test('OIDC Registration §5: sector_identifier_uri lists all redirect URIs', async (t) => {
  const receiver = await openReceiver(t, '/sector')
  const of = await besides(t, { OUTBOUND_ALLOW: new URL(receiver.url).host })
  const redirect_uris = ['https://one.example/cb', 'https://two.example/cb']
  const asked = { redirect_uris, subject_type: 'pairwise', sector_identifier_uri: receiver.url }
  const answers = (body: string, status = 200) =>
    receiver.answer((response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body)
    })
  answers(JSON.stringify([...redirect_uris, 'https://three.example/cb']))
  t.match((await register(of, asked)).json(), { sector_identifier_uri: receiver.url, subject_type: 'pairwise' })
  for (const [body, status] of [
    [JSON.stringify(redirect_uris.slice(1)), 200],
    [JSON.stringify({ redirect_uris }), 200],
    ['<html>', 200],
    [JSON.stringify(redirect_uris), 404],
  ] as const) {
    answers(body, status)
    t.match((await register(of, asked)).json(), { error: 'invalid_client_metadata' }, body)
  }
})

t.test('what a stranger registers is small, since each process keeps it', async (t) => {
  const uris = (length: number) => Array.from({ length }, (_, index) => `https://app.example/${index}`)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  for (const more of [
    { redirect_uris: uris(21) },
    { post_logout_redirect_uris: uris(21) },
    { jwks: { keys: Array(6).fill(jwk) } },
    { redirect_uris: Array.from({ length: 9 }, (_, index) => `https://app.example/${index}${'x'.repeat(1900)}`) },
  ]) {
    t.match((await register(server, { ...metadata, ...more })).json(), { error: 'invalid_client_metadata' })
  }
  t.equal((await register(server, { ...metadata, redirect_uris: uris(20) })).statusCode, 201)
})

t.test('RFC 9101 §10.5: a client that wants signed requests alone is told that it cannot have that', async (t) => {
  const wanted = { ...metadata, require_signed_request_object: true }
  t.match((await register(server, wanted)).json(), { error: 'invalid_client_metadata' })
  t.equal((await register(server, { ...wanted, require_signed_request_object: false })).statusCode, 201)
})

t.test('RFC 7591 §3: tries with one token are counted, though only what succeeds spends it', async (t) => {
  const of = await besides(t, { REGISTRATION: 'token', REGISTRATION_QUOTA: '2' })
  const { value: token } = await initialToken(of)
  const refused = { ...metadata, sector_identifier_uri: 'https://sector.invalid/' }
  const statuses = []
  for (let n = 0; n < 4; n++) statuses.push((await register(of, refused, { token })).statusCode)
  t.same(statuses, [400, 400, 400, 429])
})

t.test('RFC 8414 §2: the endpoint is in the metadata where it is there', async (t) => {
  const documents = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']
  const off = await besides(t, { REGISTRATION: 'off' })
  for (const path of documents) {
    t.equal((await server.get(path)).json().registration_endpoint, 'http://localhost:3000/register')
    t.notOk('registration_endpoint' in (await off.get(path)).json())
  }
})
