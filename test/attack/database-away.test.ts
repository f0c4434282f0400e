import pg from 'pg'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.js'
import { openContext } from '../../src/open-context.js'
import { authorizationUrl } from '../support/authorization.js'
import { createDatabaseProxy, type DatabaseProxy } from '../support/database-proxy.js'
import { SeededRandom } from '../support/random.js'
import { basicOf, createTestServer, encodeForm, sql, type TestServer } from '../support/server.js'
import {
  apiIdentifier,
  codeFor,
  introspect,
  openScene,
  postAs,
  redeem,
  refresh,
  revokeAt,
  type Scene,
  tokensFor,
} from '../support/tokens.js'

/** A server that reaches its database by way of a proxy, and a token's worth of everything. */
async function openBehindProxy(t: Test): Promise<Scene & { readonly proxy: DatabaseProxy }> {
  let proxy: DatabaseProxy | undefined
  const scene = await openScene(t, {
    through: async (databaseUrl) => {
      proxy = await createDatabaseProxy(t, databaseUrl)
      return proxy.url
    },
  })
  if (!proxy) throw new Error('the server does not use the proxy')
  return { ...scene, proxy }
}

type Reply = Awaited<ReturnType<typeof redeem>>

function isUnavailable(t: Test, reply: Reply, message: string): void {
  t.equal(reply.statusCode, 503, message)
  t.match(reply.json(), { error: 'temporarily_unavailable' }, message)
  t.match(reply.headers['retry-after'], /^[1-9][0-9]*$/, message)
  t.notMatch(reply.body, /ECONN|terminated|socket|postgres/i, message)
}

const countTokens = async (server: TestServer, grantId: string): Promise<number> =>
  (await sql(server, 'SELECT 1 FROM refresh_token WHERE grant_id = $1', [grantId])).length

t.test('attack 134: the connection breaks before a code was spent', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, api, proxy } = scene
  const issued = await codeFor(scene)
  const cut = proxy.cutAt('authorization_codes.redeem', 'before')
  isUnavailable(t, await redeem(server, client, issued), 'before the commit')
  await cut
  t.equal(await countTokens(server, issued.grantId), 0)
  const again = await redeem(server, client, issued)
  t.equal(again.statusCode, 200, 'the code is not lost')
  t.equal(await countTokens(server, issued.grantId), 1)
  t.match(await introspect(server, api, again.json().access_token), { active: true })
})

t.test('attack 134: the connection breaks when the code was spent, and before the server heard of it', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, api, proxy } = scene
  const issued = await codeFor(scene)
  const cut = proxy.cutAt('authorization_codes.redeem', 'after')
  const reply = await redeem(server, client, issued)
  await cut
  t.equal(reply.statusCode, 200, 'the row says that it was this attempt')
  t.match(await introspect(server, api, reply.json().access_token), { active: true })
  t.equal((await refresh(server, client, reply.json().refresh_token)).statusCode, 200)

  const raced = await codeFor(scene)
  void proxy.cutAt('authorization_codes.redeem', 'after')
  const beside = await createTestServer(t, { beside: server })
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, index) => redeem(index % 2 ? beside : server, client, raced)),
  )
  t.ok(replies.filter(({ statusCode }) => statusCode === 200).length <= 1, 'never two')
  t.ok((await countTokens(server, raced.grantId)) <= 1)
})

t.test('attack 134: the database is gone for longer than anybody waits', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, api, proxy } = scene
  const issued = await codeFor(scene)
  const cut = proxy.cutAt('authorization_codes.redeem', 'after').then(proxy.down)
  isUnavailable(t, await redeem(server, client, issued), 'nobody can say whose it was')
  await cut
  proxy.up()
  t.equal(await countTokens(server, issued.grantId), 1, 'it was committed')
  t.match((await redeem(server, client, issued)).json(), { error: 'invalid_grant' }, 'and is not spent twice')
  t.equal(await countTokens(server, issued.grantId), 1)
  const next = await tokensFor(scene)
  t.match(await introspect(server, api, next.access_token), { active: true }, 'the next login is as good as ever')
})

t.test('attack 134: the connection breaks around a refresh', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, proxy } = scene
  for (const when of ['before', 'after'] as const) {
    const { refresh_token, issued } = await tokensFor(scene)
    const cut = proxy.cutAt('refresh_tokens.rotate', when)
    isUnavailable(t, await refresh(server, client, refresh_token), when)
    await cut
    const retry = await refresh(server, client, refresh_token)
    t.equal(retry.statusCode, 200, `${when}: the client’s retry is answered`)
    t.equal(await countTokens(server, issued.grantId), 2, 'by one successor')
    t.equal((await refresh(server, client, retry.json().refresh_token)).statusCode, 200)
  }
})

