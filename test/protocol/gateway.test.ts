import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { createApiKey, endApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { disableClient, rotateSecret } from '../../src/clients/index.js'
import { deleteGateway, updateGateway } from '../../src/gateways/index.js'
import { createTier } from '../../src/limits/index.js'
import { createRole, grantRole, updateResource, withdrawRole } from '../../src/resources/index.js'
import { createTestGateway } from '../support/gateways.js'
import { basicOf, createTestServer, sql, type TestServer } from '../support/server.js'
import { claimsOf, lookupsOf, postAs, revokeAt } from '../support/tokens.js'

const server = await createTestServer(t)
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }
const identifier = 'https://orders.example'
const opaqueIdentifier = 'https://opaque.example'
await server.createResource(identifier, 'read write', { acceptsBasic: true })
await server.createResource(opaqueIdentifier, 'view', { tokenFormat: 'opaque' })
const service = await server.createService('read write view')
const owner = { kind: 'client', id: service.clientId } as const
const orders = await createTestGateway(server, 'orders', {
  resource: identifier,
  scope: ['read'],
  accept: ['access-token', 'api-key', 'basic'],
  forwardsAddress: true,
})
const opaque = await createTestGateway(server, 'opaque', { resource: opaqueIdentifier, scope: ['view'] })
await beside.refresh()

async function tokenFor(scope = 'read', client = service): Promise<string> {
  const reply = await postAs(server, client, '/token', { grant_type: 'client_credentials', scope })
  if (reply.statusCode !== 200) throw new Error(reply.body)
  return reply.json().access_token
}

async function makeKey(more: Partial<Parameters<typeof createApiKey>[1]> = {}) {
  const { key, text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], ...more }, by)
  return { id: key.id, text, bearer: { authorization: `Bearer ${text}` } }
}

const passedOn = (reply: { headers: Record<string, unknown> }): string =>
  String(reply.headers['authorization']).replace('Bearer ', '')

const seconds = (): number => Math.floor(clock.now().getTime() / 1000)

t.test('a JWT is exchanged for one that lives for a minute', async (t) => {
  const token = await tokenFor('read write')
  const reply = await orders.ask({ authorization: `Bearer ${token}` })
  t.match(reply, { statusCode: 200, body: '' })
  t.equal(reply.headers['cache-control'], 'no-store')
  t.equal(reply.headers['content-length'], '0')
  const { payload, protectedHeader } = await jwtVerify(
    passedOn(reply),
    createLocalJWKSet(ctx.keys.jwks() as Parameters<typeof createLocalJWKSet>[0]),
    { typ: 'gateway+jwt', issuer: ctx.config.server.issuer, audience: identifier, currentDate: clock.now() },
  )
  t.equal(protectedHeader.typ, 'gateway+jwt')
  t.match(payload, {
    sub: service.clientId,
    client_id: service.clientId,
    scope: 'read write',
    credential: 'access_token',
    iat: seconds(),
    exp: seconds() + 60,
  })
  t.not(payload.jti, claimsOf(token)['jti'])
})

t.test('by every method, whatever path and body follow', async (t) => {
  const authorization = `Bearer ${await tokenFor()}`
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'] as const) {
    for (const path of ['', '/', '/orders/1?x=%zz', '?scope=write']) {
      const payload = method === 'POST' ? '{"a":1}' : undefined
      const headers = { authorization, 'content-type': 'application/json', 'content-encoding': 'br' }
      t.equal((await orders.ask(headers, { method, path, payload })).statusCode, 200, `${method} ${path}`)
    }
  }
})

t.test('an opaque token is understood', async (t) => {
  const token = await tokenFor('view')
  t.match(token, /^oat_/)
  const reply = await opaque.ask({ authorization: `Bearer ${token}` })
  t.match(claimsOf(passedOn(reply)), { aud: opaqueIdentifier, scope: 'view', credential: 'access_token' })
})

