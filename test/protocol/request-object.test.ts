import { decodeJwt } from 'jose'
import t from 'tap'
import { authorizationUrl, redirectUri, signedIn } from '../support/authorization.js'
import { createJwksHost, type Json, makeKey, signed, unsigned } from '../support/client-keys.js'
import { challenge, verifier } from '../support/grants.js'
import { registered } from '../support/registration.js'
import { createTestServer, type TestClient, type TestServer, testIssuer } from '../support/server.js'
import { apiIdentifier } from '../support/tokens.js'

const key = makeKey()
const host = createJwksHost([key.jwk])
const server = await createTestServer(t, { outbound: host.outbound })
await server.createResource(apiIdentifier, 'read write')
const other = 'https://app.example/other'
const shared = {
  first_party: true,
  scope: 'openid email read write',
  redirect_uris: [redirectUri, other],
  jwks: { keys: [key.jwk] },
}
const client = await server.createClient(shared)
const browser = await signedIn(server, await server.createUser())

/** What a client signs that says all of it. */
const inside = (of: TestClient, more: Json = {}): Json => ({
  iss: of.clientId,
  aud: testIssuer,
  client_id: of.clientId,
  response_type: 'code',
  redirect_uri: redirectUri,
  scope: 'openid',
  state: 'inside',
  nonce: 'a nonce',
  code_challenge: challenge,
  code_challenge_method: 'S256',
  ...more,
})

/** As RFC 9101 and libraries do it: nothing but the client outside. */
const alone = (of: TestClient, request: string): string =>
  `/authorize?${new URLSearchParams({ client_id: of.clientId, request })}`

async function redeem(of: TestClient, code: string | undefined, redirect_uri = redirectUri) {
  const form = { grant_type: 'authorization_code', code: code ?? '', code_verifier: verifier, redirect_uri }
  return server.post('/token', form, { authorization: of.basic })
}

t.test('OIDC Core §6.1: a request object signed by a key of the client, by each algorithm', async (t) => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    const own = makeKey(alg)
    const of = await server.createClient({ ...shared, jwks: { keys: [own.jwk] } })
    const { answer, left } = await browser.open(alone(of, await signed(own, inside(of))))
    t.match(answer, { code: /^oac_/, state: 'inside', iss: testIssuer }, alg)
    t.equal(`${left?.origin}${left?.pathname}`, redirectUri)
    const tokens = (await redeem(of, answer['code'])).json()
    t.equal(decodeJwt(tokens.id_token)['nonce'], 'a nonce')
  }
})

t.test('OIDC Core §6.1: what stands inside counts, and what stands outside where inside is nothing', async (t) => {
  const { client_id, response_type, scope: _, state: __, code_challenge: ___, ...some } = inside(client)
  const request = await signed(key, { ...some, redirect_uri: other })
  const { answer, left } = await browser.open(authorizationUrl(client, { request, scope: 'openid', nonce: 'outside' }))
  t.match(answer, { code: /^oac_/, state: 'the state' }, 'the state is from outside')
  t.equal(`${left?.origin}${left?.pathname}`, other, 'where it goes from inside')
  t.equal((await redeem(client, answer['code'])).json().error, 'invalid_grant', 'the code is for the one inside')
  const again = await browser.open(authorizationUrl(client, { request, scope: 'openid', nonce: 'outside' }))
  const tokens = (await redeem(client, again.answer['code'], other)).json()
  t.equal(decodeJwt(tokens.id_token)['nonce'], 'a nonce')
})

t.test('RFC 9101 §6.3: by its type, what stands outside is not looked at', async (t) => {
  const exp = Math.floor(server.clock.now().getTime() / 1000) + 60
  const { state: _, redirect_uri: __, ...rest } = inside(client, { redirect_uri: undefined, exp })
  const single = await server.createClient({ ...shared, redirect_uris: [redirectUri] })
  const typ = 'oauth-authz-req+jwt'
  const request = await signed(key, { ...rest, iss: single.clientId, client_id: single.clientId }, { typ })
  const { answer } = await browser.open(
    authorizationUrl(single, { request, prompt: 'unheard', scope: 'nothing', redirect_uri: undefined }),
  )
  t.match(answer, { code: /^oac_/ })
  t.notOk('state' in answer, 'nor the state')
  const unnamed = await signed(key, inside(client, { client_id: undefined, exp }), { typ })
  const refused = await browser.open(authorizationUrl(client, { request: unnamed }))
  t.match(refused.answer, { error: 'invalid_request_object', state: 'the state' }, '§4: it has all parameters')
})

