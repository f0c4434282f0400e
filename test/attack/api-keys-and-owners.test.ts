import t from 'tap'
import { drawApiKey } from '../../src/api-keys/format.js'
import { changeApiKey, createApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { revoke } from '../../src/revocation/index.js'
import { openKeyScene } from '../support/api-keys.js'
import { exchange, exchanged, isActive, makeKey } from '../support/exchange.js'
import { refused } from '../support/refused.js'
import { createTestServer, registration, sql } from '../support/server.js'
import { claimsOf, introspect, revokeAt } from '../support/tokens.js'

const scene = await openKeyScene(t)
const { server, ada, bob, root, service, stranger, api, call, make, tokenOf } = scene
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
await beside.refresh()
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }

const rowOf = async (id: string) =>
  (await sql(server, 'SELECT ended_at, end_reason, successor FROM api_key WHERE id = $1', [id]))[0]

t.test('attack 114: an administrator is one in the operator’s own applications alone', async (t) => {
  const mine = await make(ada.token)
  const token = await tokenOf(root.id, stranger)
  t.equal((await call('GET', `/api-keys/${mine.id}`, { token })).statusCode, 404)
  t.equal((await call('DELETE', `/api-keys/${mine.id}`, { token })).statusCode, 404)
  t.equal((await call('GET', `/api-keys?owner=user:${ada.id}`, { token })).statusCode, 403)
  t.equal((await call('POST', '/api-keys/revoke', { token, body: { all: true } })).statusCode, 403)
  t.same((await call('GET', '/api-keys', { token })).json().api_keys, [])
  t.equal((await call('GET', `/api-keys/${mine.id}`, { token: root.token })).statusCode, 200)
})

t.test('attack 115: a key may do no more than its client is registered for, at each use', async (t) => {
  const client = await server.createService('read write')
  const owner = { kind: 'client', id: client.clientId } as const
  const { key, text } = await makeKey(server, { owner, scope: ['read', 'write'] })
  const other = await makeKey(server, { owner, scope: ['write'] })
  const before = await exchanged(server, text)
  clock.advance(2)
  await updateClient(ctx, client.clientId, { scope: 'read' }, registration)
  await beside.refresh()
  for (const at of [server, beside]) {
    t.match(await introspect(at, api, text), { active: true, scope: 'read' })
    t.same(await introspect(at, api, other.text), { active: false })
    t.equal(await isActive(at, api, before), false, 'what was exchanged before ends')
  }
  t.match(ctx.revocations.find({ kind: 'api_keys', target: `owner:client:${client.clientId}` }), { terminal: false })
  t.equal((await server.audit('api_keys.changed')).length, 1)
  t.match(await rowOf(key.id), { ended_at: null }, 'the key lives')

  clock.advance(2)
  t.match(claimsOf(await exchanged(server, text)), { scope: 'read' })
  t.equal((await exchange(server, text, { scope: 'write' })).statusCode, 400)
  t.equal((await exchange(server, other.text)).statusCode, 400)
  t.same((await rotateApiKey(ctx, key.id, { by })).key.scope, ['read'])
  await refused(t, rotateApiKey(ctx, other.key.id, { by }), /may do nothing/)
  const { ended, successors } = await endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
  t.equal(ended.length, 3)
  t.same(
    successors.map(({ key: { scope } }) => scope),
    [['read']],
  )

  clock.advance(2)
  const last = await makeKey(server, { owner, scope: ['read'] })
  await updateClient(ctx, client.clientId, { allowed_resources: ['https://other.example'] }, registration)
  t.same(await introspect(server, api, last.text), { active: false }, 'nor be for another resource')
  t.equal((await exchange(server, last.text)).statusCode, 400)
})

t.test('many changes at once wait for each other, and for no second connection', async (t) => {
  const keys = await Promise.all(Array.from({ length: 12 }, () => make(ada.token, { scope: 'read write' })))
  const changed = await Promise.all(keys.map(({ id }) => changeApiKey(ctx, id, { request: { scope: ['read'] }, by })))
  t.equal(changed.filter(({ scope }) => scope.length === 1).length, 12)
})

t.test('attack 86: a key that took the next second ends with its owner in this one', async (t) => {
  const eve = await server.createUser('eve@example.com')
  const client = await server.createService('read')
  for (const owner of [
    { kind: 'user', id: eve.id },
    { kind: 'client', id: client.clientId },
  ] as const) {
    clock.advance(2)
    await endApiKeys(ctx, { kind: 'owner', owner }, { cause })
    const { key, text } = await makeKey(server, { owner, scope: ['read'] })
    t.ok(key.createdAt > clock.now())
    const target = owner.kind === 'user' ? { kind: 'user', userId: owner.id } : { kind: 'client', clientId: owner.id }
    await revoke(ctx, target as Parameters<typeof revoke>[1], cause)
    t.match(await rowOf(key.id), { end_reason: 'owner_ended' })
    const next = await makeKey(server, { owner, scope: ['read'] })
    clock.advance(2)
    t.same(await introspect(server, api, text), { active: false })
    t.match(await introspect(server, api, next.text), { active: true }, 'one that was made afterwards is good')
  }
})

