import t from 'tap'
import {
  createRole,
  deleteRole,
  describeRole,
  findResource,
  findRole,
  grantRole,
  listRoles,
  updateResource,
  withdrawRole,
} from '../../src/resources/index.js'
import { roleTarget } from '../../src/revocation/index.js'
import { revocations, roles } from '../../src/store/index.js'
import { refused } from '../support/refused.js'
import { createTestServer, type TestClient } from '../support/server.js'

const server = await createTestServer(t)
const { ctx, clock } = server
const by = { actor: 'operator' }
const api = 'https://api.example'
const introspector = await server.createResource(api, 'read write')
await server.createResource('https://other.example', 'other')

async function tokenOf({ basic }: TestClient, scope: string): Promise<string> {
  const form = { grant_type: 'client_credentials', scope }
  const reply = await server.post('/token', form, { authorization: basic })
  return reply.json().access_token
}

async function introspect(token: string): Promise<{ active: boolean; scope?: string }> {
  return (await server.post('/introspect', { token }, { authorization: introspector.basic })).json()
}

t.test('with its first role a resource uses roles, and keeps doing so without any', async (t) => {
  t.equal((await findResource(ctx, api)).usesRoles, false)
  const first = await createRole(ctx, { resource: api, name: 'reader', scope: ['read'], description: 'Reads.' }, by)
  t.equal(first.turnedOn, true)
  t.match(describeRole(first.role), { resource: api, name: 'reader', scope: 'read', description: 'Reads.' })
  t.equal(ctx.resources.find(api)?.usesRoles, true, 'this process knows it at once')
  const second = await createRole(ctx, { resource: api, name: 'writer', scope: ['read', 'write'] }, by)
  t.equal(second.turnedOn, false)
  t.same(
    (await listRoles(ctx, api)).map(({ name }) => name),
    ['reader', 'writer'],
  )
  t.same(await listRoles(ctx, 'https://other.example'), [])

  await createRole(ctx, { resource: api, name: 'passing', scope: ['read'] }, by)
  await deleteRole(ctx, api, 'passing', by)
  t.equal((await findResource(ctx, api)).usesRoles, true)
  await updateResource(ctx, 'https://other.example', { usesRoles: true }, { by })
  t.match(await createRole(ctx, { resource: 'https://other.example', name: 'x', scope: ['other'] }, by), {
    turnedOn: false,
  })
})

t.test('a role is of one resource, with scopes that it has', async (t) => {
  for (const wrong of [
    { resource: api, name: 'r1', scope: ['other'] },
    { resource: api, name: 'r2', scope: [] },
    { resource: api, name: '', scope: ['read'] },
    { resource: api, name: 'two words', scope: ['read'] },
    { resource: api, name: 'r3', scope: ['read'], description: '\u202e' },
  ]) {
    await refused(t, createRole(ctx, wrong, by), { kind: 'invalid' }, JSON.stringify(wrong))
  }
  const raced = { resource: api, name: 'once', scope: ['read'] }
  const results = await Promise.allSettled(Array.from({ length: 4 }, () => createRole(ctx, raced, by)))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { kind: 'conflict' })
  await refused(t, createRole(ctx, { ...raced, resource: 'https://nobody.example' }, by), { noun: 'resource' })
  await refused(t, findRole(ctx, api, 'nothing'), { kind: 'not_found', noun: 'role' })
})

t.test('a role is held once, and withdrawn once', async (t) => {
  const holder = { kind: 'user', holder: ctx.random.uuid() } as const
  const granted = await Promise.all(Array.from({ length: 4 }, () => grantRole(ctx, api, 'reader', holder, by)))
  t.equal(granted.filter(Boolean).length, 1)
  t.match((await findRole(ctx, api, 'reader')).holders, [holder])
  t.match(await roles.heldBy(ctx.db, holder), [{ resource: api, name: 'reader', scope: ['read'] }])
  t.match(await roles.heldBy(ctx.db, { ...holder, kind: 'client' }), [], 'a client of that name does not hold it')

  const withdrawn = await Promise.all(Array.from({ length: 4 }, () => withdrawRole(ctx, api, 'reader', holder, by)))
  t.equal(withdrawn.filter(Boolean).length, 1)
  t.same(await roles.heldBy(ctx.db, holder), [])
  t.same(
    (await server.audit('role.'))
      .filter(({ subject }) => subject === holder.holder)
      .map(({ type, detail }) => ({ type, detail })),
    [
      { type: 'role.granted', detail: { role: 'reader', resource: api } },
      { type: 'role.withdrawn', detail: { role: 'reader', resource: api } },
    ],
  )
})

t.test('a role withdrawn is a not-before for its holder at that resource', async (t) => {
  const service = await server.createService('read write other')
  const holder = { kind: 'client', holder: service.clientId } as const
  await grantRole(ctx, api, 'writer', holder, by)
  await grantRole(ctx, api, 'reader', holder, by)
  const before = await tokenOf(service, 'read write')
  t.match(await introspect(before), { active: true, scope: 'read write' })

  clock.advance(10)
  await withdrawRole(ctx, api, 'writer', holder, by)
  t.same(await introspect(before), { active: false })
  const target = roleTarget(service.clientId, api)
  const entries = (await revocations.listBehind(ctx.db, 0n, clock.now(), 100)).filter(
    ({ instant }) => instant >= clock.now(),
  )
  t.match(entries, [{ kind: 'role', target, terminal: false, instant: clock.now() }])
  t.equal(entries.length, 1, 'other resources are not concerned')

  clock.advance(1)
  t.match(await introspect(await tokenOf(service, 'read write')), { active: true, scope: 'read' })
})

t.test('a deleted role is withdrawn from all who held it, and one act is one transaction', async (t) => {
  await createRole(ctx, { resource: api, name: 'doomed', scope: ['write'] }, by)
  const service = await server.createService('write')
  const holders = [
    { kind: 'client', holder: service.clientId } as const,
    ...Array.from({ length: 5 }, () => ({ kind: 'user', holder: ctx.random.uuid() }) as const),
  ]
  for (const holder of holders) await grantRole(ctx, api, 'doomed', holder, by)
  const token = await tokenOf(service, 'write')
  t.match(await introspect(token), { active: true })

  clock.advance(1)
  const ended = await deleteRole(ctx, api, 'doomed', by)
  t.same(ended.map(({ holder }) => holder).sort(), holders.map(({ holder }) => holder).sort())
  t.same(await introspect(token), { active: false })
  for (const { holder } of holders) {
    t.match(ctx.revocations.find({ kind: 'role', target: roleTarget(holder, api) }), { terminal: false })
  }
  await refused(t, deleteRole(ctx, api, 'doomed', by), { kind: 'not_found' })
  const [deleted] = (await server.audit('role.deleted')).slice(-1)
  t.match(deleted?.detail, { role: 'doomed', holders: 6 })
  t.equal((await server.audit('role.withdrawn')).filter(({ reason }) => reason === 'role_deleted').length, 6)
})