t.test('OIDC Core §6.1: parameters that are no texts', async (t) => {
  const request = await signed(
    key,
    inside(client, {
      scope: 'openid read',
      resource: [apiIdentifier],
      max_age: 86_400,
      claims: { id_token: { email: { essential: true } } },
      prompt: null,
    }),
  )
  const { answer } = await browser.open(alone(client, request))
  const tokens = (await redeem(client, answer['code'])).json()
  t.equal(tokens.scope, 'openid read')
  t.same(decodeJwt(tokens.access_token).aud, [apiIdentifier, testIssuer], 'UserInfo is the second')
  t.equal(decodeJwt(tokens.id_token)['email'], 'ada@example.com')
  t.ok(decodeJwt(tokens.id_token)['auth_time'])
  const wrong = await browser.open(alone(client, await signed(key, inside(client, { scope: ['openid'] }))))
  t.match(wrong.answer, { error: 'invalid_scope', state: 'inside' })
})

t.test('OIDC Core §6.1: an unsigned one where the client has registered none', async (t) => {
  const of = await server.createClient({ ...shared, jwks: undefined, request_object_signing_alg: 'none' })
  const { answer } = await browser.open(alone(of, unsigned(inside(of))))
  t.match(answer, { code: /^oac_/, state: 'inside' })
  const typed = await browser.open(alone(of, unsigned(inside(of), { typ: 'JWT' })))
  t.match(typed.answer, { code: /^oac_/ })
})

t.test('OIDC Registration §2: request_object_signing_alg is the only algorithm', async (t) => {
  const rsa = makeKey('RS256', 'rsa')
  const of = await server.createClient({
    ...shared,
    jwks: { keys: [key.jwk, rsa.jwk] },
    request_object_signing_alg: 'RS256',
  })
  t.match((await browser.open(alone(of, await signed(rsa, inside(of))))).answer, { code: /^oac_/ })
  const url = authorizationUrl(of, { request: await signed(key, inside(of)) })
  t.match((await browser.open(url)).answer, { error: 'invalid_request_object' })
})

t.test('OIDC Core §6.1: keys behind jwks_uri', async (t) => {
  const of = await server.createClient({ ...shared, jwks: undefined, jwks_uri: 'https://client.example.com/jwks' })
  t.match((await browser.open(alone(of, await signed(key, inside(of))))).answer, { code: /^oac_/ })
  t.same(host.asked, ['https://client.example.com/jwks'])
})

t.test('OIDC Core §6.1: a form may hold one of 32 KiB', async (t) => {
  const request = await signed(
    key,
    inside(client, { note: 'x'.repeat(8_000), more: 'y'.repeat(8_000), third: 'z'.repeat(8_000) }),
  )
  t.ok(request.length > 32_000 && request.length <= 32_768)
  const { answer } = await browser.post('/authorize', { client_id: client.clientId, request })
  t.match(answer, { code: /^oac_/, state: 'inside' })
})

t.test('OIDC Core §3.1.2.6: an error of what stands inside goes where the inside says', async (t) => {
  const request = await signed(key, inside(client, { redirect_uri: other, scope: 'unregistered' }))
  const { answer, left } = await browser.open(authorizationUrl(client, { request }))
  t.match(answer, { error: 'invalid_scope', state: 'inside' })
  t.equal(`${left?.origin}${left?.pathname}`, other)
})

t.test('a login that begins anew makes the same request', async (t) => {
  const of = await server.createClient({ ...shared, first_party: false })
  const page = await browser.open(alone(of, await signed(key, inside(of, { state: 'kept' }))))
  t.equal(page.step, 'consent')
  const done = await browser.submit(page, {}, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/, state: 'kept' })
})

