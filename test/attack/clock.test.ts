import t from 'tap'
import { maintainPartitions } from '../../src/jobs/index.js'
import { revoke } from '../../src/revocation/index.js'
import { authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { TestClock } from '../support/clock.js'
import { basicOf, createTestServer } from '../support/server.js'
import {
  application,
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

const hour = 3_600
const day = 86_400
const cause = { actor: 'operator', reason: 'test' }

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

t.test('attack 133: the clock is set back a day while windows of the day before that are open', async (t) => {
  const server = await createTestServer(t, { now: new Date('2026-03-02T00:01:00.000Z') })
  const services = await Promise.all(Array.from({ length: 20 }, () => server.createService()))
  server.clock.advance(-day)
  for (const { clientId } of services) {
    await server.post('/token', {}, { authorization: basicOf(clientId, 'x'.repeat(43)) })
  }
  t.equal((await server.get('/readyz')).statusCode, 200, 'their rows have a partition')
})

t.test(
  'attack 133: a worker that is a day ahead drops nothing that is needed when its clock is right again',
  async (t) => {
    const server = await createTestServer(t, { now: new Date('2026-03-02T00:01:00.000Z') })
    const services = await Promise.all(Array.from({ length: 20 }, () => server.createService()))
    server.clock.advance(day)
    await maintainPartitions(server.ctx)
    server.clock.advance(-day)
    for (const { clientId } of services) {
      await server.post('/token', {}, { authorization: basicOf(clientId, 'x'.repeat(43)) })
    }
    t.equal((await server.get('/readyz')).statusCode, 200)
  },
)

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

for (const jump of [hour, day]) {
  t.test(`attack 133: the clock is set back by ${jump} s, and what was issued before is revoked`, async (t) => {
    const scene = await openScene(t)
    const { server, client, api } = scene
    const other = await server.createClient(application)
    const user = await server.createUser('grace@example.com')
    const service = await server.createService('read')
    const machine = (await postAs(server, service, '/token', { grant_type: 'client_credentials' })).json()
    const [one, grant] = [await tokensFor(scene), await tokensFor(scene, { offline: true })]
    const ofClient = await tokensFor({ ...scene, client: other })
    const ofUser = await tokensFor({ ...scene, user })
    await server.ctx.audit.flush()

    server.clock.advance(-jump)
    await revokeAt(server, client, one.access_token)
    await revokeAt(server, client, grant.refresh_token)
    await revoke(server.ctx, { kind: 'client', clientId: other.clientId }, cause)
    await revoke(server.ctx, { kind: 'user', userId: user.id }, cause)
    await revoke(server.ctx, { kind: 'client', clientId: service.clientId, lasting: 'deleted' }, cause)

    // Tokens of before live by their own time: that much longer.
    const ended = { one, grant, ofClient, ofUser, machine }
    for (const later of [0, hour - 1, 2, jump - hour + 500]) {
      server.clock.advance(later)
      for (const [kind, { access_token: token }] of Object.entries(ended)) {
        t.same(
          await introspect(server, api, token),
          { active: false },
          `${kind} at ${server.clock.now().toISOString()}`,
        )
      }
    }
  })

  t.test(
    `attack 133: the clock is set back by ${jump} s behind a not-before: an honest 503, for as long`,
    async (t) => {
      const scene = await openScene(t)
      const { server, client, user } = scene
      const service = await server.createService('read')
      const ask = () => postAs(server, service, '/token', { grant_type: 'client_credentials' })
      await revoke(server.ctx, { kind: 'client', clientId: service.clientId }, cause)
      await revoke(server.ctx, { kind: 'user', userId: user.id }, cause)

      server.clock.advance(-jump)
      await server.refresh()
      const refused = await ask()
      t.match(refused, { statusCode: 503, headers: { 'retry-after': String(jump + 1) } })
      t.match(refused.json(), { error: 'temporarily_unavailable' })
      const browser = new TestBrowser(server)
      const login = await browser.open(authorizationUrl(client))
      t.equal((await logIn(browser, login, user)).status, 503, 'a session would be ended already')
      t.equal(
        (await postAs(server, await server.createService('read'), '/token', { grant_type: 'client_credentials' }))
          .statusCode,
        200,
        'nobody else',
      )

      server.clock.advance(jump + 1)
      t.equal((await ask()).statusCode, 200)
      const again = new TestBrowser(server)
      t.equal((await logIn(again, await again.open(authorizationUrl(client)), user)).step, 'consent')
    },
  )

  t.test(`attack 133: two processes whose clocks differ by ${jump} s`, async (t) => {
    const scene = await openScene(t)
    const { server, client, api, user } = scene
    const ahead = await createTestServer(t, { beside: server, clock: new TestClock(server.clock.now()), seed: 'ahead' })
    ahead.clock.advance(jump)
    const both = [server, ahead]
    const inactive = async (token: string, what: string): Promise<void> => {
      for (const each of both) t.same(await introspect(each, api, token), { active: false }, what)
    }

    // Issued here, where it is good, and revoked there, where it has expired.
    const early = await tokensFor(scene)
    t.equal((await revokeAt(ahead, client, early.access_token)).statusCode, 200)
    await inactive(early.access_token, 'an access token, revoked by the process that is ahead')
    const refreshed = await tokensFor(scene, { offline: true })
    t.equal((await revokeAt(ahead, client, refreshed.refresh_token)).statusCode, 200)
    await inactive(refreshed.access_token, 'a grant, likewise')

    // Issued there, revoked here.
    const late = await tokensFor({ ...scene, server: ahead })
    t.equal((await revokeAt(server, client, late.access_token)).statusCode, 200)
    await inactive(late.access_token, 'an access token of the process that is ahead')
    const other = await tokensFor({ ...scene, server: ahead })
    await revoke(server.ctx, { kind: 'user', userId: user.id }, cause)
    await inactive(other.access_token, 'all of a user, by the process that is behind')
    t.match((await refresh(ahead, client, other.refresh_token)).json(), { error: 'invalid_grant' })
    for (let step = 0; step < 3; step++) {
      for (const each of both) each.clock.advance(599 / 3)
      await inactive(late.access_token, 'and it stays so')
      await inactive(other.access_token, 'and it stays so')
    }
  })
}
