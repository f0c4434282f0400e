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
