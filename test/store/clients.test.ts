import t from 'tap'
import {
  deleteClient,
  disableClient,
  enableClient,
  findClient,
  registerClient,
  rotateSecret,
  toRegistration,
  updateClient,
} from '../../src/clients/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import type { Context } from '../../src/context.js'
import { revoke } from '../../src/revocation/index.js'
import { clients, isUniqueViolation, partitions, revocations } from '../../src/store/index.js'

import { refused } from '../support/refused.js'
import { basicOf, createTestServer, registration, sql } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server
const by = { actor: 'operator' }
const service = { grant_types: ['client_credentials'] }

t.test('RFC 7591 §2: what was registered is read back, every field of it', async (t) => {
  const metadata = {
    client_id: 'shop',
    client_name: 'Shop',
    client_uri: 'https://shop.example',
    logo_uri: 'https://shop.example/logo.png',
    policy_uri: 'https://shop.example/policy',
    tos_uri: 'https://shop.example/terms',
    contacts: ['ops@shop.example'],
    application_type: 'web',
    redirect_uris: ['https://shop.example/cb', 'https://shop.example/other'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
    scope: 'openid nobody:owns',
    default_scope: 'openid',
    required_scope: 'openid',
    jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] },
    require_pkce: false,
    first_party: true,
    allowed_origins: ['https://shop.example'],
    allowed_resources: ['https://api.example'],
    access_token_lifetime: 120,
    refresh_token_idle_lifetime: 3600,
    refresh_token_lifetime: 7200,
    refresh_token_rotation: false,
    refresh_token_retry_window: 60,
    software_id: 'shop-web',
    software_version: '1.2.3',
  }
  const { client, clientSecret } = await registerClient(ctx, metadata, registration)
  const registered = toRegistration(client, clientSecret)
  t.match(registered, metadata)
  t.equal(registered.client_secret_expires_at, 0, 'RFC 7591 §3.2.1')
  t.equal(registered.client_id_issued_at, ctx.clock.now().getTime() / 1000)
  t.notHas(toRegistration(await findClient(ctx, 'shop')), { client_secret: /./ })

  const listed = (await clients.list(ctx.db)).find(({ clientId }) => clientId === 'shop')
  t.ok(listed)
  if (listed) t.same(toRegistration(listed), toRegistration(client), 'the list reads what the look-up reads')
})

t.test('a look-up reads every column, and none that the next release adds', async (t) => {
  const { clientId } = await server.createClient({ client_name: 'Columns' })
  const find = () => clients.find(ctx.db, clientId)
  const { secrets: _, roles: __, resourceServerOf: ___, gateway: ____, shownHash: _____, ...found } = (await find())!
  t.same(Object.keys(found).sort(), Object.keys((await clients.list(ctx.db))[0]!).sort())
  t.same(
    found,
    (await clients.list(ctx.db)).find((client) => client.clientId === clientId),
  )
  await sql(server, 'ALTER TABLE client ADD COLUMN of_the_next_release BYTEA')
  // Each connection has the statement prepared.
  await Promise.all(Array.from({ length: 40 }, find))
  await sql(server, 'ALTER TABLE client DROP COLUMN of_the_next_release')
  t.ok(await Promise.all(Array.from({ length: 40 }, find)))
})

t.test('a client_id and a secret are drawn where none is brought', async (t) => {
  const { client, clientSecret = '' } = await registerClient(ctx, service, registration)
  t.match(client.clientId, /^[0-9a-f-]{36}$/)
  t.match(clientSecret, /^[\w-]{43}$/)
  t.match(client.secrets, [{ method: 'hmac-sha256', expiresAt: undefined, lastUsedAt: undefined }])
  const events = await server.audit('client.created')
  t.match(
    events.filter((event) => event.clientId === client.clientId),
    [{ actor: 'operator' }],
  )

  const reachable = await sql(server, 'SELECT * FROM client_secret')
  t.notMatch(JSON.stringify(reachable), clientSecret, 'and the database does not hold it')
})