t.test('an API key in either header; what has a successor says so', async (t) => {
  const key = await makeKey()
  for (const headers of [key.bearer, { 'x-api-key': key.text }]) {
    const reply = await orders.ask(headers)
    t.equal(reply.statusCode, 200)
    t.equal(reply.headers['deprecation'], undefined)
    t.match(claimsOf(passedOn(reply)), {
      sub: service.clientId,
      client_id: key.id,
      scope: 'read',
      credential: 'api_key',
    })
  }
  await rotateApiKey(ctx, key.id, { overlap: 3600, by })
  const reply = await orders.ask(key.bearer)
  t.equal(reply.headers['deprecation'], `@${seconds()}`, 'RFC 9745 §2')
  t.equal(Date.parse(String(reply.headers['sunset'])), (seconds() + 3600) * 1000, 'RFC 8594 §3')
})

t.test('a key that has a successor says so also where it lacks a scope, and past its tier', async (t) => {
  await createTier(ctx, 'single', { limit: 1, window: 60, burst: 1 }, by)
  await server.refresh()
  const fields = { deprecation: `@${seconds()}`, sunset: new Date((seconds() + 3600) * 1000).toUTCString() }
  const [lacking, limited] = [await makeKey({ scope: ['write'] }), await makeKey({ tier: 'single' })]
  for (const { id } of [lacking, limited]) await rotateApiKey(ctx, id, { overlap: 3600, by })
  for (const _ of ['asked', 'remembered']) {
    const reply = await orders.ask(lacking.bearer)
    t.match(reply, { statusCode: 403, headers: { ...fields, 'www-authenticate': /insufficient_scope/ } })
  }
  t.match(await orders.ask(limited.bearer), { statusCode: 200, headers: { ...fields, ratelimit: /^"single";r=0/ } })
  const over = await orders.ask(limited.bearer)
  t.match(over, { statusCode: 429, headers: { ...fields, ratelimit: /^"single";r=0/, 'retry-after': /^\d+$/ } })
})

t.test('attack 116: what is passed on for a key says by what it can be ended', async (t) => {
  const { id, bearer } = await makeKey()
  t.match(claimsOf(passedOn(await orders.ask(bearer))), { client_id: id, key_owner: 'client', key_prefix: 'sk' })
})

t.test('attack 117: a key, and a service account, are counted by their tiers, remembered or not', async (t) => {
  await createTier(ctx, 'pair', { limit: 2, window: 60, burst: 2 }, by)
  const { bearer } = await makeKey({ tier: 'pair' })
  const slow = await server.createService('read', { rate_tier: 'pair' })
  await beside.refresh()
  for (const headers of [bearer, { authorization: slow.basic }]) {
    for (const left of [1, 0]) {
      const reply = await orders.ask(headers)
      t.equal(reply.statusCode, 200)
      t.match(reply.headers['ratelimit'], `"pair";r=${left};`)
    }
    const refused = await orders.ask(headers)
    t.equal(refused.statusCode, 429)
    t.match(refused.headers['retry-after'], /^\d+$/)
  }
})

t.test(
  'attack 117: a key that lacks the scope is counted by its tier; what its tier refuses is in its usage',
  async (t) => {
    await createTier(ctx, 'two', { limit: 2, window: 60, burst: 2 }, by)
    const { id, bearer } = await makeKey({ scope: ['write'], tier: 'two' })
    const slow = await server.createService('read', { rate_tier: 'two' })
    await server.refresh()
    const ask = async (headers: Readonly<Record<string, string>>) => (await orders.ask(headers)).statusCode
    const asked = [await ask(bearer), await ask(bearer), await ask(bearer), await ask(bearer)]
    t.same(asked, [403, 403, 429, 429])
    const shown = { authorization: slow.basic }
    t.same([await ask(shown), await ask(shown), await ask(shown)], [200, 200, 429])
    await ctx.usage.flush()
    const outcomes = async (credential: string) =>
      (
        await sql(
          server,
          `SELECT outcome, sum(count)::int AS uses FROM usage_count WHERE credential = $1 AND scope = '' GROUP BY 1 ORDER BY 1`,
          [credential],
        )
      ).map(({ outcome, uses }) => [outcome, uses])
    t.same(await outcomes(id), [
      ['insufficient_scope', 2],
      ['rate_limited', 2],
    ])
    t.same(await outcomes(slow.clientId), [
      ['accepted', 2],
      ['rate_limited', 1],
    ])
  },
)

