import t from 'tap'
import { revoke } from '../../src/revocation/index.js'
import { authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { listenOnLoopback } from '../support/http.js'
import { idTokensFor, logoutUrl, relyingParty } from '../support/logout.js'
import { ask as askRegistration, metadata, register, registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'
import { by } from '../support/telling.js'

const server = await createTestServer(t, { env: { REGISTRATION: 'open' } })
const { ctx } = server
const user = await server.createUser('ada@example.com')
const client = await server.createClient({ ...relyingParty, first_party: true })
const { clientId } = client
const port = await listenOnLoopback(server.app)

/** What of refused requests was written since. */
async function refusals(): Promise<
  readonly (readonly [reason: string | undefined, clientId: string | undefined, count: number])[]
> {
  await ctx.audit.flush()
  const events = await server.audit('request.refused')
  await server.ctx.db.query('test.forget', `DELETE FROM audit_event WHERE type = 'request.refused'`, [])
  return events.map((event) => [event.reason, event.clientId, event.count ?? 1])
}

t.test('a refused authorization request stands in the audit, whoever is told of it', async (t) => {
  const browser = await signedIn(server, user)
  for (let n = 0; n < 3; n++) {
    const { answer } = await browser.open(authorizationUrl(client, { scope: 'unknown' }))
    t.match(answer, { error: 'invalid_scope' })
  }
  t.same(await refusals(), [['scope_not_registered', clientId, 3]], 'alike ones as one')
  await browser.open(authorizationUrl(client, { redirect_uri: 'https://elsewhere.example/cb' }))
  t.match(await refusals(), [['redirect_uri_unregistered']], 'on a page')
  await new TestBrowser(server).open(authorizationUrl(client, { prompt: 'none' }))
  t.match(await refusals(), [[/^login_/, clientId]])
})

t.test('RFC 9700 §4.11.2: once, where its client is told after a login alone', async (t) => {
  const stranger = await registered(server)
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(stranger, { scope: 'unknown' }))
  t.equal(login.step, 'login')
  t.match((await logIn(browser, login, user)).answer, { error: 'invalid_scope' })
  t.same(await refusals(), [['scope_not_registered', stranger.clientId, 1]])
})

t.test('so does what the token endpoint refuses, by the exact check', async (t) => {
  const ask = (form: Record<string, string>) => server.post('/token', form, { authorization: client.basic })
  const { refresh_token } = await idTokensFor(server, client, user, undefined, 'openid offline_access')
  await ask({ grant_type: 'password' })
  await ask({ grant_type: 'authorization_code', code: 'no code', code_verifier: 'x'.repeat(43) })
  await ask({ grant_type: 'refresh_token', refresh_token: `${refresh_token}x` })
  t.same((await refusals()).map(([reason, of]) => [reason, of]).sort(), [
    ['code_unknown', clientId],
    ['grant_type_unknown', clientId],
    ['refresh_token_unknown', clientId],
  ])
  await server.post(
    '/token',
    { grant_type: 'client_credentials' },
    { authorization: `Basic ${btoa(`${clientId}:wrong`)}` },
  )
  t.same(await refusals(), [], 'what has an event of its own has no second one')
  t.match(await server.audit('client.authentication_failed'), [{ reason: 'client_secret_wrong' }])
})

t.test('and by the direct way, as a server listens', async (t) => {
  const headers = { authorization: client.basic }
  const body = new URLSearchParams({ grant_type: 'password' })
  t.equal((await fetch(`http://127.0.0.1:${port}/token`, { method: 'POST', headers, body })).status, 400)
  t.equal(
    (await fetch(`http://127.0.0.1:${port}/userinfo`, { headers: { authorization: 'Bearer nothing' } })).status,
    401,
  )
  t.same((await refusals()).map(([reason]) => reason).sort(), ['grant_type_unknown', 'token_invalid'])
})

t.test('of a token that was a client’s it says from where, by both ways and at every endpoint', async (t) => {
  const { access_token } = await idTokensFor(server, client, user)
  const headers = { authorization: `Bearer ${access_token}` }
  server.clock.advance(3_601)
  await server.get('/api-keys', headers)
  await server.get('/userinfo', headers)
  await fetch(`http://127.0.0.1:${port}/userinfo`, { headers })
  await fetch(`http://127.0.0.1:${port}/userinfo`, { method: 'POST', headers })
  await ctx.audit.flush()
  const events = await server.audit('request.refused')
  await refusals()
  t.same(events.map(({ reason, clientId: of, ip, count }) => [reason, of, ip, count ?? 1]).sort(), [
    ['token_expired', clientId, '127.0.0.1', 4],
  ])
})

t.test('UserInfo says apart what was no token, what is over, and what was revoked', async (t) => {
  const { access_token } = await idTokensFor(server, client, user)
  const ask = (token: string) => server.get('/userinfo', { authorization: `Bearer ${token}` })
  await ask('nothing')
  t.same(await refusals(), [['token_invalid', undefined, 1]])
  server.clock.advance(3_601)
  await ask(access_token)
  t.same(await refusals(), [['token_expired', clientId, 1]])
  const second = await idTokensFor(server, client, user)
  await revoke(ctx, { kind: 'user', userId: user.id }, { ...by, reason: 'test' })
  await ask(second.access_token)
  t.same(await refusals(), [['token_ended', clientId, 1]])
})

t.test('and whose token it was that does not reach it', async (t) => {
  await server.createResource('https://api.example', 'read')
  const job = await server.createClient({ grant_types: ['client_credentials'], scope: 'read' })
  const reply = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: job.basic })
  const asked = await server.get('/userinfo', { authorization: `Bearer ${reply.json().access_token}` })
  t.equal(asked.statusCode, 403)
  t.same(await refusals(), [['scope_missing', job.clientId, 1]])
})

