import t from 'tap'
import { disableClient, updateClient } from '../../src/clients/index.js'
import { authorizationUrl, authorize, redirectUri, signedIn } from '../support/authorization.js'
import { verifier } from '../support/grants.js'
import { ask, metadata, registered } from '../support/registration.js'
import { createTestServer, registration } from '../support/server.js'

const server = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' } })
const user = await server.createUser()

t.test('RFC 7592 §2.1: a client reads its registration, as often as it likes', async (t) => {
  const client = await registered(server)
  const { client_secret: _, ...rest } = client.answer
  for (let turn = 0; turn < 2; turn++) {
    const reply = await ask(server, 'GET', client.path, undefined, client)
    t.equal(reply.statusCode, 200)
    t.equal(reply.headers['cache-control'], 'no-store')
    t.same(reply.json(), rest, 'the same token, and no secret, of which only a hash is kept')
  }
})

t.test('RFC 7592 §2.2: the whole is replaced, and the token rotates', async (t) => {
  const client = await registered(server, { contacts: ['a@app.example'], client_uri: 'https://app.example/' })
  const body = {
    client_id: client.clientId,
    client_secret: client.clientSecret,
    client_name: 'Notes 2',
    redirect_uris: ['https://app.example/other'],
    scope: 'openid',
  }
  const reply = await ask(server, 'PUT', client.path, body, client)
  t.equal(reply.statusCode, 200)
  const answer = reply.json()
  t.match(answer, {
    client_id: client.clientId,
    client_secret: client.clientSecret,
    client_name: 'Notes 2',
    redirect_uris: ['https://app.example/other'],
    grant_types: ['authorization_code'],
    scope: 'openid',
  })
  t.notOk('contacts' in answer, 'what was left out is gone')
  t.notOk('client_uri' in answer)
  t.not(answer.registration_access_token, client.token)
  const next = { token: answer.registration_access_token }
  t.match((await ask(server, 'GET', client.path, undefined, next)).json(), { client_name: 'Notes 2' })
  t.equal((await ask(server, 'GET', client.path, undefined, client)).statusCode, 401, 'the old token is over')
  t.match(await server.audit('client.updated'), [{ clientId: client.clientId, actor: `client:${client.clientId}` }])
})

t.test('RFC 7592 §2.2: client_id and client_secret agree, and what the server sets is refused', async (t) => {
  const client = await registered(server)
  const body = { ...metadata, client_id: client.clientId }
  for (const wrong of [
    { client_id: undefined },
    { client_id: 'other' },
    { client_secret: 'wrong' },
    { client_secret: 1 },
    { registration_access_token: client.token },
    { registration_client_uri: client.path },
    { client_id_issued_at: 1 },
    { client_secret_expires_at: 0 },
    { first_party: true },
    { redirect_uris: [] },
  ]) {
    const reply = await ask(server, 'PUT', client.path, { ...body, ...wrong }, client)
    t.equal(reply.statusCode, 400, JSON.stringify(wrong))
    t.match(reply.json(), { error: 'invalid_client_metadata' })
  }
  const uri = { ...body, redirect_uris: ['http://app.example/cb'] }
  t.match((await ask(server, 'PUT', client.path, uri, client)).json(), { error: 'invalid_redirect_uri' })
  t.equal((await ask(server, 'GET', client.path, undefined, client)).statusCode, 200, 'a refusal does not rotate')
})

t.test('a registration is not changed more often than the quota of an hour', async (t) => {
  const bound = await createTestServer(t, { beside: server, env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '2' } })
  const client = await registered(server)
  let { token } = client
  const body = { ...metadata, client_id: client.clientId }
  for (const status of [200, 200, 429]) {
    const reply = await ask(bound, 'PUT', client.path, body, { token })
    t.equal(reply.statusCode, status)
    token = reply.json().registration_access_token ?? token
  }
  bound.clock.advance(1800)
  t.equal((await ask(bound, 'PUT', client.path, body, { token })).statusCode, 200)
})

t.test('a client that comes to need a secret gets one, and one that needs none loses it', async (t) => {
  const client = await registered(server, { token_endpoint_auth_method: 'none' })
  const body = { ...metadata, client_id: client.clientId }
  const first = (await ask(server, 'PUT', client.path, body, client)).json()
  t.match(first.client_secret, /^[\w-]{43}$/)
  const second = { ...body, token_endpoint_auth_method: 'none' }
  const token = first.registration_access_token
  t.notOk('client_secret' in (await ask(server, 'PUT', client.path, second, { token })).json())
  t.same((await server.ctx.clients.find(client.clientId))?.secrets, [])
})