t.test('attack 86: nothing brings a key back that ended with its owner', async (t) => {
  const owner = { kind: 'user', id: (await server.createUser('finn@example.com')).id } as const
  // Also where its row says nothing: whoever made it did so while the end was on its way.
  for (const forget of [false, true]) {
    const { key } = await makeKey(server, { owner, scope: ['read'] })
    clock.advance(2)
    await revoke(ctx, { kind: 'user', userId: owner.id }, cause)
    if (forget) await sql(server, 'UPDATE api_key SET ended_at = NULL, end_reason = NULL WHERE id = $1', [key.id])
    else {
      const shown = (await call('GET', `/api-keys/${key.id}`, { token: root.token })).json()
      t.match(shown, { state: 'ended', end_reason: 'owner_ended' })
    }
    t.equal((await call('POST', `/api-keys/${key.id}/rotate`, { token: root.token, body: {} })).statusCode, 409)
    const renamed = await call('PATCH', `/api-keys/${key.id}`, { token: root.token, body: { name: 'x' } })
    t.equal(renamed.statusCode, 409)
    const { successors } = await endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
    t.same(successors, [])
    t.match(await rowOf(key.id), { successor: null })
  }
})

t.test('an overlap is made shorter, and never longer', async (t) => {
  const { id } = await make(ada.token)
  await call('POST', `/api-keys/${id}/rotate`, { token: ada.token, body: { overlap: 600 } })
  const ends = async (seconds: number) => {
    const expires_at = new Date(clock.now().getTime() + seconds * 1000).toISOString()
    return (await call('PATCH', `/api-keys/${id}`, { token: ada.token, body: { expires_at } })).statusCode
  }
  t.equal(await ends(601), 400)
  t.equal(await ends(300), 200)
  t.equal(await ends(600), 400)
})

t.test('RFC 7009 §2.1: a key is taken back by the client whose it is, and by no other', async (t) => {
  const { key: text, id } = await make(service.token)
  const ofUser = await make(ada.token)
  const another = await server.createService('read')
  for (const [client, token] of [
    [another, text],
    [service, ofUser.key],
  ] as const) {
    const reply = await revokeAt(server, client, token)
    t.match([reply.statusCode, reply.json().error], [400, 'invalid_grant'])
    t.match(await introspect(server, api, token), { active: true })
  }
  const guess = drawApiKey(ctx.random, { prefix: 'sk', environment: 'live', id })
  t.equal((await revokeAt(server, service, guess)).statusCode, 200, 'unknown')
  t.match(await introspect(server, api, text), { active: true })
  t.equal((await revokeAt(server, service, text)).statusCode, 200)
  t.same(await introspect(beside, api, text), { active: false })
  t.match(await rowOf(id), { end_reason: 'revoked_by_client' })
  t.equal((await revokeAt(server, service, text)).statusCode, 200, 'again')
})

t.test('attack 113: a key of the right form with a wrong secret', async (t) => {
  const { id, key } = await make(bob.token)
  const known = () => drawApiKey(ctx.random, { prefix: 'sk', environment: 'live', id })
  const unknown = drawApiKey(ctx.random, { prefix: 'sk', environment: 'live', id: '0kq3GZb7yXw9TfLm' })
  for (const text of [known(), unknown]) t.same(await introspect(server, api, text), { active: false })
  const [one, two] = [await exchange(server, known()), await exchange(server, unknown)]
  t.equal(one.statusCode, 400)
  t.same(one.json(), two.json(), 'no oracle')
  const events = await server.audit('api_key.refused')
  t.same(
    events.map(({ reason }) => reason),
    ['key_unknown', 'key_unknown'],
  )
  t.notOk(JSON.stringify(events).includes(id), 'what somebody only names is not written down')

  const statuses: number[] = []
  for (let guesses = 0; guesses < 30; guesses++) statuses.push((await exchange(server, known())).statusCode)
  t.ok(statuses.includes(429), statuses.join(' '))
  t.match(await introspect(server, api, key), { active: true }, 'whoever guesses ends nothing')
})