t.test('RFC 6750 §2.3: a token in the address is one however its name is written', async (t) => {
  for (const name of ['access_token', 'access%5Ftoken', '%61ccess_toke%6e']) {
    t.equal((await server.get(`/userinfo?${name}=x`, {})).statusCode, 400, name)
  }
  t.same(await refusals(), [['secret_in_query', undefined, 3]])
})

t.test('a refused sign-out', async (t) => {
  await new TestBrowser(server).open(logoutUrl({ id_token_hint: 'nothing' }))
  t.match(await refusals(), [['id_token_hint_invalid']])
})

t.test('what is no request of the protocol is in the log alone', async (t) => {
  await server.get('/nothing-here')
  await server.get('/token')
  await server.post('/token', { padding: 'x'.repeat(70_000) })
  t.same(await refusals(), [])
})

t.test('the parameter that is wrong is named in log and audit, by our name of it', async (t) => {
  const fields = async () => {
    await ctx.audit.flush()
    const events = await server.audit('request.refused')
    await refusals()
    return events.map(({ reason, detail }) => [reason, detail?.['field']]).sort()
  }
  const browser = await signedIn(server, user)
  await refusals()
  const logged = server.logs.length
  await browser.open(authorizationUrl(client, { response_type: '' }))
  await browser.open(authorizationUrl(client, { max_age: 'soon' }))
  await browser.open(authorizationUrl(client, { state: 's'.repeat(5000) }))
  await server.post('/revoke', {}, { authorization: client.basic })
  await server.post('/token', { grant_type: 'refresh_token' }, { authorization: client.basic })
  t.same(await fields(), [
    ['parameter_invalid', 'max_age'],
    ['parameter_invalid', 'state'],
    ['parameter_missing', 'refresh_token'],
    ['parameter_missing', 'response_type'],
    ['parameter_missing', 'token'],
  ])
  const lines = server.logs.slice(logged).filter((line) => line.includes('"field":'))
  t.equal(lines.length, 5, 'and in the log')
  await browser.open(authorizationUrl(client, { scope: 'unknown' }))
  t.same(await fields(), [['scope_not_registered', undefined]], 'what its reason names has none')
})

t.test(
  'RFC 7591 §3.2.2: so is the field of client metadata, and never a value or a name that somebody made up',
  async (t) => {
    const secret = 'kept-to-ourselves'
    const wrong = {
      jwks_uri: { jwks_uri: `http://${secret}.example/keys` },
      logo_uri: { logo_uri: 7 },
      redirect_uris: { redirect_uris: [`http://${secret}.example/cb`] },
      post_logout_redirect_uris: { post_logout_redirect_uris: [`javascript:${secret}`] },
      grant_types: { grant_types: [secret] },
      scope: { scope: `${secret}  x` },
      response_types: { response_types: [secret] },
      rate_tier: { rate_tier: secret, [secret]: secret },
      software_statement: { software_statement: secret },
    }
    const logged = server.logs.length
    for (const part of Object.values(wrong)) {
      t.equal((await register(server, { ...metadata, ...part })).statusCode, 400, JSON.stringify(part))
    }
    await ctx.audit.flush()
    const events = await server.audit('client.registration_refused')
    t.same(events.map(({ detail }) => detail?.['field']).sort(), Object.keys(wrong).sort())
    const lines = server.logs.slice(logged)
    for (const field of Object.keys(wrong)) {
      t.ok(
        lines.some((line) => line.includes(`"field":"${field}"`)),
        field,
      )
    }
    t.notMatch(lines.join('\n') + JSON.stringify(events), secret)
  },
)

t.test('RFC 7592 §2: what is refused at a registration says whose it is, where there is such a client', async (t) => {
  const stranger = await registered(server)
  const wrong = { token: `${stranger.token.slice(0, -1)}${stranger.token.endsWith('A') ? 'B' : 'A'}` }
  await askRegistration(server, 'GET', stranger.path, undefined, wrong)
  await askRegistration(server, 'PUT', stranger.path, { ...metadata, client_id: 'another' }, stranger)
  const none = '/register/11111111-2222-4333-8444-555555555555'
  await askRegistration(server, 'GET', none, undefined, stranger)
  await ctx.audit.flush()
  const events = await server.audit('client.configuration_refused')
  t.same(
    events.map(({ reason, clientId, detail }) => [reason, clientId, detail?.['field']]).sort(),
    [
      ['client_id_differs', stranger.clientId, 'client_id'],
      ['registration_access_token_invalid', stranger.clientId, undefined],
      ['registration_access_token_invalid', undefined, undefined],
    ].sort(),
  )
})
