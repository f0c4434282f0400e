import t, { type Test } from 'tap'
import { authorizationUrl, authorize, logIn, type Person, redirectUri } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { ask, registered } from '../support/registration.js'
import { createTestServer, sql, type TestClient, type TestServer } from '../support/server.js'
import { postAs, refresh } from '../support/tokens.js'

// What a run of the conformance suite does: one user, one address, dozens of logins and registrations within minutes, all of
// them right. With the limits as they are by default none of it is held back, and nothing is counted against anybody.

const asked = { scope: 'openid offline_access' }

/** All that a client does with a login of its user. */
async function finishLogin(t: Test, server: TestServer, client: TestClient, user: Person): Promise<void> {
  const { code = '' } = await authorize(server, client, user, asked)
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  const tokens = await postAs(server, client, '/token', form)
  t.equal(tokens.statusCode, 200, 'a code')
  const refreshed = await refresh(server, client, tokens.json().refresh_token)
  t.equal(refreshed.statusCode, 200, 'a refresh')
  const { access_token: token } = refreshed.json()
  t.equal((await server.get('/userinfo', { authorization: `Bearer ${token}` })).statusCode, 200, 'UserInfo')
  t.equal((await postAs(server, client, '/revoke', { token })).statusCode, 200, 'a revocation')
}

t.test('dozens of right logins from one address within minutes: successes are not failures', async (t) => {
  const server = await createTestServer(t)
  const user = await server.createUser()
  const grants = { grant_types: ['authorization_code', 'refresh_token'], scope: asked.scope }
  const clients = [
    await server.createClient(grants),
    await server.createClient({ ...grants, first_party: true }),
    await server.createClient({ ...grants, token_endpoint_auth_method: 'none' }),
  ]
  for (let login = 0; login < 60; login++) {
    const client = clients[login % clients.length]!
    await finishLogin(t, server, client, user)
    server.clock.advance(1)
  }
  t.same(await sql(server, 'SELECT * FROM failure_count'), [], 'nothing is counted')
  t.equal((await server.audit('login.succeeded')).length, 60, 'each was a login of its own')

  const browser = new TestBrowser(server)
  for (let failure = 0; failure < 9; failure++) {
    const page = await browser.open(authorizationUrl(clients[1]!))
    t.equal((await logIn(browser, page, { ...user, password: 'not the password' })).step, 'login')
  }
  const page = await browser.open(authorizationUrl(clients[1]!))
  t.ok((await logIn(browser, page, user)).answer['code'], 'nor has it used up what the user may mistype')
})

t.test('dozens of registrations from one address within the hour, each with a login', async (t) => {
  const server = await createTestServer(t, { env: { REGISTRATION: 'open' } })
  const user = await server.createUser()
  // A run of all plans has 68 (docs/conformance.md), and some modules are repeated.
  for (let client = 0; client < 90; client++) {
    const made = await registered(server, {
      ...{ grant_types: ['authorization_code', 'refresh_token'], scope: asked.scope },
      ...(client % 2 ? { token_endpoint_auth_method: 'none' } : {}),
    })
    if (client % 4 === 0) await finishLogin(t, server, made, user)
    t.equal((await ask(server, 'DELETE', made.path, undefined, made)).statusCode, 204)
    server.clock.advance(1)
  }
  t.same(await sql(server, 'SELECT * FROM failure_count'), [])
})