t.test('what an administrator set stays, and what they added may be kept', async (t) => {
  await server.createResource('https://orders.example', 'orders')
  const client = await registered(server)
  const patch = { scope: 'openid orders', allowed_resources: ['https://orders.example'], access_token_lifetime: 90 }
  await updateClient(server.ctx, client.clientId, patch, registration)
  const body = { ...metadata, client_id: client.clientId, scope: 'openid orders admin' }
  const answer = (await ask(server, 'PUT', client.path, body, client)).json()
  t.equal(answer.scope, 'openid orders')
  t.match(await server.ctx.clients.find(client.clientId), {
    allowedResources: ['https://orders.example'],
    accessTokenLifetime: 90,
    selfRegistered: true,
  })
})

t.test('a client that an administrator made their own does not lead its users elsewhere', async (t) => {
  const client = await registered(server)
  await updateClient(server.ctx, client.clientId, { first_party: true }, registration)
  const body = { client_id: client.clientId, redirect_uris: ['https://evil.example/cb'] }
  t.equal((await ask(server, 'PUT', client.path, body, client)).statusCode, 403)
  t.equal((await ask(server, 'GET', client.path, undefined, client)).statusCode, 200)
})

t.test('who looks otherwise asks its users again', async (t) => {
  const client = await registered(server, { scope: 'openid' })
  const asked = authorizationUrl(client, { scope: 'openid' })
  const browser = await signedIn(server, user)
  await authorize(server, client, user, { scope: 'openid' }, browser)
  t.ok((await browser.open(asked)).answer['code'], 'not asked twice')

  const body = { ...metadata, client_id: client.clientId, scope: 'openid' }
  const same = { ...body, redirect_uris: ['https://app.example/cb', 'https://app.example/other'] }
  const first = (await ask(server, 'PUT', client.path, same, client)).json()
  t.ok((await browser.open(asked)).answer['code'], 'of the same name and host')
  const renamed = { ...body, client_name: 'Your bank' }
  const sent = { token: first.registration_access_token }
  const second = (await ask(server, 'PUT', client.path, renamed, sent)).json()
  t.equal((await browser.open(asked)).step, 'consent')
  await authorize(server, client, user, { scope: 'openid' }, browser)
  const moved = { ...renamed, redirect_uris: ['https://app.example/cb', 'https://evil.example/cb'] }
  await ask(server, 'PUT', client.path, moved, { token: second.registration_access_token })
  t.equal((await browser.open(asked)).step, 'consent')
})

t.test('RFC 7592 §2.3: a client that deletes itself ends all that it has', async (t) => {
  const client = await registered(server, { grant_types: ['authorization_code', 'refresh_token'] })
  const { code = '' } = await authorize(server, client, user, { scope: 'openid offline_access' })
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  const tokens = (await server.post('/token', form, { authorization: client.basic })).json()

  const reply = await ask(server, 'DELETE', client.path, undefined, client)
  t.equal(reply.statusCode, 204)
  t.equal(reply.body, '')
  t.equal((await ask(server, 'GET', client.path, undefined, client)).statusCode, 401)
  t.equal((await ask(server, 'DELETE', client.path, undefined, client)).statusCode, 401)
  t.equal((await server.get('/userinfo', { authorization: `Bearer ${tokens.access_token}` })).statusCode, 401)
  const again = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  t.equal((await server.post('/token', again, { authorization: client.basic })).statusCode, 401)
})

t.test('RFC 7592 §2.1: a disabled client is forbidden', async (t) => {
  const client = await registered(server)
  await disableClient(server.ctx, client.clientId, { actor: 'operator' })
  for (const method of ['GET', 'DELETE'] as const) {
    t.equal((await ask(server, method, client.path, undefined, client)).statusCode, 403)
  }
  const body = { ...metadata, client_id: client.clientId }
  t.equal((await ask(server, 'PUT', client.path, body, client)).statusCode, 403)
})

t.test('RFC 7592: a client that an administrator registered has no such address', async (t) => {
  const { clientId } = await server.createClient()
  const token = `ora_0_${'A'.repeat(43)}`
  t.equal((await ask(server, 'GET', `/register/${clientId}`, undefined, { token })).statusCode, 401)
  const without = await ask(server, 'GET', `/register/${clientId}`)
  t.equal(without.statusCode, 401)
  t.equal((await ask(server, 'GET', '/register/a%00b', undefined, { token })).statusCode, 401)
})
