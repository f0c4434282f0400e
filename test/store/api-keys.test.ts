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
