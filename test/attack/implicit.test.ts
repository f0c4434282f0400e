import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { authorizationUrl, logIn, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { encoded } from '../support/client-keys.js'
import { challenge } from '../support/grants.js'
import { authorizeImplicitly, implicitClient, implicitOn, implicitUrl } from '../support/implicit.js'
import { createTestServer, registration, sql } from '../support/server.js'
import { postAs } from '../support/tokens.js'

// Attacks on the implicit flow, and by it on everything else: OIDC Core §3.2, RFC 9700 §2.1.2.

const server = await createTestServer(t, { env: implicitOn })
const off = await createTestServer(t, { beside: server })
const user = await server.createUser()
const browser = await signedIn(server, user)
const client = await server.createClient({ ...implicitClient, first_party: true })
const asked = await server.createClient(implicitClient)
const codeOnly = await server.createClient({ first_party: true, scope: 'openid' })

const grants = async () => Number((await sql(server, 'SELECT count(*) FROM authorization_grant'))[0]?.count)
const tokenNames = ['access_token', 'id_token', 'code', 'token_type']

t.test('attack 15: response types of a client that is registered for the code alone', async (t) => {
  const before = await grants()
  for (const response_type of ['id_token', 'id_token token', 'token id_token']) {
    const { left, fragment } = await browser.open(implicitUrl(codeOnly, { response_type }))
    t.match(fragment, { error: 'unsupported_response_type', state: 'the state', iss: 'http://localhost:3000' })
    t.equal(left?.search, '')
  }
  const half = await server.createClient({ ...implicitClient, response_types: ['id_token'], first_party: true })
  t.match((await browser.open(implicitUrl(half))).fragment, { error: 'unauthorized_client' })
  const { answer } = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  t.match(answer, { error: 'unauthorized_client' }, 'nor a code without its grant type')
  t.equal(await grants(), before)
})

t.test('attack 15: a token alone, and what mixes a code with tokens, is for nobody', async (t) => {
  const all = await server.createClient({
    ...{ ...implicitClient, first_party: true, grant_types: ['authorization_code', 'implicit'] },
    response_types: ['code', 'id_token', 'id_token token'],
  })
  const before = await grants()
  for (const response_type of [
    ...['token', 'code token', 'code id_token', 'code id_token token', 'none', 'constructor', 'ID_TOKEN'],
    ...['id_token id_token', 'id_token token code', 'id_token  token', ' id_token', 'id_token token token'],
  ]) {
    const url = implicitUrl(all, { response_type, code_challenge: challenge, code_challenge_method: 'S256' })
    const { answer, fragment } = await browser.open(url)
    t.match({ ...answer, ...fragment }, { error: 'unsupported_response_type' }, response_type)
  }
  t.equal(await grants(), before)
  const { left, answer } = await browser.open(authorizationUrl(all, { scope: 'openid' }))
  t.match(answer, { code: /^oac_/ })
  t.equal(left?.hash, '')
  const without = { code_challenge: undefined, code_challenge_method: undefined }
  const { answer: refused } = await browser.open(authorizationUrl(all, { scope: 'openid', ...without }))
  t.match(refused, { error: 'invalid_request' }, 'and its codes need PKCE as ever: there is no downgrade')
})

t.test('attack 16: no token comes in a query, whatever is asked for', async (t) => {
  for (const response_type of ['id_token', 'id_token token']) {
    for (const response_mode of ['query', 'QUERY', 'query.jwt', 'jwt']) {
      const { left, fragment } = await browser.open(implicitUrl(client, { response_type, response_mode }))
      t.match(fragment, { error: 'invalid_request' }, response_mode)
      t.equal(left?.search, '')
    }
    const twice = `${implicitUrl(client, { response_type, response_mode: 'query' })}&response_mode=fragment`
    const both = await browser.open(twice)
    t.match({ ...both.answer, ...both.fragment }, { error: 'invalid_request' })
  }
  const page = await browser.open(implicitUrl(asked, { response_mode: 'query' }))
  t.equal(page.step, undefined, 'nobody is asked first')
})

t.test('attack 16: a request object cannot change where the answer of its response type goes', async (t) => {
  const unsigned = await server.createClient({
    ...{ ...implicitClient, first_party: true, request_object_signing_alg: 'none' },
    ...{ grant_types: ['authorization_code', 'implicit'], response_types: ['code', 'id_token token'] },
  })
  const objectOf = (claims: object) =>
    `${encoded({ alg: 'none' })}.${encoded({ client_id: unsigned.clientId, ...claims })}.`
  const hidden = objectOf({ response_mode: 'query' })
  t.match((await browser.open(implicitUrl(unsigned, { request: hidden }))).fragment, { error: 'invalid_request' })
  // What counts is inside: with a code outside and tokens inside there is neither.
  const mixed = await browser.open(
    authorizationUrl(unsigned, { scope: 'openid', request: objectOf({ response_type: 'id_token token' }) }),
  )
  t.match({ ...mixed.answer, ...mixed.fragment }, { error: 'invalid_request_object' })
  const inside = await browser.open(
    implicitUrl(unsigned, { response_type: undefined, request: objectOf({ response_type: 'id_token token' }) }),
  )
  t.ok(inside.fragment['id_token'])
  t.equal(inside.left?.search, '')
})

t.test('attack 17: a nonce that is missing or huge', async (t) => {
  const before = await grants()
  for (const nonce of [undefined, '', 'x'.repeat(1025)]) {
    t.match((await browser.open(implicitUrl(client, { nonce }))).fragment, { error: 'invalid_request' })
  }
  t.equal(await grants(), before)
})

t.test('attack 25: an interaction is answered once, and nothing of it can be changed', async (t) => {
  const someone = new TestBrowser(server)
  const parameters = { response_type: 'id_token', scope: 'openid email' }
  const consent = await logIn(someone, await someone.open(implicitUrl(asked, parameters)), user)
  t.equal(consent.step, 'consent')
  const { address, form } = consent.form('consent-allow')
  const before = await grants()
  const changed = {
    ...{ response_type: 'id_token token', response_mode: 'query', nonce: 'evil', state: 'evil' },
    ...{ client_id: client.clientId, redirect_uri: 'https://evil.tld' },
  }
  const send = (more: object) => someone.post(`${address}?${new URLSearchParams(changed)}`, { ...form, ...more })
  const pages = await Promise.all([send(changed), send({}), send(changed), send({})])
  const [done, ...others] = pages.filter(({ left }) => left)
  t.same(others, [], 'of four at once one is answered')
  t.equal(`${done?.left?.origin}${done?.left?.pathname}${done?.left?.search}`, redirectUri)
  t.same(Object.keys(done?.fragment ?? {}), ['id_token', 'state', 'iss'])
  t.equal(done?.fragment['state'], 'the state')
  t.equal(await grants(), before + 1)
  const again = await send({})
  t.equal(again.status, 400)
  t.match(again.text, /already finished/)
  t.equal(await grants(), before + 1)
})

t.test('attack 25: what was begun with the code is not ended without, and the other way round', async (t) => {
  const both = await server.createClient({
    ...{ scope: 'openid', grant_types: ['authorization_code', 'implicit'] },
    response_types: ['code', 'id_token token'],
  })
  const by = await signedIn(server, user)
  const [withCode, without] = [
    await by.open(authorizationUrl(both, { scope: 'openid' })),
    await by.open(implicitUrl(both, { prompt: 'consent' })),
  ]
  const change = { response_type: 'id_token token', nonce: 'evil', response_mode: 'fragment' }
  const code = await by.submit(withCode, change, { button: 'consent-allow' })
  t.same([Object.keys(code.answer), code.left?.hash], [['code', 'state', 'iss'], ''])
  const tokens = await by.submit(without, { response_type: 'code' }, { button: 'consent-allow' })
  t.ok(tokens.fragment['access_token'])
  t.notOk(tokenNames.some((name) => name in tokens.answer) || 'code' in tokens.fragment)
})

t.test('the code behind a grant of this flow is good for nothing', async (t) => {
  await authorizeImplicitly(server, client, user, {}, browser)
  await authorizeImplicitly(server, client, user, { response_type: 'id_token' }, browser)
  const text = `SELECT count(*) FILTER (WHERE used_at IS NULL)::int AS open FROM authorization_code WHERE client_id = $1`
  t.same(await sql(server, text, [client.clientId]), [{ open: 0 }], 'it is spent before anything is sent')
})

t.test('off: there is no implicit flow, for clients of before neither', async (t) => {
  const before = await grants()
  const there = await signedIn(off, user)
  for (const response_type of ['id_token', 'id_token token', 'token']) {
    const { answer, left } = await there.open(implicitUrl(client, { response_type }))
    t.match(answer, {
      ...{ error: 'unsupported_response_type', error_description: 'The only response type is code.' },
      state: 'the state',
    })
    t.equal(left?.hash, '')
  }
  t.equal(await grants(), before + 1, 'but for the login')
  await t.rejects(off.createClient(implicitClient), { code: 'invalid_client_metadata' })
  await t.rejects(off.createClient({ response_types: ['code', 'id_token'] }), { code: 'invalid_client_metadata' })
})

t.test('off: a request that waits for its user while it is switched off gets no token', async (t) => {
  const someone = new TestBrowser(server)
  const consent = await logIn(someone, await someone.open(implicitUrl(asked, { scope: 'openid profile' })), user)
  const { address, form } = consent.form('consent-allow')
  const elsewhere = new TestBrowser(off)
  for (const [name, cookie] of someone.cookies) elsewhere.cookies.set(name, cookie)
  const before = await grants()
  const answered = await elsewhere.post(address, form)
  t.match(answered.fragment, { error: 'unsupported_response_type', state: 'the state' })
  t.notOk('access_token' in answered.fragment)
  t.equal(await grants(), before)
})

t.test('a registration that changed while the user was asked is what counts', async (t) => {
  const grant_types = ['authorization_code', 'implicit']
  const { clientId } = await server.createClient({ ...implicitClient, grant_types, response_types: undefined })
  const changes: readonly (readonly [object, string])[] = [
    [{ response_types: ['code', 'id_token'] }, 'unauthorized_client'],
    [{ grant_types: ['authorization_code'] }, 'unsupported_response_type'],
  ]
  for (const [patch, error] of changes) {
    const someone = new TestBrowser(server)
    const before = { grant_types, response_types: ['code', 'id_token', 'id_token token'] }
    await updateClient(server.ctx, clientId, before, registration)
    const consent = await logIn(someone, await someone.open(implicitUrl({ clientId }, { prompt: 'consent' })), user)
    await updateClient(server.ctx, clientId, patch, registration)
    const done = await someone.submit(consent, {}, { button: 'consent-allow' })
    t.match(done.fragment, { error })
    t.notOk(tokenNames.some((name) => name in done.fragment))
  }
})

t.test('a session that was ended while the user was asked gives no token', async (t) => {
  const someone = new TestBrowser(server)
  const consent = await logIn(someone, await someone.open(implicitUrl(asked, { prompt: 'consent' })), user)
  const elsewhere = await signedIn(server, user)
  await elsewhere.submit(await elsewhere.open('/account/sessions'), {}, { button: 'end-others' })
  const done = await someone.submit(consent, {}, { button: 'consent-allow' })
  t.notOk(done.left)
})

t.test('attack 83: a revocation reaches a token of this flow, by whichever way', async (t) => {
  const api = await server.createResource('https://api.example', 'read')
  const of = await server.createClient({ ...implicitClient, scope: 'openid read', first_party: true })
  const by = await signedIn(server, user)
  const issued = async () => (await by.open(implicitUrl(of, { scope: 'openid read' }))).fragment['access_token'] ?? ''
  const isActive = async (token: string) => (await postAs(server, api, '/introspect', { token })).json().active
  const [one, two] = [await issued(), await issued()]
  t.same([await isActive(one), await isActive(two)], [true, true])
  await postAs(server, codeOnly, '/revoke', { token: one })
  t.equal(await isActive(one), true, 'another client ends nothing')
  await postAs(server, of, '/revoke', { token: one })
  t.same([await isActive(one), await isActive(two)], [false, true])
  await by.submit(await by.open('/account/sessions'), {}, { button: 'end-others' })
  t.equal(await isActive(two), true, 'it is of this session')
  const last = await signedIn(server, user)
  await last.submit(await last.open('/account/sessions'), {}, { button: 'end-others' })
  t.equal(await isActive(two), false)
})