t.test('attack 134: the connection breaks around a revocation', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, api, proxy } = scene
  for (const when of ['before', 'after'] as const) {
    const tokens = await tokensFor(scene)
    const cut = proxy.cutAt('revocations.record', when)
    isUnavailable(t, await revokeAt(server, client, tokens.refresh_token), `${when}: never 200`)
    await cut
    t.match(await introspect(server, api, tokens.access_token), { active: when === 'before' })
    t.equal((await revokeAt(server, client, tokens.refresh_token)).statusCode, 200, 'a second request is welcome')
    t.same(await introspect(server, api, tokens.access_token), { active: false })
  }
})

t.test('attack 134: while the database is away nothing is issued, and what needs none is served', async (t) => {
  const scene = await openBehindProxy(t)
  const { server, client, api, proxy } = scene
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const service = await server.createService('view')
  const tokens = await tokensFor(scene)
  const issued = await codeFor(scene)
  const askOpaque = () => postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'view' })
  const token = (await askOpaque()).json().access_token
  t.match(await introspect(server, opaque, token), { active: true })

  proxy.down()
  isUnavailable(t, await redeem(server, client, issued), 'a code')
  isUnavailable(t, await refresh(server, client, tokens.refresh_token), 'a refresh')
  isUnavailable(t, await askOpaque(), 'an opaque token')
  isUnavailable(t, await postAs(server, api, '/introspect', { token: tokens.access_token }), 'introspection')
  isUnavailable(t, await postAs(server, opaque, '/introspect', { token }), 'introspection of an opaque one')
  isUnavailable(t, await revokeAt(server, client, tokens.access_token), 'a revocation')
  const wrong = basicOf(service.clientId, 'x'.repeat(43))
  isUnavailable(t, await server.post('/token', {}, { authorization: wrong }), 'a failure that cannot be counted')
  const page = await server.get(authorizationUrl(client), { accept: 'text/html' })
  t.equal(page.statusCode, 503)
  t.match(page.body, 'Something went wrong')
  t.notOk('location' in page.headers, 'no redirect')
  t.equal((await server.get('/readyz')).statusCode, 503)
  for (const path of ['/jwks', '/.well-known/oauth-authorization-server', '/healthz']) {
    t.equal((await server.get(path)).statusCode, 200, path)
  }

  proxy.up()
  t.equal((await redeem(server, client, issued)).statusCode, 200, 'the code was not lost')
  t.equal((await refresh(server, client, tokens.refresh_token)).statusCode, 200)
  t.match(await introspect(server, opaque, token), { active: true })
  t.equal((await server.get('/readyz')).statusCode, 200)
})

t.test('attack 134: a service gets no JWT from a server that has not heard of its database', async (t) => {
  const first = await createTestServer(t)
  await first.createResource(apiIdentifier, 'read')
  const service = await first.createService('read')
  const proxy = await createDatabaseProxy(t, first.databaseUrl)
  const { config, log, clock } = first.ctx
  const ctx = await openContext({
    config,
    log,
    databaseUrl: proxy.url,
    clock,
    random: new SeededRandom('following'),
    follow: true,
  })
  const app = await createApp(ctx)
  t.teardown(async () => {
    await app.close()
    await ctx.close()
  })
  const ask = () =>
    app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: service.basic },
      payload: encodeForm({ grant_type: 'client_credentials', scope: 'read' }),
    })
  const ready = () => app.inject('/readyz')
  t.equal((await ask()).statusCode, 200)
  t.equal((await ready()).statusCode, 200)

  proxy.down()
  t.equal((await ask()).statusCode, 200, 'for as long as what is in memory is young')
  const { statusCode, body } = await eventually(ready, (each) => each.statusCode !== 200)
  t.equal(statusCode, 503, 'a load balancer is told at once')
  t.equal(body, '{"status":"unavailable"}')
  const reply = await eventually(ask, ({ statusCode }) => statusCode !== 200)
  isUnavailable(t, reply, 'it cannot know what was revoked')
  proxy.up()
  t.equal(
    (await eventually(ask, ({ statusCode }) => statusCode === 200)).statusCode,
    200,
    'and it comes back by itself',
  )
  t.equal((await eventually(ready, (each) => each.statusCode === 200)).statusCode, 200)
})

/** Asks until the answer is the one that is waited for, ten seconds at most. */
async function eventually<Result>(ask: () => Promise<Result>, isRight: (result: Result) => boolean): Promise<Result> {
  for (let tries = 0; ; tries++) {
    const result = await ask()
    if (isRight(result) || tries === 500) return result
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

t.test('attack 134: a database that is slow is answered for in time', async (t) => {
  const scene = await openScene(t)
  const { server, client } = scene
  const issued = await codeFor(scene)
  const holder = new pg.Client({ connectionString: server.databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN')
  await holder.query('LOCK TABLE authorization_code IN ACCESS EXCLUSIVE MODE')
  isUnavailable(t, await redeem(server, client, issued), 'a lock that nobody gives back')
  await holder.query('ROLLBACK')
  t.equal((await redeem(server, client, issued)).statusCode, 200, 'the code was not lost')
})
