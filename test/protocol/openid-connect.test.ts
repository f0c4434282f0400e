import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { disableUser, enableUser, updateUser } from '../../src/identity/index.js'
import { authorizationQuery, authorizationUrl, authorize, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { issueCode, verifier } from '../support/grants.js'
import { createTestServer, type TestClient, type TestServer, testIssuer } from '../support/server.js'
import { statementsOf } from '../support/tokens.js'

const server = await createTestServer(t)
const user = await server.createUser('ada@example.com')

const scope = 'openid profile email address phone offline_access'
const client = await server.createClient({
  scope,
  first_party: true,
  grant_types: ['authorization_code', 'refresh_token'],
})

const ada = {
  name: 'Ada Lovelace',
  profile: {
    given_name: 'Ada',
    birthdate: '1815-12-10',
    address: { country: 'GB' },
    phone_number: '+44 20 7946 0000',
    phone_number_verified: true,
  },
  emailVerified: true,
}
await updateUser(server.ctx, user.id, ada, { actor: 'operator' })

async function tokensFor(parameters: Record<string, string>, of: TestClient = client, browser?: TestBrowser) {
  const answer = await authorize(server, of, user, parameters, browser)
  const form = {
    grant_type: 'authorization_code',
    code: answer['code'] ?? '',
    code_verifier: verifier,
    redirect_uri: redirectUri,
  }
  const reply = await server.post('/token', form, { authorization: of.basic })
  if (reply.statusCode !== 200) throw new Error(`no tokens: ${reply.body}`)
  return reply.json() as Record<string, string>
}

async function read(idToken: string | undefined, of: TestClient = client) {
  const keys = createLocalJWKSet((await server.get('/jwks')).json())
  const checks = { issuer: testIssuer, audience: of.clientId, currentDate: server.clock.now() }
  return (await jwtVerify(idToken ?? '', keys, checks)).payload
}

const userInfo = (token: string | undefined) => server.get('/userinfo', { authorization: `Bearer ${token}` })
const seconds = (time: Date): number => Math.floor(time.getTime() / 1000)

t.test('OIDC Core §3.1.3.3: the scope openid brings an ID token', async (t) => {
  const tokens = await tokensFor({ scope: 'openid', nonce: 'n-0S6_WzA2Mj' })
  const payload = await read(tokens['id_token'])
  t.same(Object.keys(payload).sort(), [
    ...['acr', 'amr', 'at_hash', 'aud', 'auth_time', 'exp', 'iat', 'iss', 'nonce', 'sid', 'sub'],
  ])
  t.match(payload, {
    sub: user.id,
    nonce: 'n-0S6_WzA2Mj',
    acr: '1',
    amr: ['pwd'],
    iat: seconds(server.clock.now()),
    auth_time: seconds(server.clock.now()),
  })
  t.same(decodeProtectedHeader(tokens['id_token'] ?? '').alg, 'RS256', 'OIDC Registration §2: the default')
  t.equal((await tokensFor({ scope: 'email' }))['id_token'], undefined)
})

t.test('OIDC Core §3.1.3.6: at_hash is the left half of the hash of the access token', async (t) => {
  for (const [alg, hash] of [
    ['RS256', 'sha256'],
    ['PS256', 'sha256'],
    ['ES256', 'sha256'],
    ['EdDSA', 'sha512'],
  ] as const) {
    const of = await server.createClient({ scope, first_party: true, id_token_signed_response_alg: alg })
    const tokens = await tokensFor({ scope: 'openid' }, of)
    t.equal(decodeProtectedHeader(tokens['id_token'] ?? '').alg, alg)
    const digest = createHash(hash)
      .update(tokens['access_token'] ?? '')
      .digest()
    t.equal(
      (await read(tokens['id_token'], of))['at_hash'],
      digest.subarray(0, digest.length / 2).toString('base64url'),
    )
  }
})

t.test('OIDC Core §12.2: a refresh gives an ID token of the same login, without nonce', async (t) => {
  const first = await tokensFor({ scope: 'openid offline_access', nonce: 'once' })
  const before = await read(first['id_token'])
  server.clock.advance(30)
  const form = { grant_type: 'refresh_token', refresh_token: first['refresh_token'] ?? '' }
  const second = (await server.post('/token', form, { authorization: client.basic })).json()
  const after = await read(second.id_token)
  t.match(after, { iss: before.iss, sub: before.sub, aud: before.aud, auth_time: before['auth_time'] })
  t.equal(after.nonce, undefined)
  t.equal(after.iat, seconds(server.clock.now()))
})

t.test('OIDC Core §5.3: UserInfo tells what the scope allows', async (t) => {
  const { access_token } = await tokensFor({ scope: 'openid' })
  t.same((await userInfo(access_token)).json(), { sub: user.id })
  const all = await tokensFor({ scope: 'openid profile email address phone' })
  const reply = await userInfo(all['access_token'])
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.match(reply.headers['content-type'], /^application\/json/)
  t.same(reply.json(), {
    ...{ sub: user.id, name: 'Ada Lovelace', given_name: 'Ada', birthdate: '1815-12-10' },
    updated_at: reply.json().updated_at,
    ...{ email: 'ada@example.com', email_verified: true, address: { country: 'GB' } },
    ...{ phone_number: '+44 20 7946 0000', phone_number_verified: true },
  })
})

t.test('OIDC Core §5.3: what was changed of somebody is told from the next request on', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  const grace = await server.createUser('grace@example.org')
  const other = await server.createClient({ scope: 'openid profile' })
  const { form } = await issueCode(server, other, grace.id, { scope: ['openid', 'profile'] })
  const { access_token } = (await server.post('/token', form, { authorization: other.basic })).json()
  const nameAt = async (at: TestServer) =>
    (await at.get('/userinfo', { authorization: `Bearer ${access_token}` })).json().name
  t.same([await nameAt(server), await nameAt(beside)], ['Ada', 'Ada'])
  const statements = await statementsOf(server, () => nameAt(server))
  t.same(statements, [], 'who was told of a moment ago is in memory')
  await updateUser(server.ctx, grace.id, { name: 'Grace' }, { actor: 'operator' })
  t.equal(await nameAt(server), 'Grace')
  // As a notification would make it.
  beside.ctx.users.drop(grace.id)
  t.equal(await nameAt(beside), 'Grace')

  await disableUser(server.ctx, grace.id, { actor: 'operator' })
  t.equal((await userInfo(access_token)).statusCode, 401)
  await enableUser(server.ctx, grace.id, { actor: 'operator' })
  server.clock.advance(5)
  const again = await issueCode(server, other, grace.id, { scope: ['openid', 'profile'] })
  const fresh = (await server.post('/token', again.form, { authorization: other.basic })).json()
  t.match((await userInfo(fresh.access_token)).json(), { name: 'Grace' }, 'and enabled at once too')
})

