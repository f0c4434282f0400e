import t from 'tap'
import { deleteResource, findClient } from '../../src/clients/index.js'
import { createResource } from '../../src/clients/resource-servers.js'
import { describeResource, findResource, listResources, updateResource } from '../../src/resources/index.js'
import { clients } from '../../src/store/index.js'
import { refused } from '../support/refused.js'
import { createTestServer, testIssuer } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server
const by = { actor: 'operator' }

t.test('RFC 8707: a resource is registered with the client of its resource server', async (t) => {
  const settings = {
    name: 'Orders',
    tokenFormat: 'opaque',
    tokenLifetime: 300,
    claims: ['roles', 'email'],
    scopes: [{ name: 'read', description: 'Read  your orders.', tokenLifetime: 120 }, { name: 'write' }],
  }
  const { resource, clientSecret, warnings } = await createResource(ctx, 'https://orders.example', settings, by)
  t.same(warnings, [])
  t.match(clientSecret, /^[\w-]{43}$/)
  t.match(describeResource(resource), {
    identifier: 'https://orders.example',
    name: 'Orders',
    scope: 'read write',
    scopes: [
      { name: 'read', description: 'Read your orders.', token_lifetime: 120 },
      { name: 'write', description: undefined },
    ],
    token_format: 'opaque',
    token_lifetime: 300,
    claims: ['roles', 'email'],
    uses_roles: false,
    accepts_basic: false,
  })
  t.notMatch(JSON.stringify(describeResource(resource)), clientSecret)
  t.same(ctx.resources.ownersOf('write'), ['https://orders.example'], 'this process knows it at once')

  const client = await findClient(ctx, resource.clientId)
  t.match(client, {
    clientName: 'Orders resource server',
    grantTypes: [],
    scope: [],
    tokenEndpointAuthMethod: 'client_secret_basic',
    resourceServerOf: 'https://orders.example',
  })
  const header = { authorization: `Basic ${Buffer.from(`${client.clientId}:${clientSecret}`).toString('base64')}` }
  t.same((await server.post('/introspect', { token: 'x' }, header)).json(), { active: false })
  t.match((await server.post('/token', { grant_type: 'client_credentials' }, header)).json(), {
    error: 'unauthorized_client',
  })
  const created = (await server.audit()).filter(({ clientId }) => clientId === client.clientId).map(({ type }) => type)
  t.same(created.filter((type) => type.endsWith('.created')).sort(), ['client.created', 'resource.created'])
})

t.test('an identifier is taken once, however many ask at once, and leaves no client behind', async (t) => {
  const before = (await clients.list(ctx.db)).length
  const results = await Promise.allSettled(
    Array.from({ length: 4 }, () => createResource(ctx, 'https://wanted.example', {}, by)),
  )
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { kind: 'conflict' })
  t.equal((await clients.list(ctx.db)).length, before + 1)
})

t.test('what may not be is refused, and nothing is written', async (t) => {
  const before = (await listResources(ctx)).length
  for (const identifier of [
    'api',
    'https://api.example#x',
    '/api',
    testIssuer,
    `https://${'a'.repeat(3000)}.example`,
  ]) {
    await refused(t, createResource(ctx, identifier, {}, by), { kind: 'invalid' }, identifier.slice(0, 40))
  }
  for (const settings of [
    { tokenFormat: 'saml' },
    { tokenLifetime: 59 },
    { tokenLifetime: 3601 },
    { signingAlg: 'none' },
    { signingAlg: 'HS256' },
    { claims: ['password_hash'] },
    { name: ' ' },
    { name: '\u200b' },
    { scopes: [{ name: 'openid' }] },
    { scopes: [{ name: 'offline_access' }] },
    { scopes: [{ name: 'a b' }] },
    { scopes: [{ name: 'a"b' }] },
    { scopes: [{ name: '' }] },
    { scopes: [{ name: 'a' }, { name: 'a' }] },
    { scopes: [{ name: 'a', tokenLifetime: 10 }] },
    { scopes: [{ name: 'a', description: '\u202e' }] },
  ]) {
    await refused(
      t,
      createResource(ctx, 'https://x.example', settings, by),
      { kind: 'invalid' },
      JSON.stringify(settings),
    )
  }
  t.equal((await listResources(ctx)).length, before)
})

