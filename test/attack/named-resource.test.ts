import { decodeJwt } from 'jose'
import t from 'tap'
import { updateUser } from '../../src/identity/index.js'
import { createRole, grantRole } from '../../src/resources/index.js'
import { authorizationUrl, authorize, redirectUri, signedIn } from '../support/authorization.js'
import { issueCode, verifier } from '../support/grants.js'
import { registered } from '../support/registration.js'
import { createTestServer, testIssuer } from '../support/server.js'

const api = 'https://api.example'
const env = { REGISTRATION: 'open', REGISTRATION_SCOPES: 'openid email profile offline_access read' }
const server = await createTestServer(t, { env })
await server.createResource(api, 'read write', { claims: ['roles', 'email', 'name'] })
const user = await server.createUser('ada@example.com')
await updateUser(server.ctx, user.id, { name: 'Ada Lovelace' }, { actor: 'operator' })
const by = { actor: 'operator' }
await createRole(server.ctx, { resource: api, name: 'admin', scope: ['read', 'write'] }, by)
await grantRole(server.ctx, api, 'admin', { kind: 'user', holder: user.id }, by)

const redeem = (client: { basic: string }, code: string, more: object = {}) =>
  server.post(
    '/token',
    { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri, ...more },
    { authorization: client.basic },
  )

t.test('RFC 8707 §2, RFC 9700 §2.3: no token for an API of which no scope is asked for', async (t) => {
  const client = await registered(server)
  const known = await server.createClient({ scope: 'openid read', first_party: true })
  const browser = await signedIn(server, user)
  for (const of of [client, known]) {
    const reply = await browser.open(authorizationUrl(of, { scope: 'openid', resource: api }))
    t.match(reply.answer, { error: 'invalid_target', code: undefined })
  }
})

t.test('RFC 8707 §2.2: nor by narrowing what was granted to openid alone', async (t) => {
  const client = await server.createClient({
    scope: 'openid read',
    grant_types: ['authorization_code', 'refresh_token'],
  })
  const issued = await issueCode(server, client, user.id, { scope: ['openid', 'read'], resources: [api] })
  const tokens = (await server.post('/token', issued.form, { authorization: client.basic })).json()
  t.same(decodeJwt(tokens.access_token).aud, [api, testIssuer])
  const refresh = (more: object) =>
    server.post(
      '/token',
      { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, scope: 'openid', ...more },
      { authorization: client.basic },
    )
  t.match((await refresh({ resource: api })).json(), { error: 'invalid_target' })
  t.same(decodeJwt((await refresh({})).json().access_token).aud, testIssuer, 'it is for this server alone')
})

t.test('RFC 6749 §4.4: nor for a service that names an API without a scope of it', async (t) => {
  const without = await server.createService('openid')
  const form = { grant_type: 'client_credentials', resource: api }
  const refused = await server.post('/token', form, { authorization: without.basic })
  t.match(refused.json(), { error: 'invalid_target' })
})

t.test('a client that registered itself reads nothing of the person in a token unless it may know that', async (t) => {
  const client = await registered(server, { scope: 'openid email read' })
  const claimsFor = async (scope: string) => {
    const { code = '' } = await authorize(server, client, user, { scope })
    return decodeJwt((await redeem(client, code)).json().access_token)
  }
  const plain = await claimsFor('openid read')
  t.match(plain, { aud: [api, testIssuer], roles: ['admin'] })
  t.notOk('email' in plain || 'name' in plain)
  const allowed = await claimsFor('openid email read')
  t.match(allowed, { email: 'ada@example.com', name: undefined })
})

t.test('a client of an administrator carries to the API what the API asks for', async (t) => {
  const client = await server.createClient({ scope: 'read', first_party: true })
  const { code = '' } = await authorize(server, client, user, { scope: 'read' })
  const claims = decodeJwt((await redeem(client, code)).json().access_token)
  t.match(claims, { email: 'ada@example.com', name: 'Ada Lovelace', roles: ['admin'] })
})