t.test('OIDC Core §5.3.1: UserInfo by POST, the token in the header or the body', async (t) => {
  const { access_token = '' } = await tokensFor({ scope: 'openid' })
  const authorization = `Bearer ${access_token}`
  t.same((await server.post('/userinfo', {}, { authorization })).json(), { sub: user.id })
  t.same((await server.post('/userinfo', { access_token })).json(), { sub: user.id })
  const inAddress = await server.post(`/userinfo?access_token=${access_token}`, { access_token })
  t.match(inAddress.json(), { error: 'invalid_request' })
  t.equal(inAddress.statusCode, 400)
  const twice = await server.post('/userinfo', { access_token }, { authorization })
  t.equal(twice.statusCode, 400, 'RFC 6750 §2: in one place alone')
})

t.test('OIDC Core §5.3.3: what is no token for UserInfo is refused by RFC 6750', async (t) => {
  const missing = await server.get('/userinfo')
  t.equal(missing.statusCode, 401)
  t.notMatch(missing.headers['www-authenticate'], /error=/)
  const wrong = await userInfo('wrong')
  t.equal(wrong.statusCode, 401)
  t.match(wrong.headers['www-authenticate'], /error="invalid_token"/)
  const { access_token, id_token } = await tokensFor({ scope: 'openid email' })
  t.equal((await userInfo(id_token)).statusCode, 401, 'attack 77: an ID token is no access token')
  t.equal((await userInfo((await tokensFor({ scope: 'email' }))['access_token'])).statusCode, 403)
  await server.post('/revoke', { token: access_token ?? '' }, { authorization: client.basic })
  t.equal((await userInfo(access_token)).statusCode, 401, 'attack 83')
})