t.test('the key of a signing algorithm is there before the first token asks for it', async (t) => {
  await createResource(ctx, 'https://eddsa.example', { signingAlg: 'EdDSA', scopes: [{ name: 'sign' }] }, by)
  t.ok(ctx.keys.list().some(({ alg }) => alg === 'EdDSA'))
  const { basic } = await server.createService('sign')
  const form = { grant_type: 'client_credentials', scope: 'sign' }
  const { access_token: token } = (await server.post('/token', form, { authorization: basic })).json()
  t.match(JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString()), { alg: 'EdDSA' })
})

t.test('a scope that another resource owns too is permitted, with a warning about who asks for it', async (t) => {
  await createResource(ctx, 'https://one.example', { scopes: [{ name: 'shared' }] }, by)
  await server.createService('shared')
  const { warnings } = await createResource(ctx, 'https://two.example', { scopes: [{ name: 'shared' }] }, by)
  t.equal(warnings.length, 1)
  t.match(
    warnings[0],
    /shared belongs to https:\/\/one\.example too.*parameter resource\. 1 client is registered for it/,
  )

  const changed = await updateResource(ctx, 'https://two.example', { name: 'Two' }, { by })
  t.same(changed.warnings, [], 'what was so before is not repeated')
})

t.test('an update replaces what it names, and takes back what is cleared', async (t) => {
  const identifier = 'https://change.example'
  const first = { name: 'A', tokenLifetime: 300, claims: ['name'], scopes: [{ name: 'a', description: 'A.' }] }
  const { resource: before } = await createResource(ctx, identifier, first, by)
  server.clock.advance(1)
  const { resource } = await updateResource(ctx, identifier, { tokenFormat: 'opaque', usesRoles: true }, { by })
  t.match(resource, { ...first, tokenFormat: 'opaque', usesRoles: true, clientId: before.clientId })
  t.same(resource.updatedAt, server.clock.now())

  const on = await updateResource(ctx, identifier, { acceptsBasic: true }, { by })
  t.equal(on.resource.acceptsBasic, true)
  t.equal(ctx.resources.find(identifier)?.acceptsBasic, true, 'this process knows it at once')
  t.equal((await listResources(ctx)).find((each) => each.identifier === identifier)?.acceptsBasic, true)
  const cleared = await updateResource(
    ctx,
    identifier,
    { scopes: [{ name: 'b' }] },
    { by, cleared: ['name', 'tokenLifetime'] },
  )
  t.equal(cleared.resource.acceptsBasic, true, 'what is not named stays')
  t.same([cleared.resource.name, cleared.resource.tokenLifetime], [undefined, undefined])
  t.same(cleared.resource.scopes, [{ name: 'b', description: undefined, tokenLifetime: undefined }])
  t.same(ctx.resources.ownersOf('a'), [])
  // Of one instant: in no order.
  const changes = (await server.audit('resource.updated')).map(({ detail }) => JSON.stringify(detail))
  t.ok(changes.includes(JSON.stringify({ changed: ['name', 'tokenLifetime', 'scopes'], resource: identifier })))
  await refused(t, updateResource(ctx, 'https://nobody.example', {}, { by }), { kind: 'not_found', noun: 'resource' })
})

t.test('two updates at once are one after the other: neither is lost', async (t) => {
  const identifier = 'https://race.example'
  await createResource(ctx, identifier, { scopes: [{ name: 'r' }] }, by)
  await Promise.all([
    updateResource(ctx, identifier, { name: 'Both' }, { by }),
    updateResource(ctx, identifier, { tokenLifetime: 77 }, { by }),
  ])
  t.match(await findResource(ctx, identifier), { name: 'Both', tokenLifetime: 77, scopes: [{ name: 'r' }] })
})

t.test('a deleted resource takes its client along, and no token is issued for it', async (t) => {
  const identifier = 'https://gone.example'
  const { resource } = await createResource(ctx, identifier, { scopes: [{ name: 'gone:read' }] }, by)
  const { basic } = await server.createService('gone:read')
  const form = { grant_type: 'client_credentials', scope: 'gone:read' }
  t.equal((await server.post('/token', form, { authorization: basic })).statusCode, 200)

  await deleteResource(ctx, identifier, by)
  t.equal(await clients.find(ctx.db, resource.clientId), undefined)
  t.match(ctx.revocations.find({ kind: 'client', target: resource.clientId }), { terminal: true })
  t.match((await server.post('/token', form, { authorization: basic })).json(), { error: 'invalid_scope' })
  await refused(t, deleteResource(ctx, identifier, by), { kind: 'not_found' })
  const types = (await server.audit()).filter(({ clientId }) => clientId === resource.clientId).map(({ type }) => type)
  t.ok(types.includes('resource.deleted') && types.includes('client.deleted'))
})