/** Where a client says that its request objects are. */
const place = 'https://client.example.com/requests/1'

function publish(object: string): void {
  host.asked.length = 0
  host.answer = async () => ({ status: 200, headers: {}, body: Buffer.from(`${object}\n`) })
}

t.test('OIDC Core §6.2: a request object by reference, from an address that the client has registered', async (t) => {
  const of = await server.createClient({ ...shared, request_uris: [`${place}#first`] })
  publish(await signed(key, inside(of)))
  for (const request_uri of [place, `${place}#first`, `${place}#second`]) {
    const { answer, left } = await browser.open(
      `/authorize?${new URLSearchParams({ client_id: of.clientId, request_uri })}`,
    )
    t.match(answer, { code: /^oac_/, state: 'inside', iss: testIssuer }, request_uri)
    t.equal(`${left?.origin}${left?.pathname}`, redirectUri)
    const tokens = (await redeem(of, answer['code'])).json()
    t.equal(decodeJwt(tokens.id_token)['nonce'], 'a nonce')
  }
  t.same(host.asked, [place, place, place], 'each time anew, and without the fragment')
})

t.test('OIDC Core §6.2: by reference too, it is unsigned where the client has registered that alone', async (t) => {
  const of = await server.createClient({ ...shared, request_uris: [place], request_object_signing_alg: 'none' })
  publish(unsigned(inside(of)))
  const asked = { request_uri: place, state: undefined }
  t.match((await browser.open(authorizationUrl(of, asked))).answer, { code: /^oac_/, state: 'inside' })
  const strict = await server.createClient({ ...shared, request_uris: [place] })
  publish(unsigned(inside(strict)))
  t.match((await browser.open(authorizationUrl(strict, asked))).answer, { error: 'invalid_request_object' })
})

t.test('OIDC Core §6.2: a request by reference that begins anew is not fetched again', async (t) => {
  const of = await server.createClient({ ...shared, first_party: false, request_uris: [place] })
  publish(await signed(key, inside(of, { state: 'kept' })))
  const page = await browser.open(authorizationUrl(of, { request_uri: place }))
  t.equal(page.step, 'consent')
  const done = await browser.submit(page, {}, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/, state: 'kept' })
  t.equal(host.asked.length, 1)
})

t.test('OIDC Registration §2: unsigned, of who registered itself, where the policy allows it', async (t) => {
  const strict = await createTestServer(t, { beside: server, outbound: host.outbound, env: { REGISTRATION: 'open' } })
  const env = { REGISTRATION: 'open', REGISTRATION_UNSIGNED_REQUESTS: 'on' }
  const lenient = await createTestServer(t, { beside: server, outbound: host.outbound, env, seed: 'lenient' })
  const user = await server.createUser('another@example.com')
  const metadata = { redirect_uris: [redirectUri], jwks: { keys: [key.jwk] }, scope: 'openid', request_uris: [place] }
  const answerOf = async (on: TestServer, of: TestClient, more: Json) => {
    const page = await (await signedIn(on, user)).open(authorizationUrl(of, { state: 'outside', ...more }))
    return page.answer['error'] ?? page.step
  }
  const silent = await registered(lenient, metadata)
  const request = unsigned(inside(silent))
  publish(request)
  for (const by of [{ request }, { request_uri: place }]) {
    t.equal(await answerOf(strict, silent, by), 'invalid_request_object')
    t.equal(await answerOf(lenient, silent, by), 'consent')
  }
  for (const of of [
    await registered(lenient, { ...metadata, request_object_signing_alg: 'ES256' }),
    await server.createClient(shared),
  ]) {
    t.equal(await answerOf(lenient, of, { request: unsigned(inside(of)) }), 'invalid_request_object')
  }
})

t.test('OIDC Discovery §3: what is read is published', async (t) => {
  for (const path of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
    t.match((await server.get(path)).json(), {
      request_parameter_supported: true,
      request_uri_parameter_supported: true,
      request_object_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA', 'none'],
    })
  }
})