t.test('OIDC Core §5.3.2: UserInfo that is signed, where the client registered it', async (t) => {
  const of = await server.createClient({ scope, first_party: true, userinfo_signed_response_alg: 'ES256' })
  const { access_token } = await tokensFor({ scope: 'openid email' }, of)
  const reply = await userInfo(access_token)
  t.equal(reply.headers['content-type'], 'application/jwt')
  t.equal(decodeProtectedHeader(reply.body).typ, 'userinfo+jwt')
  t.match(await read(reply.body, of), { sub: user.id, email: 'ada@example.com' })
})

t.test('OIDC Core §5.3: a token for an API with openid is for this server too, and for nobody else', async (t) => {
  const api = await server.createResource('https://orders.example', 'orders')
  const of = await server.createClient({ scope: `${scope} orders`, first_party: true })
  const { access_token = '' } = await tokensFor({ scope: 'openid email orders' }, of)
  const { aud } = await read(access_token, { ...of, clientId: 'https://orders.example' })
  t.same(aud, ['https://orders.example', testIssuer])
  t.match((await userInfo(access_token)).json(), { email: 'ada@example.com' })
  const introspected = (await server.post('/introspect', { token: access_token }, { authorization: api.basic })).json()
  t.match(introspected, { active: true, aud: ['https://orders.example', testIssuer] })
  const without = await tokensFor({ scope: 'orders' }, of)
  t.same(
    (await read(without['access_token'], { ...of, clientId: 'https://orders.example' })).aud,
    'https://orders.example',
  )
})

t.test('OIDC Core §5.5: claims that are asked for by name', async (t) => {
  const claims = JSON.stringify({
    userinfo: { given_name: { essential: true }, email: null, 'http://example.info/claims/groups': null },
    id_token: { birthdate: null, auth_time: { essential: true } },
  })
  const tokens = await tokensFor({ scope: 'openid', claims })
  t.equal(tokens['scope'], 'openid', 'no scope is granted for them')
  t.equal((await read(tokens['id_token']))['birthdate'], '1815-12-10')
  t.same((await userInfo(tokens['access_token'])).json(), { sub: user.id, given_name: 'Ada', email: 'ada@example.com' })
})

t.test('OIDC Core §5.5: single claims are told by consent to what has them', async (t) => {
  const third = await server.createClient({ scope: 'openid email' })
  const claims = JSON.stringify({ userinfo: { email: { essential: true }, name: null } })
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(third, { scope: 'openid', claims }))
  t.match(page.text, /See your e-mail address/)
  const { access_token } = await tokensFor({ scope: 'openid', claims }, third, browser)
  t.same(
    (await userInfo(access_token)).json(),
    { sub: user.id, email: 'ada@example.com' },
    'not registered for profile',
  )
})

t.test('OIDC Core §5.5: what is no claims request is refused', async (t) => {
  for (const claims of [
    '[]',
    '{',
    '"a"',
    '{"userinfo":[]}',
    '{"userinfo":{"name":1}}',
    '{"id_token":{"acr":{"values":1}}}',
  ]) {
    const { error } = await errorOf(t, { scope: 'openid', claims })
    t.equal(error, 'invalid_request', claims)
  }
  t.match(await errorOf(t, { scope: 'openid', claims: '{"id_token":{"acr":{"essential":true,"values":["9"]}}}' }), {
    error: 'unmet_authentication_requirements',
  })
  t.ok((await tokensFor({ scope: 'openid', claims: '{"id_token":{"acr":{"values":["9"]}}}' }))['id_token'], 'a wish')
  const wishes = { acr_values: '9 1', ui_locales: 'de', claims_locales: 'de', display: 'popup' }
  t.ok((await tokensFor({ scope: 'openid', ...wishes }))['id_token'], 'OIDC Core §15.1: none of them is an error')
})