t.test('attack 131: what is no id is not repeated', async (t) => {
  const { key } = await make(ada.token)
  const reply = await call('GET', `/api-keys/${key}`, { token: ada.token })
  t.equal(reply.statusCode, 400, 'a whole key in an address')
  t.notOk(reply.body.includes(key.slice(20)))
  await t.rejects(rotateApiKey(ctx, key, { by }), { message: 'That is no id of an API key.' })
})

t.test('nobody makes more keys than the operator allows', async (t) => {
  const small = await createTestServer(t, { env: { API_KEYS_PER_OWNER: '2' } })
  await small.createResource('https://api.example', 'read')
  const owner = { kind: 'user', id: (await small.createUser()).id } as const
  const another = () => createApiKey(small.ctx, { owner, name: 'x', scope: ['read'] }, by)
  const all = await Promise.allSettled([another(), another(), another()])
  t.equal(all.filter(({ status }) => status === 'fulfilled').length, 2)
  await refused(t, another(), /has 2 API keys/)
  const [first] = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  await refused(t, rotateApiKey(small.ctx, first!.key.id, { by }), /has 2 API keys/)
  await endApiKeys(small.ctx, { kind: 'owner', owner }, { cause })
  t.ok(await another(), 'what has ended does not count')
})

t.test('attack 114: what an administrator said of a key its owner makes narrower, and never wider', async (t) => {
  const later = (seconds: number) => new Date(clock.now().getTime() + seconds * 1000).toISOString()
  const change = (id: string, body: object, token = ada.token) => call('PATCH', `/api-keys/${id}`, { token, body })
  const bounds = { scope: 'read write', networks: ['192.0.2.0/24'], expires_in: 3600 }
  const byCommand = await createApiKey(
    ctx,
    {
      owner: { kind: 'user', id: ada.id },
      name: 'x',
      scope: ['read', 'write'],
      networks: ['192.0.2.0/24'],
      lifetime: 3600,
    },
    by,
  )
  const byRoot = await make(root.token, { owner: { kind: 'user', id: 'ada@example.com' }, ...bounds })
  const bound = await make(ada.token, bounds)
  t.equal((await change(bound.id, { networks: ['192.0.2.0/24'] }, root.token)).statusCode, 200)
  const rotated = await call('POST', `/api-keys/${byRoot.id}/rotate`, { token: ada.token, body: {} })
  for (const id of [byCommand.key.id, byRoot.id, bound.id, rotated.json().id as string]) {
    const { resources, managed } = (await call('GET', `/api-keys/${id}`, { token: ada.token })).json()
    t.equal(managed, true)
    t.same(resources, ['https://api.example'])
    for (const [field, wider] of [
      ['networks', []],
      ['networks', ['192.0.0.0/16']],
      ['networks', ['192.0.2.0/24', '203.0.113.7/32']],
      ['expires_at', 'never'],
      ['expires_at', later(1_000_000)],
      ['scope', 'read write other'],
    ] as const) {
      const reply = await change(id, { [field]: wider })
      // An overlap ends when it ends, whoever asks.
      const isOverlap = id === byRoot.id && field === 'expires_at'
      const type = `urn:ostiary:problem:${isOverlap ? 'invalid-value' : 'forbidden'}`
      t.match(reply, { statusCode: isOverlap ? 400 : 403 }, `${field} ${wider}`)
      t.match(reply.json(), { type, errors: [{ pointer: `/${field}` }] })
    }
    const narrower = { networks: ['192.0.2.128/25'], scope: 'read', expires_at: later(60), name: 'mine' }
    t.equal((await change(id, narrower)).statusCode, 200)
    t.equal((await change(id, { networks: ['192.0.2.0/24'] })).statusCode, 403, 'what it made narrower, too')
    t.equal((await change(id, { networks: [], scope: 'read write' }, root.token)).statusCode, 200)
  }
  const refused = await server.audit('api_key.refused')
  t.match(
    refused.filter(({ reason }) => reason === 'key_widened'),
    [{ subject: ada.id }],
  )

  const own = await make(ada.token, bounds)
  t.equal((await change(own.id, { networks: [], expires_at: 'never' })).statusCode, 200, 'their own they widen')
  t.notOk('managed' in (await call('GET', `/api-keys/${own.id}`, { token: ada.token })).json())
  t.equal((await change(own.id, { name: 'y' }, root.token)).statusCode, 200)
  t.equal((await change(own.id, { networks: ['192.0.2.0/24'] })).statusCode, 200)
  t.equal((await change(own.id, { networks: [] })).statusCode, 200, 'a name binds nobody')
  const ofRoot = await make(root.token, bounds)
  t.equal((await change(ofRoot.id, { networks: ['192.0.2.0/24'], name: 'z' }, root.token)).statusCode, 200)
  t.equal((await change(ofRoot.id, { networks: [] }, root.token)).statusCode, 200)
})