t.test('an end of the signing key ends what is remembered', async (t) => {
  const { bearer } = await makeKey()
  const before = passedOn(await orders.ask(bearer))
  t.equal(passedOn(await orders.ask(bearer)), before)
  const [kid = ''] = [JSON.parse(Buffer.from(before.split('.')[0] ?? '', 'base64url').toString()).kid]
  await ctx.keys.end([kid], by)
  await server.refresh()
  const after = passedOn(await orders.ask(bearer))
  t.not(JSON.parse(Buffer.from(after.split('.')[0] ?? '', 'base64url').toString()).kid, kid)
  await beside.refresh()
})

t.test('a key is good from its networks and pages alone, remembered or not', async (t) => {
  const bound = await makeKey({ networks: ['192.0.2.0/24'] })
  const from = async (address?: string) =>
    (await orders.ask({ ...bound.bearer, 'x-forwarded-for': address })).statusCode
  t.equal(await from('198.51.100.1, 192.0.2.7'), 200, 'the last one is what the gateway wrote')
  t.equal(await from('192.0.2.7, 198.51.100.1'), 401)
  t.equal(await from('192.0.2.7, nonsense'), 401)
  t.equal(await from(), 401)

  const page = await makeKey({ kind: 'publishable', origins: ['https://shop.example'] })
  t.equal((await orders.ask({ ...page.bearer, origin: 'https://shop.example' })).statusCode, 200)
  t.equal((await orders.ask({ ...page.bearer, origin: 'https://evil.example' })).statusCode, 401)
  t.equal((await orders.ask(page.bearer)).statusCode, 401)

  const blind = await createTestGateway(server, 'blind', { resource: identifier, scope: ['read'] })
  const reply = await blind.ask({ ...bound.bearer, 'x-forwarded-for': '192.0.2.7' })
  t.equal(reply.statusCode, 401, 'a gateway that does not say addresses is not asked for them')
})

t.test('RFC 7617: a service account by its password, where that is accepted', async (t) => {
  const reply = await orders.ask({ authorization: service.basic })
  t.match(claimsOf(passedOn(reply)), { sub: service.clientId, scope: 'read write', credential: 'basic' })
  const wrong = await orders.ask({ authorization: service.basic.slice(0, -8), 'x-forwarded-for': '203.0.113.9' })
  t.equal(wrong.statusCode, 401)
  t.equal(
    wrong.headers['www-authenticate'],
    `Bearer realm="${ctx.config.server.issuer}", Basic realm="${ctx.config.server.issuer}", charset="UTF-8"`,
  )
  const application = await server.createClient({ scope: 'read' })
  t.equal((await orders.ask({ authorization: application.basic })).statusCode, 401, 'an application is none')
  t.equal((await orders.ask({ authorization: orders.basic })).statusCode, 401, 'nor is the gateway itself')
  t.equal((await opaque.ask({ authorization: service.basic })).statusCode, 401, 'not accepted here')
})