t.test('a public client has no secret', async (t) => {
  const metadata = { token_endpoint_auth_method: 'none', redirect_uris: ['https://spa.example/cb'] }
  const { client, clientSecret } = await registerClient(ctx, metadata, registration)
  t.equal(clientSecret, undefined)
  t.same(client.secrets, [])
  t.notOk('client_secret_expires_at' in toRegistration(client))
  await refused(t, rotateSecret(ctx, client.clientId, { by }), { kind: 'conflict' })
})

t.test('a brought secret works as it is; a weak one needs a word, and is kept under argon2id', async (t) => {
  const strong = 's'.repeat(32)
  await registerClient(ctx, { ...service, client_id: 'strong', client_secret: strong }, registration)
  t.match((await findClient(ctx, 'strong')).secrets, [{ method: 'hmac-sha256' }])

  const weak = { ...service, client_id: 'weak', client_secret: 'tea time at four' }
  await refused(t, registerClient(ctx, weak, registration), {
    code: 'invalid_client_metadata',
    reason: 'client_secret_weak',
    message: /32 characters/,
  })
  t.equal(await clients.find(ctx.db, 'weak'), undefined, 'a refusal registers nothing')
  await registerClient(ctx, weak, { ...registration, allowWeakSecret: true })
  const [secret] = (await findClient(ctx, 'weak')).secrets
  t.equal(secret?.method, 'argon2id')
  t.match(secret?.hash.toString(), /^\$argon2id\$/)

  for (const [client_id, client_secret] of [
    ['strong', strong],
    ['weak', weak.client_secret],
  ] as const) {
    const reply = await server.post(
      '/token',
      { grant_type: 'client_credentials' },
      basicHeader(client_id, client_secret),
    )
    t.equal(reply.statusCode, 200, client_id)
  }
})

t.test('RFC 9700 §4.15: a client cannot be called like a user', async (t) => {
  const { id } = await server.createUser()
  for (const client_id of [id, id.toUpperCase()]) {
    await refused(t, registerClient(ctx, { ...service, client_id }, registration), {
      kind: 'conflict',
      message: /is the id of a user/,
    })
  }
})

t.test('a client_id is taken once, however many ask at once', async (t) => {
  const metadata = { ...service, client_id: 'wanted' }
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => registerClient(ctx, metadata, registration)))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { kind: 'conflict', message: /wanted exists already/ })
  }
})

t.test('a unique violation is told from other errors', async (t) => {
  const { client } = await registerClient(ctx, service, registration)
  const error: unknown = await clients.create(ctx.db, client, undefined).catch((reason) => reason)
  t.ok(isUniqueViolation(error))
  t.notOk(isUniqueViolation(new Error('another')))
})

t.test('scopes that no resource owns are kept; default_scope spans one resource', async (t) => {
  await server.createResource('https://a.example', 'read write')
  await server.createResource('https://b.example', 'read pay')
  const register = (metadata: object) => registerClient(ctx, { ...service, ...metadata }, registration)

  const { client } = await register({ scope: 'read pay someday', default_scope: 'pay someday' })
  t.same(client.scope, ['read', 'pay', 'someday'])
  t.same(client.defaultScope, ['pay', 'someday'])

  for (const default_scope of ['write pay', 'read']) {
    await refused(
      t,
      register({ scope: 'read write pay', default_scope }),
      { code: 'invalid_client_metadata', reason: 'default_scope_ambiguous' },
      default_scope,
    )
  }
  await t.resolves(
    register({ scope: 'read', default_scope: 'read', allowed_resources: ['https://b.example'] }),
    'what the client cannot reach does not count',
  )
})

t.test('an update replaces what it names, and null takes it back', async (t) => {
  const keys = { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] }
  await registerClient(ctx, { ...service, client_id: 'c9', client_name: 'Old', scope: 'a b', jwks: keys }, registration)
  const { client, clientSecret } = await updateClient(
    ctx,
    'c9',
    { client_name: 'New', scope: 'b c', jwks: null, access_token_lifetime: 90 },
    registration,
  )
  t.equal(clientSecret, undefined, 'the secret stays')
  t.match(client, {
    clientName: 'New',
    scope: ['b', 'c'],
    accessTokenLifetime: 90,
    grantTypes: ['client_credentials'],
  })
  t.equal(client.jwks, undefined)
  t.match((await server.audit('client.updated')).at(-1)?.detail, {
    changed: ['client_name', 'scope', 'jwks', 'access_token_lifetime'],
  })
  await refused(t, updateClient(ctx, 'nobody', {}, registration), { kind: 'not_found', noun: 'client' })
  await refused(t, updateClient(ctx, 'c9', { clientname: 'x' }, registration), { code: 'invalid_client_metadata' })
})