t.test('OIDC Registration §2: default_acr_values is what a request wishes that says nothing of it', async (t) => {
  const wishing = await server.createClient({ scope: 'openid', first_party: true, default_acr_values: ['9', '8'] })
  const content = await server.createClient({ scope: 'openid', first_party: true, default_acr_values: ['9', '1'] })
  const unmet = () => server.logs.filter((line) => line.includes('none of the classes of authentication')).length
  const essential = '{"id_token":{"acr":{"essential":true,"values":["1"]}}}'
  for (const [of, more, misses] of [
    [wishing, {}, 1],
    [wishing, { acr_values: '7 1' }, 0],
    [wishing, { acr_values: '7 8' }, 1],
    [wishing, { claims: essential }, 0],
    [wishing, { claims: '{"id_token":{"acr":null}}' }, 0],
    [wishing, { claims: '{"id_token":{"acr":{"value":"7"}}}', acr_values: '1' }, 1],
    [content, {}, 0],
    [content, { acr_values: '7' }, 1],
    [client, {}, 0],
  ] as const) {
    const before = unmet()
    const { id_token } = await tokensFor({ scope: 'openid', ...more }, of)
    t.equal((await read(id_token, of))['acr'], '1', 'a wish that cannot be had is no error, and the client is told')
    t.equal(unmet() > before, misses > 0, JSON.stringify([of.clientId, more]))
  }
})

async function errorOf(_t: Test, parameters: Record<string, string>, browser = new TestBrowser(server)) {
  return (await browser.open(authorizationUrl(client, parameters))).answer
}

t.test('OIDC Core §3.1.2.1: id_token_hint names who must be signed in (attack 22)', async (t) => {
  const browser = await signedIn(server, user)
  const { id_token: hint = '' } = await tokensFor({ scope: 'openid' }, client, browser)
  const silent = { scope: 'openid', prompt: 'none', id_token_hint: hint }
  t.ok((await errorOf(t, silent, browser))['code'])
  server.clock.advance(7_200)
  t.ok((await errorOf(t, silent, await signedIn(server, user)))['code'], 'also where it has expired')

  const other = await server.createUser('grace@example.com')
  const another = await signedIn(server, other)
  t.match(await errorOf(t, silent, another), { error: 'login_required' })
  const page = await another.open(authorizationUrl(client, { scope: 'openid', id_token_hint: hint }))
  t.equal(page.step, 'login')
  const wrong = await another.submit(
    page,
    { username: other.email, password: other.password },
    { button: 'login-submit' },
  )
  t.match(wrong.answer, { error: 'login_required' })

  for (const id_token_hint of [
    'a.b.c',
    `${hint.slice(0, -4)}AAAA`,
    (await tokensFor({ scope: 'openid' }))['access_token'] ?? '',
  ]) {
    t.match(await errorOf(t, { ...silent, id_token_hint }, browser), { error: 'invalid_request' })
  }
  const third = await server.createClient({ scope, first_party: true })
  const ofAnother = (await tokensFor({ scope: 'openid' }, third))['id_token'] ?? ''
  t.match(await errorOf(t, { ...silent, id_token_hint: ofAnother }, browser), { error: 'invalid_request' })
})

t.test('OIDC Core §3.1.2.1: an id_token_hint counts in a form that another site posts (attack 22)', async (t) => {
  const browser = await signedIn(server, user)
  const { id_token: hint = '' } = await tokensFor({ scope: 'openid' }, client, browser)
  const silent = { scope: 'openid', prompt: 'none', id_token_hint: hint }
  const form = Object.fromEntries(new URLSearchParams(authorizationQuery(client, silent)))
  const post = async (from: TestBrowser) => (await from.post('/authorize', form, { crossSite: true })).answer
  t.ok((await post(browser))['code'])
  const another = await signedIn(server, await server.createUser('mary@example.com'))
  t.match(await post(another), { error: 'login_required', code: undefined })
})

