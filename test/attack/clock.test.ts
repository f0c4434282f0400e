import t from 'tap'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { basicOf, createTestServer } from '../support/server.js'
import {
  claimsOf,
  codeFor,
  introspect,
  openScene,
  postAs,
  redeem,
  refresh,
  revokeAt,
  tokensFor,
} from '../support/tokens.js'

const day = 86_400

t.test('attack 133: the clock jumps a day ahead', async (t) => {
  const scene = await openScene(t)
  const { server, client, api } = scene
  const service = await server.createService('read')
  const ask = () => postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  const tokens = await tokensFor(scene, { offline: true })
  const machine = (await ask()).json().access_token
  const waiting = await codeFor(scene)
  const browser = await signedIn(server, scene.user)

  server.clock.advance(day)
  t.match((await redeem(server, client, waiting)).json(), { error: 'invalid_grant' }, 'a code')
  for (const token of [tokens.access_token, machine]) {
    t.same(await introspect(server, api, token), { active: false }, 'an access token')
    t.equal((await revokeAt(server, client, tokens.access_token)).statusCode, 200, 'nothing to revoke')
  }
  t.equal((await browser.open(authorizationUrl(client))).step, 'login', 'a session that was not used for a day')
  const next = await refresh(server, client, tokens.refresh_token)
  t.equal(next.statusCode, 200, 'a refresh token lives longer')
  t.match(await introspect(server, api, next.json().access_token), { active: true })
  const now = Math.floor(server.clock.now().getTime() / 1000)
  const fresh = (await ask()).json().access_token
  t.equal(claimsOf(fresh)['iat'], now)
  t.match(await introspect(server, api, fresh), { active: true })
  t.equal((await server.get('/readyz')).statusCode, 200)
})

t.test('attack 133: the clock jumps a day back', async (t) => {
  const scene = await openScene(t)
  const { server, client, api } = scene
  const service = await server.createService('read')
  const ask = () => postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  const used = await tokensFor(scene, { offline: true })
  const revoked = await tokensFor(scene)
  await revokeAt(server, client, revoked.refresh_token)
  const spent = await codeFor(scene)
  const first = (await redeem(server, client, spent)).json()
  const rotated = (await refresh(server, client, used.refresh_token)).json()
  server.clock.advance(11)

  server.clock.advance(-day)
  t.match((await redeem(server, client, spent)).json(), { error: 'invalid_grant' }, 'a spent code stays spent')
  t.same(await introspect(server, api, first.access_token), { active: false }, 'and the replay is still one')
  t.same(await introspect(server, api, revoked.access_token), { active: false }, 'what was revoked stays revoked')
  t.match((await refresh(server, client, revoked.refresh_token)).json(), { error: 'invalid_grant' })
  const next = await refresh(server, client, rotated.refresh_token)
  t.equal(next.statusCode, 200, 'what was live is')
  t.match((await refresh(server, client, used.refresh_token)).json(), { error: 'invalid_grant' }, 'a used one is not')
  t.equal((await ask()).statusCode, 200, 'there is still a key that signs')
  t.match(await introspect(server, api, (await ask()).json().access_token), { active: true })
  for (const path of ['/jwks', '/.well-known/oauth-authorization-server', '/readyz']) {
    t.equal((await server.get(path)).statusCode, 200, path)
  }
  t.equal((await tokensFor(scene)).expires_in, 600)

  server.clock.advance(day)
  t.same(await introspect(server, api, revoked.access_token), { active: false }, 'and once it is right again')
  t.match((await redeem(server, client, spent)).json(), { error: 'invalid_grant' })
})

t.test('attack 133: a window of failures that the clock left begins anew', async (t) => {
  const server = await createTestServer(t)
  const service = await server.createService()
  const wrong = basicOf(service.clientId, 'x'.repeat(43))
  const guess = () => server.post('/token', {}, { authorization: wrong })
  const guessAll = async () => {
    const statuses = []
    for (let index = 0; index < 11; index++) statuses.push((await guess()).statusCode)
    return statuses
  }
  for (const jump of [0, day, -day]) {
    server.clock.advance(jump)
    const statuses = await guessAll()
    if (jump !== -day) t.equal(statuses[0], 401)
    t.equal(statuses.at(-1), 429, 'the bound holds on both sides of the jump')
  }
})