t.test('a client that becomes public loses its secret, and one that becomes confidential gets one', async (t) => {
  await registerClient(ctx, { client_id: 'c10', redirect_uris: ['https://app.example/cb'] }, registration)
  const open = await updateClient(ctx, 'c10', { token_endpoint_auth_method: 'none' }, registration)
  t.same(open.client.secrets, [])
  const closed = await updateClient(ctx, 'c10', { token_endpoint_auth_method: 'client_secret_basic' }, registration)
  t.match(closed.clientSecret, /^[\w-]{43}$/)
  t.equal(closed.client.secrets.length, 1)
})

t.test('attack 70: a rotated secret works inside its overlap, and not outside of it', async (t) => {
  const { clientId, clientSecret: first } = await server.createService()
  const works = async (secret: string) => {
    const reply = await server.post('/token', { grant_type: 'client_credentials' }, basicHeader(clientId, secret))
    return reply.statusCode === 200
  }
  const { clientSecret: second, client } = await rotateSecret(ctx, clientId, { overlap: 60, by })
  t.equal(client.secrets.length, 2)
  t.same([await works(first), await works(second)], [true, true])
  server.clock.advance(60)
  t.same([await works(first), await works(second)], [false, true])

  const { clientSecret: third } = await rotateSecret(ctx, clientId, { overlap: 0, by })
  t.same([await works(second), await works(third)], [false, true], 'without an overlap the old one ends at once')
  t.equal((await secretsOf(ctx, clientId)).length, 1)
})

t.test('never more than two secrets are live: of three rotations, raced or not, the oldest end', async (t) => {
  const { clientId, clientSecret: first } = await server.createService()
  const rotations = await Promise.all(
    Array.from({ length: 4 }, () => rotateSecret(ctx, clientId, { overlap: 3600, by })),
  )
  const secrets = await secretsOf(ctx, clientId)
  t.equal(secrets.length, 2)
  t.equal(secrets.filter(({ expiresAt }) => expiresAt === undefined).length, 1)
  const works = await Promise.all(
    [first, ...rotations.map(({ clientSecret }) => clientSecret)].map(async (secret) => {
      const reply = await server.post('/token', { grant_type: 'client_credentials' }, basicHeader(clientId, secret))
      return reply.statusCode === 200
    }),
  )
  t.equal(works[0], false)
  t.equal(works.filter(Boolean).length, 2)
  for (const overlap of [-1, 0.5, 30 * 86_400 + 1]) {
    await refused(t, rotateSecret(ctx, clientId, { overlap, by }), { kind: 'invalid' })
  }
})

t.test('the last use of each secret is written behind', async (t) => {
  const { clientId, basic } = await server.createService()
  t.equal((await secretsOf(ctx, clientId))[0]?.lastUsedAt, undefined)
  await server.post('/token', { grant_type: 'client_credentials' }, { authorization: basic })
  await ctx.clientUse.flush()
  t.same((await secretsOf(ctx, clientId))[0]?.lastUsedAt, server.clock.now())
  t.same((await findClient(ctx, clientId)).lastUsedAt, server.clock.now())
})

t.test('a disabled client gets nothing and has nothing; enabled, it has only what comes after', async (t) => {
  const { clientId, basic } = await server.createService()
  const ask = () => server.post('/token', { grant_type: 'client_credentials' }, { authorization: basic })
  const isActive = async (token: string) =>
    (await server.post('/introspect', { token }, { authorization: basic })).json().active

  const before = (await ask()).json().access_token
  t.equal(await disableClient(ctx, clientId, by), true)
  t.equal(await disableClient(ctx, clientId, by), false, 'it is disabled once')
  t.match((await ask()).json(), { error: 'invalid_client' })
  t.match(ctx.revocations.find({ kind: 'client', target: clientId }), { terminal: true })

  server.clock.advance(2)
  t.equal(await enableClient(ctx, clientId, by), true)
  t.equal(await enableClient(ctx, clientId, by), false)
  t.equal(await isActive(before), false)
  server.clock.advance(1)
  t.equal(await isActive((await ask()).json().access_token), true)
  t.same(
    (await server.audit('client.'))
      .filter((event) => event.clientId === clientId && event.actor === 'operator')
      .map(({ type }) => type)
      // Of one instant: in no order.
      .sort(),
    ['client.created', 'client.disabled', 'client.enabled'],
    'and each act is one event',
  )
})