t.test('a password is accepted while its API has Basic on, by the gateway that is registered for it', async (t) => {
  const api = 'https://switched.example'
  await server.createResource(api, 'open', { acceptsBasic: true })
  const both = await createTestGateway(server, 'both', { resource: api, scope: ['open'], accept: ['api-key', 'basic'] })
  const alone = await createTestGateway(server, 'alone', { resource: api, scope: ['open'], accept: ['basic'] })
  const account = await server.createService('open', { allowed_resources: [api] })
  const shown = { authorization: account.basic }
  t.same([(await both.ask(shown)).statusCode, (await alone.ask(shown)).statusCode], [200, 200])

  const { warnings } = await updateResource(ctx, api, { acceptsBasic: false }, { by })
  t.same(
    warnings,
    ['alone', 'both'].map((name) => `The gateway ${name} is registered for passwords, and refuses them from now on.`),
  )
  const realm = `Bearer realm="${ctx.config.server.issuer}"`
  // More than one account has of wrong ones.
  for (let attempt = 0; attempt < 12; attempt++) {
    const refused = await both.ask({ authorization: attempt % 2 ? account.basic : account.basic.slice(0, -8) })
    t.match(refused, { statusCode: 401, body: '' })
    t.equal(refused.headers['www-authenticate'], realm, 'what is refused is not offered')
  }
  t.equal((await both.ask()).headers['www-authenticate'], realm)
  const none = await alone.ask(shown)
  t.match(none, { statusCode: 503, headers: { 'retry-after': '60' } }, 'RFC 9110 §15.5.2: a 401 names what would do')
  t.match(await alone.ask(), { statusCode: 503 })
  t.match(await alone.ask({ authorization: 'Bearer nothing' }), { statusCode: 503 })
  const events = (await server.audit('token.refused')).filter(({ reason }) => reason === 'basic_off')
  t.same(
    events.map(({ actor, count, detail }) => ({ actor, count, ...detail })),
    [
      { actor: `client:${both.clientId}`, count: 12, gateway: 'both', resource: api },
      { actor: `client:${alone.clientId}`, count: 1, gateway: 'alone', resource: api },
    ],
  )
  const guesses = await server.audit('client.authentication_failed')
  t.notOk(guesses.some(({ clientId }) => clientId === account.clientId))

  await t.rejects(updateGateway(ctx, 'both', { accept: ['basic'] }, by), { message: /--accepts-basic` switches it on/ })
  t.match(await updateGateway(ctx, 'both', { tokenLifetime: 30 }, by), { accept: ['api-key', 'basic'] })
  await updateResource(ctx, api, { acceptsBasic: true }, { by })
  t.same([(await both.ask(shown)).statusCode, (await alone.ask(shown)).statusCode], [200, 200])
})

t.test(
  'RFC 7617 §4: a password is taken by https, or on the machine of the gateway, as the gateway says',
  async (t) => {
    const blind = await createTestGateway(server, 'unsaid', {
      resource: identifier,
      scope: ['read'],
      accept: ['basic'],
    })
    const key = await makeKey()
    const far = '203.0.113.50'
    const show = (gateway: typeof orders, says: string, more: Readonly<Record<string, string>> = {}) =>
      gateway.ask({ authorization: service.basic, ...more, 'x-gateway-authorization': `${gateway.basic}${says}` })
    for (const says of [`; for=${far}; proto=https`, '; proto=https', '; for=127.0.0.1', '; for=::1; proto=http']) {
      t.equal((await show(orders, says)).statusCode, 200, says)
    }
    t.equal((await show(orders, '', { 'x-forwarded-for': '127.0.0.1' })).statusCode, 200)
    t.equal((await show(orders, '; by=10.0.0.1;proto=https')).statusCode, 200)
    t.equal((await show(blind, '; proto=https')).statusCode, 200, 'no address is needed for that')
    const refused = [
      [orders, `; for=${far}; proto=http`],
      [orders, `; for=${far}; proto=`],
      [orders, `; for=${far}; proto=https, http`],
      [orders, `; for=${far}`],
      [orders, ''],
      [blind, '; for=127.0.0.1'],
    ] as const
    const failures = (await server.audit('client.authentication_failed')).length
    for (const [gateway, says] of refused) {
      // Whoever sends these, or a proxy on the way, is not the gateway.
      for (const more of [
        undefined,
        { 'x-forwarded-proto': 'https', forwarded: 'proto=https', 'x-forwarded-ssl': 'on' },
      ]) {
        const reply = await show(gateway, says, more)
        t.equal(reply.statusCode, 401, says)
        t.match(reply.json(), { error: 'invalid_request', error_description: 'A password is accepted by https alone.' })
      }
    }
    const events = (await server.audit('token.refused')).filter(({ reason }) => reason?.startsWith('transport_'))
    t.same(
      new Set(events.map(({ actor, reason, count, detail }) => `${actor} ${detail?.['gateway']} ${reason} ${count}`)),
      new Set([
        `client:${orders.clientId} orders transport_insecure 6`,
        `client:${orders.clientId} orders transport_not_said 4`,
        `client:${blind.clientId} unsaid transport_not_said 2`,
      ]),
    )
    t.equal((await server.audit('client.authentication_failed')).length, failures, 'none of them was looked at')
    t.equal((await show(orders, `; for=${far}; proto=http`, key.bearer)).statusCode, 200, 'keys are the API’s own care')
    for (const says of ['; proto=https; for=10.0.0.1', '; proto=https; proto=https', '; scheme=https']) {
      t.equal((await show(orders, says)).statusCode, 400, says)
    }
  },
)

t.test('a service account has a generated password: one that a person may have chosen is refused', async (t) => {
  const chosen = { redirect_uris: undefined, grant_types: ['client_credentials'], scope: 'read' }
  const account = await server.createClient({ ...chosen, client_secret: 'Tr0ub4dor&3' }, true)
  t.equal((await orders.ask({ authorization: account.basic })).statusCode, 401)
  const { clientId } = account
  const refusals = (await server.audit('client.authentication_failed')).filter((event) => event.clientId === clientId)
  t.match(refusals, [{ reason: 'client_secret_chosen' }])
  const { clientSecret } = await rotateSecret(ctx, clientId, { by })
  t.equal((await orders.ask({ authorization: basicOf(clientId, clientSecret) })).statusCode, 200)
})

t.test('what is remembered of a password knows that it was rotated, and ends with the overlap', async (t) => {
  const account = await server.createService('read')
  const show = (at: TestServer, secret = account.clientSecret) =>
    orders.ask({ authorization: basicOf(account.clientId, secret) }, { at })
  for (const at of [server, beside]) t.equal((await show(at)).statusCode, 200)
  const { clientSecret } = await rotateSecret(ctx, account.clientId, { overlap: 5, by })
  // By the list alone, as where the notification was lost.
  await beside.ctx.revocations.refresh()
  for (const at of [server, beside]) {
    t.equal(claimsOf(passedOn(await show(at)))['exp'], seconds() + 5, 'nothing that is passed on outlives it')
  }
  clock.advance(5)
  for (const at of [server, beside]) {
    t.equal((await show(at)).statusCode, 401)
    t.equal((await show(at, clientSecret)).statusCode, 200)
  }
  await rotateSecret(ctx, account.clientId, { overlap: 0, by })
  await beside.ctx.revocations.refresh()
  for (const at of [server, beside]) t.equal((await show(at, clientSecret)).statusCode, 401, 'at once')
})

t.test('what is lacking is said by challenges that every proxy passes on', async (t) => {
  const realm = `realm="${ctx.config.server.issuer}"`
  const none = await orders.ask()
  t.match(none, { statusCode: 401, body: '' })
  t.equal(
    none.headers['www-authenticate'],
    `Bearer ${realm}, Basic ${realm}, charset="UTF-8"`,
    'RFC 6750 §3.1: no error',
  )
  t.equal((await opaque.ask()).headers['www-authenticate'], `Bearer ${realm}`)
  const wrong = await opaque.ask({ authorization: 'Bearer nonsense' })
  t.match(wrong.headers['www-authenticate'], /^Bearer realm="[^"]+", error="invalid_token", error_description="[^"]+"$/)
  const lacking = await orders.ask({ authorization: `Bearer ${await tokenFor('write')}` })
  t.match(lacking, { statusCode: 403, headers: { 'cache-control': 'no-store' } })
  t.match(lacking.headers['www-authenticate'], /^Bearer .*error="insufficient_scope".*, scope="read"$/)
  t.equal((await orders.ask({ authorization: 'Digest x' })).statusCode, 401)
  for (const headers of [
    { authorization: `Bearer ${await tokenFor()}`, 'x-api-key': (await makeKey()).text },
    { authorization: [`Bearer ${await tokenFor()}`, `Bearer ${await tokenFor()}`] },
    { authorization: 'Bearer a b' },
  ]) {
    const reply = await orders.ask(headers)
    t.equal(reply.statusCode, 401, 'a proxy would take 400 for a failure of ours')
    t.match(reply.headers['www-authenticate'], /error="invalid_request"/)
  }
})

t.test('it is asked once for the first half of what is passed on', async (t) => {
  const key = await makeKey()
  const first = await orders.ask(key.bearer)
  clock.advance(29)
  let reply = first
  const lookups = await lookupsOf(server, async () => {
    reply = await orders.ask(key.bearer)
  })
  t.same(lookups, [], 'no statement')
  t.equal(passedOn(reply), passedOn(first))
  clock.advance(2)
  t.not(passedOn(await orders.ask(key.bearer)), passedOn(first))
})

t.test('what is passed on ends with the credential at the latest', async (t) => {
  const key = await makeKey({ lifetime: 60 })
  clock.advance(45)
  const { exp, iat } = claimsOf(passedOn(await orders.ask(key.bearer)))
  t.ok(Number(exp) - Number(iat) <= 15)
  clock.advance(15)
  t.equal((await orders.ask(key.bearer)).statusCode, 401)
  const short = await createTestGateway(server, 'short', { resource: identifier, scope: ['read'], tokenLifetime: 5 })
  const token = claimsOf(passedOn(await short.ask({ authorization: `Bearer ${await tokenFor()}` })))
  t.equal(Number(token['exp']) - Number(token['iat']), 5)
})

/** What another process remembers, after it has looked into the list. */
async function isRefusedAfter(end: () => Promise<unknown>, headers: { authorization: string }, at: TestServer) {
  if ((await orders.ask(headers, { at })).statusCode !== 200) throw new Error('it was not good before')
  await end()
  await at.ctx.revocations.refresh()
  return (await orders.ask(headers, { at })).statusCode === 401
}

t.test('attack 115: whatever ends a credential ends what is remembered, at every process', async (t) => {
  const token = await tokenFor()
  const bearer = { authorization: `Bearer ${token}` }
  t.ok(await isRefusedAfter(() => revokeAt(server, service, token), bearer, beside), 'a token')
  const key = await makeKey()
  t.ok(await isRefusedAfter(() => endApiKey(ctx, key.id, { cause }), key.bearer, beside), 'a key')
  const rotated = await makeKey()
  t.ok(await isRefusedAfter(() => rotateApiKey(ctx, rotated.id, { overlap: 0, by }), rotated.bearer, beside))
  for (const set of [{ kind: 'owner', owner }, { kind: 'prefix', prefix: 'sk' }, { kind: 'all' }] as const) {
    const each = await makeKey()
    t.ok(await isRefusedAfter(() => endApiKeys(ctx, set, { cause }), each.bearer, beside), set.kind)
  }
  const leaving = await server.createService('read')
  const theirs = await makeKey({ owner: { kind: 'client', id: leaving.clientId } })
  t.ok(await isRefusedAfter(() => disableClient(ctx, leaving.clientId, by), theirs.bearer, beside), 'its owner')
})

t.test('a role that is withdrawn takes the scope at the next look into the list', async (t) => {
  const guarded = 'https://guarded.example'
  await server.createResource(guarded, 'audit', { acceptsBasic: true })
  await createRole(ctx, { resource: guarded, name: 'auditor', scope: ['audit'] }, by)
  const holder = await server.createService('audit')
  await grantRole(ctx, guarded, 'auditor', { kind: 'client', holder: holder.clientId }, by)
  const gateway = await createTestGateway(server, 'guarded', {
    resource: guarded,
    scope: ['audit'],
    accept: ['api-key', 'basic'],
  })
  const key = await makeKey({ owner: { kind: 'client', id: holder.clientId }, scope: ['audit'] })
  const ask = async () => [
    (await gateway.ask(key.bearer)).statusCode,
    (await gateway.ask({ authorization: holder.basic })).statusCode,
  ]
  t.same(await ask(), [200, 200])
  await withdrawRole(ctx, guarded, 'auditor', { kind: 'client', holder: holder.clientId }, by)
  await server.refresh()
  t.same(await ask(), [403, 403])
})

t.test('what is required is that of the registration, from the next request on', async (t) => {
  const gateway = await createTestGateway(server, 'changing', { resource: identifier, scope: ['read'] })
  const headers = { authorization: `Bearer ${await tokenFor()}` }
  t.equal((await gateway.ask(headers)).statusCode, 200)
  await updateGateway(ctx, 'changing', { scope: ['write'] }, by)
  t.equal((await gateway.ask(headers)).statusCode, 403)
  await updateGateway(ctx, 'changing', { scope: ['read'], accept: ['api-key'] }, by)
  t.equal((await gateway.ask(headers)).statusCode, 401)
  await deleteGateway(ctx, 'changing', by)
  t.equal((await gateway.ask(headers)).statusCode, 400)
})

t.test('503 with Retry-After while nothing can be said', async (t) => {
  const { pool } = ctx.db
  const query = pool.query
  const key = await makeKey()
  pool.query = (() => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' }))) as typeof query
  try {
    const reply = await orders.ask(key.bearer)
    t.equal(reply.statusCode, 503)
    t.match(reply.headers['retry-after'], /^\d+$/)
  } finally {
    pool.query = query
  }
})
