import { decodeJwt } from 'jose'
import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { authorize, redirectUri, signedIn } from '../support/authorization.js'
import type { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { ask, metadata, registered } from '../support/registration.js'
import { createTestServer, registration } from '../support/server.js'

const server = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' } })
const user = await server.createUser()
const pairwise = { subject_type: 'pairwise', scope: 'openid offline_access' }
const both = { ...pairwise, grant_types: ['authorization_code', 'refresh_token'] }

async function tokensOf(
  client: { clientId: string; basic: string },
  more: Record<string, string> = {},
  browser?: TestBrowser,
) {
  const { code = '' } = await authorize(server, client, user, { scope: 'openid offline_access', ...more }, browser)
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri, ...more }
  const { scope: _, ...rest } = form as typeof form & { scope?: string }
  return (await server.post('/token', rest, { authorization: client.basic })).json()
}

const userInfo = (token: string) => server.get('/userinfo', { authorization: `Bearer ${token}` })

const refresh = (client: { basic: string }, token: string) =>
  server.post('/token', { grant_type: 'refresh_token', refresh_token: token }, { authorization: client.basic })

for (const change of [
  { what: 'another host', body: { redirect_uris: ['https://victim.example/cb'], ...both } },
  { what: 'public subjects', body: { ...metadata, ...both, subject_type: 'public' } },
]) {
  t.test(`OIDC Core §8.1, §12.2: ${change.what} ends what was allowed to a client of another sector`, async (t) => {
    const client = await registered(server, both)
    const tokens = await tokensOf(client)
    t.equal((await userInfo(tokens.access_token)).statusCode, 200)
    server.clock.advance(5)
    const body = { ...change.body, client_id: client.clientId }
    t.equal((await ask(server, 'PUT', client.path, body, client)).statusCode, 200)
    t.equal((await userInfo(tokens.access_token)).statusCode, 401)
    t.match((await refresh(client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
    server.clock.advance(5)
    const introspected = await server.post(
      '/introspect',
      { token: tokens.access_token },
      { authorization: client.basic },
    )
    t.same(introspected.json(), { active: false })
  })
}

t.test('OIDC Core §8.1: also where an administrator does it; nothing ends where the sector stays', async (t) => {
  const client = await server.createClient({ ...both, first_party: true })
  const tokens = await tokensOf(client)
  server.clock.advance(5)
  const more = { redirect_uris: [redirectUri, 'https://app.example/other'], client_name: 'Other' }
  await updateClient(server.ctx, client.clientId, more, registration)
  const again = await refresh(client, tokens.refresh_token)
  t.equal(again.statusCode, 200)
  t.equal(decodeJwt(again.json().id_token).sub, decodeJwt(tokens.id_token).sub, 'OIDC Core §12.2')
  const moved = { redirect_uris: [redirectUri], sector_identifier_uri: 'https://victim.example/sector.json' }
  await updateClient(server.ctx, client.clientId, moved, registration)
  t.equal((await refresh(client, again.json().refresh_token)).statusCode, 400)
  server.clock.advance(5)
  t.ok((await tokensOf(client)).id_token, 'a new login works')
})

t.test(
  'OIDC Core §8: neither an access token for this server alone nor introspection tells the id of the user',
  async (t) => {
    const client = await server.createClient({ ...both, first_party: true })
    const other = await server.createClient({ ...both, first_party: true, redirect_uris: ['https://other.example/cb'] })
    const browser = await signedIn(server, user)
    const [tokens, others] = [
      await tokensOf(client, {}, browser),
      await tokensOf(other, { redirect_uri: 'https://other.example/cb' }, browser),
    ]
    const { sub, sid } = decodeJwt(tokens.id_token)
    const { sid: otherSid } = decodeJwt(others.id_token)
    t.ok(sid && otherSid)
    t.not(sid, otherSid, 'one session, told to two sectors')
    t.match(tokens.access_token, /^oat_/, 'it is read by nobody but us')
    t.equal((await userInfo(tokens.access_token)).json().sub, sub)
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const { body } = await server.post('/introspect', { token }, { authorization: client.basic })
      t.match(JSON.parse(body), { active: true, sub })
      t.notMatch(body, user.id)
    }
  },
)

t.test('OIDC Core §8: an API and its tokens know the user by the id that it has for all', async (t) => {
  const api = await server.createResource('https://api.example', 'read')
  const client = await server.createClient({ ...pairwise, scope: 'openid read', first_party: true })
  const { access_token: token, id_token } = await tokensOf(client, { scope: 'openid read' })
  t.equal(decodeJwt(token).sub, user.id)
  const asked = async (by: { basic: string }) =>
    (await server.post('/introspect', { token }, { authorization: by.basic })).json()
  t.equal((await asked(api)).sub, user.id)
  t.equal((await asked(client)).sub, decodeJwt(id_token).sub)
})

t.test('RP-Initiated Logout §2: the hint of a client with pairwise subjects is of its session', async (t) => {
  const client = await server.createClient({ ...both, first_party: true })
  const browser = await signedIn(server, user)
  const { id_token: hint } = await tokensOf(client, {}, browser)
  const page = await browser.open(`/logout?${new URLSearchParams({ id_token_hint: hint })}`)
  t.match(page.text, /signed out/i)
  t.equal((await browser.open('/account')).step, 'login')
})