t.test('a deleted client leaves nothing; another one by its name has none of what was its', async (t) => {
  const { basic } = await server.createService('', { client_id: 'name', client_secret: 's'.repeat(40) })
  const ask = () => server.post('/token', { grant_type: 'client_credentials' }, { authorization: basic })
  const isActive = async (token: string) =>
    (await server.post('/introspect', { token }, { authorization: basic })).json().active
  const before = (await ask()).json().access_token
  t.equal(await isActive(before), true)

  await disableClient(ctx, 'name', by)
  await deleteClient(ctx, 'name', by)
  t.equal(await clients.find(ctx.db, 'name'), undefined)
  t.same(await sql(server, 'SELECT id FROM client_secret WHERE client_id = $1', ['name']), [])
  t.match((await ask()).json(), { error: 'invalid_client' })
  const listed = await revocations.listBehind(ctx.db, 0n, ctx.clock.now(), 100)
  t.match(
    listed.filter(({ target }) => target === 'name'),
    [{ kind: 'client', terminal: true }],
  )
  await refused(t, deleteClient(ctx, 'name', by), { kind: 'not_found' })

  server.clock.advance(5)
  await server.createService('', { client_id: 'name', client_secret: 's'.repeat(40) })
  t.equal(await isActive(before), false)
  server.clock.advance(1)
  t.equal(await isActive((await ask()).json().access_token), true)
})

t.test('the client of a resource server goes with its resource, and stays confidential', async (t) => {
  const { resource } = await createResource(ctx, 'https://api.example', { scopes: [{ name: 'read' }] }, by)
  await refused(t, deleteClient(ctx, resource.clientId, by), { kind: 'conflict', message: /https:\/\/api\.example/ })
  await refused(t, updateClient(ctx, resource.clientId, { token_endpoint_auth_method: 'none' }, registration), {
    kind: 'conflict',
  })
})

t.test('a client with longer refresh tokens than all others has partitions for them at once', async (t) => {
  const lifetime = 300 * 86_400
  t.ok((await partitions.horizonOf(ctx.db, ctx.config)).grantLifetime < lifetime)
  const metadata = { redirect_uris: ['https://app.example/cb'], refresh_token_lifetime: lifetime }
  await registerClient(ctx, { ...metadata, client_id: 'long' }, registration)
  const horizon = await partitions.horizonOf(ctx.db, ctx.config)
  t.equal(horizon.grantLifetime, lifetime)
  t.same(await partitions.checkPartitions(ctx.db.pool, horizon, ctx.clock.now()), { missing: [], overflowing: [] })
})

t.test('two updates at once are one after the other: neither is lost', async (t) => {
  await registerClient(ctx, { ...service, client_id: 'c18' }, registration)
  await Promise.all([
    updateClient(ctx, 'c18', { client_name: 'Both' }, registration),
    updateClient(ctx, 'c18', { scope: 'a b' }, registration),
  ])
  t.match(await findClient(ctx, 'c18'), { clientName: 'Both', scope: ['a', 'b'] })
})

t.test('disabling and revoking at once do not wait for each other for ever', async (t) => {
  const { clientId } = await server.createService()
  const cause = { ...by, reason: 'test' }
  await t.resolves(
    Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        index % 2
          ? revoke(ctx, { kind: 'client', clientId }, cause)
          : index === 0
            ? disableClient(ctx, clientId, by)
            : enableClient(ctx, clientId, by),
      ),
    ),
  )
})

function basicHeader(clientId: string, secret: string): { authorization: string } {
  return { authorization: basicOf(clientId, secret) }
}

async function secretsOf(ctx: Context, clientId: string) {
  return (await findClient(ctx, clientId)).secrets
}