t.test('OIDC Core §5.5.1: the claim sub with a value does the same', async (t) => {
  const browser = await signedIn(server, user)
  const claims = (value: string) => JSON.stringify({ id_token: { sub: { value } } })
  t.ok((await errorOf(t, { scope: 'openid', prompt: 'none', claims: claims(user.id) }, browser))['code'])
  const stranger = claims('00000000-0000-4000-8000-000000000000')
  t.match(await errorOf(t, { scope: 'openid', prompt: 'none', claims: stranger }, browser), { error: 'login_required' })

  const other = '00000000-0000-4000-8000-000000000000'
  const silent = (wanted: object) =>
    errorOf(t, { scope: 'openid', prompt: 'none', claims: JSON.stringify(wanted) }, browser)
  t.ok((await silent({ id_token: { sub: { values: [other, user.id] } } }))['code'], 'one of several')
  t.match(await silent({ id_token: { sub: { values: [other] } } }), { error: 'login_required' })
  t.match(await silent({ userinfo: { sub: { values: [other, 'another'] } } }), { error: 'login_required' })
  const both = { id_token: { sub: { value: user.id } }, userinfo: { sub: { values: [other] } } }
  t.match(await silent(both), { error: 'invalid_request' }, 'nobody is both')
  t.match(await silent({ id_token: { sub: { values: [] } } }), { error: 'invalid_request' })
})

t.test('OIDC Core §8: pairwise subjects are those of a sector', async (t) => {
  const of = (host: string) =>
    server.createClient({ scope, first_party: true, subject_type: 'pairwise', redirect_uris: [`https://${host}/cb`] })
  const subjectAt = async (pairwise: TestClient, host: string) => {
    const redirect_uri = `https://${host}/cb`
    const { code = '' } = await authorize(server, pairwise, user, { scope: 'openid', redirect_uri })
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri }
    const tokens = (await server.post('/token', form, { authorization: pairwise.basic })).json()
    const { sub } = await read(tokens.id_token, pairwise)
    t.equal((await userInfo(tokens.access_token)).json().sub, sub, 'OIDC Core §5.3.2: the same at UserInfo')
    return sub
  }
  const [one, two] = [await of('one.example'), await of('two.example')]
  const sub = await subjectAt(one, 'one.example')
  t.not(sub, user.id)
  t.equal(await subjectAt(one, 'one.example'), sub)
  t.equal(await subjectAt(await of('one.example'), 'one.example'), sub, 'of the same sector')
  t.not(await subjectAt(two, 'two.example'), sub)
})

t.test('OAuth 2.0 Multiple Response Types §2.1: the answer in the fragment', async (t) => {
  const browser = await signedIn(server, user)
  const reply = await browser.open(authorizationUrl(client, { scope: 'openid', response_mode: 'fragment' }))
  const { hash, search } = new URL(reply.left ?? '')
  t.equal(search, '')
  t.same([...new URLSearchParams(hash.slice(1)).keys()], ['code', 'state', 'iss'])
})

t.test('OAuth 2.0 Form Post Response Mode §2: the answer as a form', async (t) => {
  const browser = await signedIn(server, user)
  const parameters = { scope: 'openid', response_mode: 'form_post', state: '"><script>alert(1)</script>' }
  const page = await browser.request('GET', authorizationUrl(client, parameters))
  t.equal(page.statusCode, 200)
  t.match(page.body, /<form method="post" action="https:\/\/app\.example\/cb">/)
  t.match(page.body, /name="code" value="oac_/)
  t.match(page.body, /name="iss" value="/)
  t.notMatch(page.body, /<script>alert/, 'attack 127')
  const policy = String(page.headers['content-security-policy'])
  t.notMatch(policy, /form-action/, 'browsers would hold where the client sends them on to it')
  const [, nonce = 'none'] = /script-src 'nonce-([\w-]+)'/.exec(policy) ?? []
  t.ok(page.body.includes(`<script nonce="${nonce}">document.forms[0].submit()</script>`))
  t.equal(page.headers['cache-control'], 'no-store')

  const refused = await browser.request('GET', authorizationUrl(client, { ...parameters, scope: 'unknown' }))
  t.match(refused.body, /name="error" value="invalid_scope"/)
})

t.test('OIDC Discovery §4: the configuration agrees with the metadata of RFC 8414', async (t) => {
  const openId = (await server.get('/.well-known/openid-configuration')).json()
  const oauth = (await server.get('/.well-known/oauth-authorization-server')).json()
  t.match(openId, oauth)
  t.match(openId, {
    issuer: testIssuer,
    userinfo_endpoint: `${testIssuer}/userinfo`,
    subject_types_supported: ['public', 'pairwise'],
    response_modes_supported: ['query', 'fragment', 'form_post'],
    id_token_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    claims_parameter_supported: true,
    request_uri_parameter_supported: true,
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
  })
})
