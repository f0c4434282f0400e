import t from 'tap'
import { accessTokens, dayBucket } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const newToken = (store: TestStore, claims: Readonly<Record<string, unknown>> = {}) => {
  const expiresAt = store.later(600)
  return { bucket: dayBucket(expiresAt), hash: store.random.bytes(32), claims, expiresAt }
}

t.test('what is found is what was written, and nothing by another bucket or hash', async (t) => {
  const store = await openTestStore(t)
  const claims = { jti: 'x', scope: 'read', roles: ['a', 'b'], nested: { quote: `"'\\` }, number: 1, none: null }
  const token = newToken(store, claims)
  await accessTokens.create(store.db, token)

  t.same(await accessTokens.find(store.db, token.bucket, token.hash), claims)
  t.equal(await accessTokens.find(store.db, token.bucket + 1, token.hash), undefined)
  t.equal(await accessTokens.find(store.db, token.bucket, store.random.bytes(32)), undefined)
})

t.test('what comes together is one statement, each with its own result', async (t) => {
  const store = await openTestStore(t)
  let statements = 0
  const { pool } = store.db
  const query = pool.query
  pool.query = ((...args: Parameters<typeof query>) => {
    statements++
    return query.apply(pool, args)
  }) as typeof query

  const tokens = Array.from({ length: 200 }, (_, n) => newToken(store, { n }))
  await Promise.all(tokens.map((token) => accessTokens.create(store.db, token)))
  t.equal(statements, 1)

  const unknown = newToken(store)
  const found = await Promise.all(
    [...tokens.toReversed(), unknown, tokens[0]!].map(({ bucket, hash }) => accessTokens.find(store.db, bucket, hash)),
  )
  t.equal(statements, 2)
  t.same(found, [...tokens.map((_, n) => ({ n })).reverse(), undefined, { n: 0 }])
})

t.test('an error of one reaches its caller alone', async (t) => {
  const store = await openTestStore(t)
  const taken = newToken(store)
  await accessTokens.create(store.db, taken)
  const others = [newToken(store), newToken(store)]

  const results = await Promise.allSettled(
    [others[0]!, taken, others[1]!].map((each) => accessTokens.create(store.db, each)),
  )

  t.match(results, [
    { status: 'fulfilled' },
    { status: 'rejected', reason: { code: '23505' } },
    { status: 'fulfilled' },
  ])
  for (const { bucket, hash } of others) t.same(await accessTokens.find(store.db, bucket, hash), {})
})
