import { createHash } from 'node:crypto'
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { updateUser } from '../../src/identity/index.js'
import { InvalidClientMetadataError } from '../../src/oauth/index.js'
import { usageOf } from '../../src/usage/index.js'
import { logIn, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { authorizeImplicitly, implicitClient, implicitOn, implicitUrl, readIdToken } from '../support/implicit.js'
import { afterLogout, logoutUrl, waitingLogouts } from '../support/logout.js'
import { metadata, register, registered } from '../support/registration.js'
import { createTestServer, registration, sql, type TestClient, testIssuer } from '../support/server.js'
import { claimsOf, postAs } from '../support/tokens.js'

// The implicit flow, where IMPLICIT is on: OIDC Core §3.2.

const api = 'https://orders.example'
const server = await createTestServer(t, {
  env: {
    ...implicitOn,
    ...{ REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' },
    REGISTRATION_GRANT_TYPES: 'authorization_code refresh_token implicit',
  },
})
const owner = await server.createResource(api, 'orders')
const other = await server.createResource('https://bills.example', 'bills')
const user = await server.createUser('ada@example.com')
const profile = { given_name: 'Ada', birthdate: '1815-12-10' }
await updateUser(server.ctx, user.id, { name: 'Ada Lovelace', profile, emailVerified: true }, { actor: 'operator' })
const client = await server.createClient({ ...implicitClient, first_party: true })
const browser = await signedIn(server, user)

const ask = (parameters: Readonly<Record<string, string | undefined>> = {}, of: TestClient = client, by = browser) =>
  by.open(implicitUrl(of, parameters))
const userInfo = (token: string | undefined) => server.get('/userinfo', { authorization: `Bearer ${token}` })
const introspect = async (token = '') => (await postAs(server, owner, '/introspect', { token })).json()
const eventsOf = async ({ clientId }: TestClient) =>
  (await server.audit()).filter((event) => event.clientId === clientId).map(({ type }) => type)

t.test('OIDC Core §3.2.2.5: an access token and an ID token come in the fragment', async (t) => {
  const page = await ask({ scope: 'openid email' })
  t.equal(`${page.left?.origin}${page.left?.pathname}${page.left?.search}`, redirectUri, 'and nothing in the query')
  const { access_token, id_token, ...rest } = page.fragment
  t.same(rest, {
    token_type: 'Bearer',
    expires_in: '600',
    scope: 'openid email',
    state: 'the state',
    iss: testIssuer,
  })
  t.match(page.reply.headers, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
  t.equal(page.reply.statusCode, 303)
  t.match((await userInfo(access_token)).json(), { sub: user.id, email: 'ada@example.com' })
  const claims = await readIdToken(server, client, id_token)
  t.same(Object.keys(claims).sort(), [
    ...['acr', 'amr', 'at_hash', 'aud', 'auth_time', 'exp', 'iat', 'iss', 'nonce', 'sid', 'sub'],
  ])
  t.match(claims, { sub: user.id, nonce: 'the nonce', acr: '1', amr: ['pwd'] })
})

t.test('OIDC Core §5.4: an ID token alone says what the scopes allow, since no UserInfo is open', async (t) => {
  const { fragment } = await ask({ response_type: 'id_token', scope: 'openid email profile' })
  t.same(Object.keys(fragment), ['id_token', 'state', 'iss'])
  const claims = await readIdToken(server, client, fragment['id_token'])
  t.match(claims, { name: 'Ada Lovelace', given_name: 'Ada', birthdate: '1815-12-10', email: 'ada@example.com' })
  t.equal(claims['at_hash'], undefined, 'OIDC Core §3.2.2.10: there is nothing to hash')
  const least = (await ask({ response_type: 'id_token' })).fragment
  t.equal((await readIdToken(server, client, least['id_token']))['email'], undefined)
})

t.test('RFC 6749 §3.1.1: the order of the words says nothing', async (t) => {
  t.ok((await ask({ response_type: 'token id_token' })).fragment['access_token'])
})

t.test('OIDC Core §3.2.2.1: nonce is needed, and scope has openid', async (t) => {
  for (const response_type of ['id_token', 'id_token token']) {
    const without = await ask({ response_type, nonce: undefined })
    t.match(without.fragment, { error: 'invalid_request', error_description: /nonce/, state: 'the state' })
    t.match((await ask({ response_type, nonce: '' })).fragment, { error: 'invalid_request' })
    t.match((await ask({ response_type, scope: 'email' })).fragment, { error: 'invalid_scope' })
    t.match((await ask({ response_type, scope: undefined })).fragment, { error: 'invalid_scope' })
  }
})

t.test('OIDC Core §3.2.2.1: no code is issued, so PKCE has no say', async (t) => {
  for (const more of [{ code_challenge: 'x' }, { code_challenge_method: 'plain' }]) {
    t.ok((await ask(more)).fragment['access_token'], JSON.stringify(more))
  }
  const open = await server.createClient({ ...implicitClient, first_party: true, token_endpoint_auth_method: 'none' })
  t.ok((await ask({}, open)).fragment['access_token'], 'of a public client neither')
})

t.test('OIDC Core §3.2.2.6: errors come in the fragment too', async (t) => {
  const third = await server.createClient(implicitClient)
  const someone = new TestBrowser(server)
  const asked = { scope: 'openid email' }
  const silent = await ask({ ...asked, prompt: 'none' }, third, someone)
  t.match(silent.fragment, { error: 'login_required', state: 'the state', iss: testIssuer })
  t.equal(silent.left?.search, '')
  const consent = await logIn(someone, await ask(asked, third, someone), user)
  const denied = await someone.submit(consent, {}, { button: 'consent-deny' })
  t.match(denied.fragment, { error: 'access_denied', state: 'the state' })
  t.equal(denied.left?.search, '')
  const twice = await browser.open(`${implicitUrl(client)}&prompt=login&prompt=login`)
  t.match(twice.fragment, { error: 'invalid_request', state: 'the state' })
  t.match((await ask({ scope: 'openid nobodys' })).fragment, { error: 'invalid_scope' })
})

t.test('OAuth 2.0 Form Post Response Mode §2: tokens by a form', async (t) => {
  const reply = await browser.request('GET', implicitUrl(client, { response_mode: 'form_post' }))
  t.equal(reply.statusCode, 200)
  t.match(reply.body, /<form method="post" action="https:\/\/app\.example\/cb">/)
  for (const name of ['access_token', 'id_token', 'token_type', 'expires_in', 'state', 'iss']) {
    t.match(reply.body, new RegExp(`name="${name}" value="[^"]+"`))
  }
  const wrong = await browser.request('GET', implicitUrl(client, { response_mode: 'form_post', nonce: undefined }))
  t.match(wrong.body, /name="error" value="invalid_request"/)
})

t.test('OAuth 2.0 Multiple Response Types §3, §5: never in the query', async (t) => {
  for (const response_type of ['id_token', 'id_token token']) {
    const { left, fragment } = await ask({ response_type, response_mode: 'query' })
    t.match(fragment, { error: 'invalid_request', state: 'the state' })
    t.equal(left?.search, '')
    t.ok((await ask({ response_type, response_mode: 'fragment' })).fragment['id_token'])
    t.match((await ask({ response_type, response_mode: 'web_message' })).fragment, { error: 'invalid_request' })
  }
})

t.test('OIDC Core §3.2.2.9: at_hash by the algorithm of the ID token, which the client has registered', async (t) => {
  for (const [alg, hash] of [
    ['RS256', 'sha256'],
    ['PS256', 'sha256'],
    ['ES256', 'sha256'],
    ['EdDSA', 'sha512'],
  ] as const) {
    const of = await server.createClient({ ...implicitClient, first_party: true, id_token_signed_response_alg: alg })
    const { access_token = '', id_token = '' } = (await ask({}, of)).fragment
    t.equal(decodeProtectedHeader(id_token).alg, alg)
    const digest = createHash(hash).update(access_token).digest()
    const { at_hash } = await readIdToken(server, of, id_token)
    t.equal(at_hash, digest.subarray(0, digest.length / 2).toString('base64url'))
  }
})

t.test('OIDC Core §11: offline_access is ignored, and there is no refresh token', async (t) => {
  const of = await server.createClient({
    ...{ first_party: true, scope: 'openid email offline_access' },
    grant_types: ['authorization_code', 'refresh_token', 'implicit'],
  })
  const { fragment } = await ask({ scope: 'openid offline_access' }, of)
  t.equal(fragment['scope'], 'openid')
  t.notOk('refresh_token' in fragment)
  const unregistered = await server.createClient({ ...implicitClient, first_party: true, scope: 'openid' })
  t.equal((await ask({ scope: 'offline_access openid' }, unregistered)).fragment['scope'], 'openid')
  const byDefault = await server.createClient({
    ...{ first_party: true, scope: 'openid offline_access', default_scope: 'openid offline_access' },
    grant_types: ['authorization_code', 'refresh_token', 'implicit'],
  })
  t.equal((await ask({ scope: undefined }, byDefault)).fragment['scope'], 'openid')
  const grants = await sql(
    server,
    `SELECT offline, extract(epoch from expires_at - created_at)::int AS lifetime FROM authorization_grant
      WHERE client_id = $1`,
    [of.clientId],
  )
  t.same(grants, [{ offline: false, lifetime: 3_660 }], 'no longer than its access token could be')
  const [refreshTokens] = await sql(server, 'SELECT count(*)::int AS all FROM refresh_token WHERE client_id = $1', [
    of.clientId,
  ])
  t.equal(refreshTokens?.all, 0)
})

t.test('OIDC Core §5.5: claims by name; those of UserInfo need an access token', async (t) => {
  const idToken = JSON.stringify({ id_token: { birthdate: null, sub: { value: user.id } } })
  for (const response_type of ['id_token', 'id_token token']) {
    const { id_token } = (await ask({ response_type, claims: idToken })).fragment
    t.match(await readIdToken(server, client, id_token), { birthdate: '1815-12-10' }, response_type)
  }
  const claims = JSON.stringify({ userinfo: { given_name: null } })
  const { access_token } = (await ask({ claims })).fragment
  t.match((await userInfo(access_token)).json(), { given_name: 'Ada' })
  t.match((await ask({ claims, response_type: 'id_token' })).fragment, { error: 'invalid_request' })
})

t.test('OIDC Core §8: pairwise subjects', async (t) => {
  const of = await server.createClient({ ...implicitClient, first_party: true, subject_type: 'pairwise' })
  const { access_token, id_token } = (await ask({}, of)).fragment
  const { sub, sid } = await readIdToken(server, of, id_token)
  t.not(sub, user.id)
  t.equal((await userInfo(access_token)).json().sub, sub)
  t.match(access_token, /^oat_/, 'which nobody reads')
  t.not(sid, claimsOf((await ask()).fragment['id_token'] ?? '')['sid'])
})

t.test('OIDC Core §3.1.2.1: max_age, prompt and id_token_hint are as with a code', async (t) => {
  const by = await signedIn(server, user)
  const first = await readIdToken(server, client, (await ask({}, client, by)).fragment['id_token'])
  server.clock.advance(30)
  t.equal((await ask({ max_age: '10' }, client, by)).step, 'login')
  const again = await logIn(by, await ask({ prompt: 'login' }, client, by), user)
  const second = await readIdToken(server, client, again.fragment['id_token'])
  t.equal(Number(second['auth_time']) - Number(first['auth_time']), 30)
  const hint = { prompt: 'none', id_token_hint: again.fragment['id_token'] }
  t.ok((await ask(hint, client, by)).fragment['id_token'], 'a token of this flow is a hint')
  const grace = await signedIn(server, await server.createUser('grace@example.com'))
  t.match((await ask(hint, client, grace)).fragment, { error: 'login_required' })
})

t.test('RFC 8707 §2: a token is for one API, which the scopes name', async (t) => {
  const scope = 'openid orders bills'
  const of = await server.createClient({ ...implicitClient, first_party: true, scope })
  const { access_token, scope: granted } = (await ask({ scope: 'openid orders' }, of)).fragment
  t.equal(granted, 'openid orders')
  t.same(claimsOf(access_token ?? '')['aud'], [api, testIssuer])
  t.match(await introspect(access_token), { active: true, scope: 'openid orders', client_id: of.clientId })
  const foreign = await postAs(server, other, '/introspect', { token: access_token ?? '' })
  t.match(foreign.json(), { active: false })
  const two = implicitUrl(of, { scope, resource: [api, 'https://bills.example'] })
  t.match((await browser.open(two)).fragment, { error: /^invalid_(?:target|scope)$/ })
  t.same(
    (await eventsOf(of)).sort(),
    ['client.created', 'implicit.granted', 'implicit.issued', 'request.refused'],
    'and nothing is granted',
  )
})

t.test('what is issued is in the audit, and no token is in it or in the log', async (t) => {
  const of = await server.createClient(implicitClient)
  const { access_token = '', id_token = '' } = (await authorizeImplicitly(server, of, user, { scope: 'openid email' }))
    .fragment
  const events = (await server.audit()).filter(({ clientId }) => clientId === of.clientId)
  const kinds = events.map(({ type, actor }) => [type, actor])
  t.same(kinds.filter(([type]) => /^implicit|^consent|^code/.test(type ?? '')).sort(), [
    ['consent.given', `user:${user.id}`],
    ['implicit.granted', `user:${user.id}`],
    ['implicit.issued', `client:${of.clientId}`],
  ])
  const [granted] = events.filter(({ type }) => type === 'implicit.granted')
  t.match(granted, { subject: user.id, grantId: claimsOf(access_token)['grant_id'], ip: '192.0.2.10' })
  const written = `${server.logs.join('\n')}${JSON.stringify(events)}`
  for (const token of [access_token, id_token]) t.notMatch(written, token.split('.')[2] ?? token)
  t.same(await ask({ scope: 'openid email' }, of).then(({ step }) => step), undefined, 'consent is remembered')
})

t.test('RFC 7009 §2.1: its client ends an access token', async (t) => {
  const { access_token = '' } = (await ask()).fragment
  t.equal((await userInfo(access_token)).statusCode, 200)
  t.equal((await postAs(server, client, '/revoke', { token: access_token })).statusCode, 200)
  t.equal((await userInfo(access_token)).statusCode, 401)
})

t.test('an access token ends with its session, and its client is told', async (t) => {
  const of = await server.createClient({
    ...{ ...implicitClient, scope: 'openid orders', first_party: true },
    post_logout_redirect_uris: [afterLogout],
    ...{ backchannel_logout_uri: 'https://app.example/logout', backchannel_logout_session_required: true },
  })
  const only = await server.createClient({
    ...{ ...implicitClient, response_types: ['id_token'], first_party: true },
    backchannel_logout_uri: 'https://only.example/logout',
  })
  const by = await signedIn(server, user)
  const { access_token, id_token } = (await ask({ scope: 'openid orders' }, of, by)).fragment
  await ask({ response_type: 'id_token' }, only, by)
  t.match(await introspect(access_token), { active: true })
  const { sid } = await readIdToken(server, of, id_token)
  await by.open(logoutUrl({ id_token_hint: id_token, post_logout_redirect_uri: afterLogout }))
  t.match(await introspect(access_token), { active: false })
  t.equal((await userInfo(access_token)).statusCode, 401)
  const told = (await waitingLogouts(server)).map(({ destination, payload }) => [destination, payload.sid])
  t.same(new Map(told as [string, unknown][]).get(of.clientId), sid)
  t.ok(
    told.some(([destination]) => destination === only.clientId),
    'who has an ID token alone, too',
  )
})

t.test('an access token ends where its user ends what the application may do', async (t) => {
  const of = await server.createClient({ ...implicitClient, client_name: 'Old Board', scope: 'openid orders' })
  const by = await signedIn(server, user)
  const { access_token } = (await authorizeImplicitly(server, of, user, { scope: 'openid orders' }, by)).fragment
  const page = await by.open('/account/applications')
  t.match(page.text, /Old Board/)
  await by.submit(page, {}, { button: of.clientId })
  t.match(await introspect(access_token), { active: false })
  t.equal((await ask({ scope: 'openid orders' }, of, by)).step, 'consent', 'what was decided is gone too')
})

t.test('Token Status List: a token of this flow has its place, and is set with its grant', async (t) => {
  const { access_token = '' } = (await ask()).fragment
  const { status, grant_id } = claimsOf(access_token)
  t.ok(status)
  const [row] = await sql(server, 'SELECT count(*)::int AS all FROM status_index WHERE grant_id = $1', [grant_id])
  t.equal(row?.all, 1)
})

t.test('usage: what is issued counts for its client, from no network that is known', async (t) => {
  const of = await registered(server, { ...implicitClient, scope: 'openid' })
  await authorizeImplicitly(server, of, user, { response_type: 'id_token' })
  await server.ctx.clientUse.flush()
  const unusedUntil = async () =>
    (await sql(server, 'SELECT unused_until FROM client WHERE client_id = $1', [of.clientId]))[0]?.unused_until
  t.equal(await unusedUntil(), null, 'who got an ID token is used')
  await authorizeImplicitly(server, of, user)
  await server.ctx.usage.flush()
  const of24 = { since: new Date(server.clock.now().getTime() - 86_400_000), unit: 'hour' } as const
  const report = await usageOf(server.ctx, { kind: 'client', credential: of.clientId }, of24)
  t.match(report.uses, [{ outcome: 'implicit', api: testIssuer, count: 1 }])
  t.match(report.networks, [{ network: 'unknown' }], 'that of the browser says nothing')
})

t.test('RFC 7591 §2.1: grant type and response types agree', async (t) => {
  const read = async (more: object) => {
    const made = await server.createClient({ ...implicitClient, ...more })
    const found = await server.ctx.clients.find(made.clientId)
    return [found?.grantTypes, found?.responseTypes]
  }
  const both = ['authorization_code', 'implicit']
  t.same(await read({ response_types: ['token id_token'] }), [['implicit'], ['id_token token']])
  t.same(await read({ response_types: undefined }), [['implicit'], ['id_token', 'id_token token']])
  t.same(await read({ grant_types: both, response_types: ['code', 'id_token'] }), [both, ['code', 'id_token']])
  const refuses = (more: object, message: RegExp) =>
    t.rejects(server.createClient({ ...implicitClient, ...more }), { message })
  await refuses({ grant_types: ['authorization_code'] }, /^response_types has code if/)
  await refuses({ grant_types: ['authorization_code'], response_types: ['code', 'id_token'] }, /^response_types /)
  await refuses({ grant_types: both, response_types: ['code'] }, /^response_types has id_token/)
  for (const type of ['token', 'code id_token', 'code token', 'code id_token token', 'none', 'id_token id_token']) {
    await refuses(
      { response_types: [type] },
      /^response_types has an item that is not one of code, id_token, id_token token/,
    )
  }
  await refuses({ grant_types: ['implicit', 'refresh_token'] }, /^grant_types has refresh_token without/)
})

t.test('a change of grant types keeps the response types that still agree', async (t) => {
  const grant_types = ['authorization_code', 'implicit']
  const { clientId } = await server.createClient({ grant_types, response_types: ['code', 'id_token'] })
  const change = async (patch: object) => {
    const { client } = await updateClient(server.ctx, clientId, patch, registration)
    return client.responseTypes
  }
  t.same(await change({ grant_types: [...grant_types, 'refresh_token'] }), ['code', 'id_token'])
  t.same(await change({ grant_types: ['authorization_code'] }), ['code'])
})

t.test('OIDC Registration §2: redirect URIs of a web client are https, and not at localhost', async (t) => {
  for (const uri of [
    'http://localhost:8080/cb',
    'https://localhost/cb',
    'https://127.0.0.1/cb',
    'https://a.localhost/cb',
  ]) {
    await t.rejects(
      server.createClient({ ...implicitClient, redirect_uris: [uri] }),
      { code: 'invalid_redirect_uri' },
      uri,
    )
    const reply = await register(server, { ...metadata, ...implicitClient, redirect_uris: [uri] })
    t.match(reply.json(), { error: 'invalid_redirect_uri' }, uri)
  }
  await t.rejects(server.createClient({ ...implicitClient, redirect_uris: [] }), InvalidClientMetadataError)
  const native = { application_type: 'native', redirect_uris: ['com.example.app:/cb'] }
  await t.rejects(server.createClient({ ...implicitClient, ...native }), { message: /^grant_types has implicit/ })
})

t.test('RFC 7591 §3.2.1: clients register themselves for it as far as the policy goes', async (t) => {
  const both = { grant_types: ['authorization_code', 'implicit'] }
  const { answer, ...own } = await registered(server, { ...both, response_types: ['code', 'token id_token'] })
  t.match(answer, { ...both, response_types: ['code', 'id_token token'] })
  t.ok((await authorizeImplicitly(server, own, user)).fragment['access_token'])
  const halves = [
    [{ ...both, response_types: ['code'] }, ['authorization_code'], ['code']],
    [both, ['authorization_code'], ['code']],
    [{ grant_types: ['authorization_code'], response_types: ['code', 'id_token'] }, ['authorization_code'], ['code']],
    [{ grant_types: ['implicit'] }, ['implicit'], ['id_token', 'id_token token']],
  ] as const
  for (const [more, grant_types, response_types] of halves) {
    t.match((await registered(server, more)).answer, { grant_types, response_types }, JSON.stringify(more))
  }
  const capped = await createTestServer(t, { beside: server, env: { ...implicitOn, REGISTRATION: 'open' } })
  const code = { grant_types: ['authorization_code'], response_types: ['code'] }
  t.match((await registered(capped, { ...both, response_types: ['code', 'id_token'] })).answer, code)
  const refused = await register(capped, { ...metadata, ...implicitClient })
  t.match(refused.json(), { error: 'invalid_client_metadata' }, 'REGISTRATION_GRANT_TYPES has no implicit by itself')
})

t.test('OIDC Core §15.2, OIDC Discovery §3: what a provider with dynamic registration has', async (t) => {
  const published = (await server.get('/.well-known/openid-configuration')).json()
  t.same(published.response_types_supported, ['code', 'id_token', 'id_token token'])
  t.ok(['authorization_code', 'implicit'].every((name) => published.grant_types_supported.includes(name)))
  const off = await createTestServer(t, { beside: server })
  const without = (await off.get('/.well-known/openid-configuration')).json()
  t.same(without.response_types_supported, ['code'])
  t.notOk(without.grant_types_supported.includes('implicit'))
})
