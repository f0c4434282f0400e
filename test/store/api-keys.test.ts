import t from 'tap'
import { findApiKey } from '../../src/api-keys/index.js'
import { apiKeys } from '../../src/store/index.js'
import { makeKey } from '../support/exchange.js'
import { createTestServer } from '../support/server.js'

t.test('the network is that of the last use, also where one of before is reported later', async (t) => {
  const server = await createTestServer(t)
  const { ctx, clock } = server
  await server.createResource('https://api.example', 'read')
  const owner = { kind: 'user', id: (await server.createUser()).id } as const
  const { key } = await makeKey(server, { owner, scope: ['read'] })
  const at = (seconds: number) => new Date(clock.now().getTime() + seconds * 1_000)
  const used = async (seconds: number, from?: string) => {
    await apiKeys.recordUse(ctx.db, [{ id: key.id, at: at(seconds), from }])
    const { lastUsedAt, lastUsedFrom } = await findApiKey(ctx, key.id)
    return [lastUsedAt, lastUsedFrom]
  }
  t.same(await used(10), [at(10), undefined])
  t.same(await used(5, '192.0.2.0/24'), [at(10), '192.0.2.0/24'], 'better than none')
  t.same(await used(20, '198.51.100.0/24'), [at(20), '198.51.100.0/24'])
  t.same(await used(15, '192.0.2.0/24'), [at(20), '198.51.100.0/24'])
  t.same(await used(30), [at(30), '198.51.100.0/24'], 'one that nobody knows says nothing')
})

t.test(
  'RFC 7638: the public keys of a chain are those of a key and of all before it, and of nobody else',
  async (t) => {
    const server = await createTestServer(t)
    const { ctx } = server
    await server.createResource('https://api.example', 'read')
    const owner = { kind: 'user', id: (await server.createUser()).id } as const
    const other = { kind: 'user', id: (await server.createUser('other@example.com')).id } as const
    const { key: template } = await makeKey(server, { owner, scope: ['read'] })
    const add = (id: string, successor: string | undefined, more: object = {}) =>
      apiKeys.createAll(ctx.db, [{ ...template, id, kind: 'signing', publicJwk: { x: id }, successor, ...more }])
    await add('first', 'second')
    await add('second', 'third')
    await add('third', 'fourth')
    await add('fourth', undefined)
    await add('beside', undefined)
    await add('foreign', 'third', { owner: other })
    await add('secret', 'third', { kind: 'secret', publicJwk: undefined })
    const chainOf = async (id: string) =>
      (await apiKeys.publicJwksOfChain(ctx.db, { id, owner })).map(({ x }) => String(x)).toSorted()
    t.same(await chainOf('third'), ['first', 'second', 'third'])
    t.same(await chainOf('first'), ['first'])
    t.same(await chainOf('beside'), ['beside'])
    // What names itself, or one another, comes to an end.
    await add('one', 'two')
    await add('two', 'one')
    t.same(await chainOf('one'), ['one', 'two'])
  },
)

t.test('a key that is used again is given by what was read before, and by nothing that is true no more', async (t) => {
  const server = await createTestServer(t)
  const { ctx } = server
  await server.createResource('https://api.example', 'read write')
  const service = await server.createService('read write')
  const user = { kind: 'user', id: (await server.createUser()).id } as const
  const client = { kind: 'client', id: service.clientId } as const
  const [mine, ofClient] = [
    (await makeKey(server, { owner: user, scope: ['read'] })).key.id,
    (await makeKey(server, { owner: client, scope: ['read', 'write'] })).key.id,
  ]
  // As another process does it: nothing here is told.
  const sql = (text: string, ...values: unknown[]) => ctx.db.pool.query(text, values)
  const find = (id: string) => apiKeys.find(ctx.db, id)
  const isRead = async (id: string) => {
    const before = await find(id)
    t.equal(await find(id), before, 'the same object: nothing was read')
    return before
  }

  await isRead(mine)
  await sql(`UPDATE api_key SET name = 'Another' WHERE id = $1`, mine)
  t.equal((await find(mine))?.key.name, 'Another')
  await sql('UPDATE user_account SET disabled_at = now() WHERE id = $1', user.id)
  t.equal((await isRead(mine))?.ownerStands, false)
  await sql('UPDATE user_account SET disabled_at = NULL WHERE id = $1', user.id)
  t.equal((await isRead(mine))?.ownerStands, true)

  await isRead(ofClient)
  await sql(`UPDATE client SET scope = '{read}' WHERE client_id = $1`, client.id)
  t.same((await find(ofClient))?.registration?.scope, ['read'])
  t.same(await Promise.all([ofClient, mine, 'kkkkkkkkkkkkkkkk'].map(async (id) => (await find(id))?.key.id)), [
    ofClient,
    mine,
    undefined,
  ])

  await isRead(mine)
  await sql(
    `INSERT INTO api_key_end (id, target, position, ended_at, reason, replaces)
     SELECT gen_random_uuid(), 'owner:user:' || owner, position + 1, created_at, 'leak', false FROM api_key WHERE id = $1`,
    mine,
  )
  t.equal((await find(mine))?.key.endReason, 'leak', 'an end of many, which its row does not say yet')
  await sql('DELETE FROM api_key_end')
  t.equal((await find(mine))?.key.endReason, undefined)

  // A tuple that is moved has been written by the same transaction, and says the same.
  await isRead(mine)
  await sql('VACUUM FULL api_key')
  t.equal((await isRead(mine))?.key.name, 'Another')

  await isRead(mine)
  await sql('DELETE FROM api_key WHERE id = $1', mine)
  t.equal(await find(mine), undefined)
  t.equal(await find(mine), undefined)
})

t.test('another server may have other transactions by the same numbers: what it was like is read anew', async (t) => {
  const server = await createTestServer(t)
  const { ctx } = server
  await server.createResource('https://api.example', 'read')
  const owner = { kind: 'user', id: (await server.createUser()).id } as const
  const { key } = await makeKey(server, { owner, scope: ['read'] })
  const before = await apiKeys.find(ctx.db, key.id)
  t.equal(await apiKeys.find(ctx.db, key.id), before)
  ctx.db.pool.emit('connect', undefined as never)
  const after = await apiKeys.find(ctx.db, key.id)
  t.not(after, before)
  t.same(after, before)
  const asked = apiKeys.find(ctx.db, key.id)
  ctx.db.pool.emit('connect', undefined as never)
  t.not(await asked, after, 'also where it changes while somebody asks')
})
