import t from 'tap'
import { dayBucket, type RefreshToken, refreshTokens } from '../../src/store/index.js'
import {
  addParty,
  addRefreshToken,
  endings,
  findRefreshToken,
  leavesNothing,
  openTestStore,
  rotation,
  type TestStore,
} from '../support/store.js'

const extension = (store: TestStore, token: RefreshToken, lifetime = 7 * 86_400) => {
  const { answer: _, ...rest } = rotation(store, token)
  return { ...rest, tokens: {}, expiresAt: store.later(lifetime) }
}

const answerOf = (store: TestStore, token: RefreshToken, { answer }: ReturnType<typeof rotation>) =>
  refreshTokens.findAnswer(store.db, token, answer.bucket, answer.requestHash, store.now())

t.test('find gives the token with its grant and user', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const token = await addRefreshToken(store, party)
  t.match(token, {
    clientId: party.client.clientId,
    createdAt: store.now(),
    expiresAt: store.later(7 * 86_400),
    usedAt: undefined,
    retryUntil: undefined,
    standing: true,
    grant: { clientId: party.client.clientId, userId: party.user.id },
    user: { email: party.user.email },
    roles: [],
  })
  t.equal(await refreshTokens.find(store.db, token.bucket, store.random.bytes(32), store.now()), undefined)
  t.equal(await refreshTokens.find(store.db, token.bucket + 1, token.hash, store.now()), undefined)
})

t.test('rotate spends the token and writes successor, answer, access token and event in one statement', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const token = await addRefreshToken(store, party)
  store.clock.advance(60)
  const turn = rotation(store, token)
  const accessToken = {
    bucket: dayBucket(store.later(600)),
    hash: store.random.bytes(32),
    claims: { jti: 'x' },
    expiresAt: store.later(600),
  }

  t.equal(await refreshTokens.rotate(store.db, { ...turn, tokens: { ...turn.tokens, accessToken } }), true)

  t.match(await findRefreshToken(store, token), { usedAt: store.now(), retryUntil: store.later(10) })
  t.match(await findRefreshToken(store, turn.tokens.refreshToken), {
    grant: { id: token.grant.id },
    clientId: party.client.clientId,
    usedAt: undefined,
    createdAt: store.now(),
  })
  t.same(await answerOf(store, token, turn), turn.answer.ciphertext)
  t.match(await store.sql('SELECT * FROM access_token'), [{ token_hash: accessToken.hash, claims: { jti: 'x' } }])
  t.match(await store.sql(`SELECT * FROM audit_event WHERE type = 'token.refreshed'`), [
    {
      id: turn.eventId,
      client_id: party.client.clientId,
      subject: party.user.id,
      grant_id: token.grant.id,
      ip: '192.0.2.1',
    },
  ])
})

t.test('RFC 9700 §4.14.2: of 200 at once from two processes exactly one rotates a token', async (t) => {
  const store = await openTestStore(t)
  const token = await addRefreshToken(store, await addParty(store))
  const pools = [store.db, store.another()]
  const turns = Array.from({ length: 200 }, () => rotation(store, token))

  const won = await Promise.all(turns.map((turn, index) => refreshTokens.rotate(pools[index % 2]!, turn)))

  t.equal(won.filter(Boolean).length, 1)
  const winner = turns[won.indexOf(true)]!
  t.equal((await store.sql('SELECT FROM refresh_token')).length, 2, 'one successor')
  t.same(await answerOf(store, token, winner), winner.answer.ciphertext, 'and its answer, for all the others')
  t.equal((await store.sql(`SELECT FROM audit_event WHERE type = 'token.refreshed'`)).length, 1)
})

t.test('100 tokens from two processes in opposite orders: each is rotated once, and none deadlocks', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const tokens = await Promise.all(Array.from({ length: 100 }, () => addRefreshToken(store, party)))
  const other = store.another()
  const results = await Promise.all([
    ...tokens.map((token) => refreshTokens.rotate(store.db, rotation(store, token))),
    ...tokens.toReversed().map((token) => refreshTokens.rotate(other, rotation(store, token))),
  ])
  t.equal(results.filter(Boolean).length, 100)
  t.equal((await store.sql('SELECT FROM refresh_token')).length, 200)
})

t.test('the same token twice in one batch has one winner, the first', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const [a, b] = [await addRefreshToken(store, party), await addRefreshToken(store, party)]
  t.same(await Promise.all([a, b, a, b].map((token) => refreshTokens.rotate(store.db, rotation(store, token)))), [
    true,
    true,
    false,
    false,
  ])
})

t.test('whoever waits for a row that another process changes goes by what it then says', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const works = {
    rotate: (token: RefreshToken) => refreshTokens.rotate(store.db, rotation(store, token)),
    extend: (token: RefreshToken) => refreshTokens.extend(store.db, extension(store, token)),
  }
  const other = await store.another().pool.connect()
  t.teardown(() => other.release())
  for (const [name, work] of Object.entries(works)) {
    for (const [change, outcome] of [
      ['expires_at = expires_at', true],
      ['used_at = created_at', false],
    ] as const) {
      const token = await addRefreshToken(store, party)
      await other.query('BEGIN')
      await other.query(`UPDATE refresh_token SET ${change} WHERE token_hash = $1`, [token.hash])
      const waiting = work(token)
      const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%locked%'
                      AND datname = current_database()`
      while ((await store.sql(waits)).length === 0) {}
      await other.query('COMMIT')
      t.equal(await waiting, outcome, `${name}, ${change}`)
    }
  }
})

t.test('a token that has expired is not rotated', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const [a, b] = [
    await addRefreshToken(store, party, { offline: true }),
    await addRefreshToken(store, party, { offline: true }),
  ]
  store.clock.set(new Date(a.expiresAt.getTime() - 1))
  t.equal(await refreshTokens.rotate(store.db, rotation(store, a)), true)
  store.clock.set(b.expiresAt)
  t.equal(await refreshTokens.rotate(store.db, rotation(store, b)), false)
  t.equal(await refreshTokens.extend(store.db, extension(store, b)), false)
})

t.test('the stored answer is for the same request, while the window is open and the successor unused', async (t) => {
  const store = await openTestStore(t)
  const token = await addRefreshToken(store, await addParty(store))
  const turn = rotation(store, token)
  t.equal(await answerOf(store, token, turn), undefined, 'not before it is spent')
  await refreshTokens.rotate(store.db, turn)

  const { answer } = turn
  t.same(await answerOf(store, token, turn), answer.ciphertext)
  t.equal(
    await refreshTokens.findAnswer(store.db, token, answer.bucket, Buffer.alloc(32, 9), store.now()),
    undefined,
    'another request',
  )
  store.clock.advance(9.999)
  t.same(await answerOf(store, token, turn), answer.ciphertext)
  store.clock.advance(0.001)
  t.equal(await answerOf(store, token, turn), undefined, 'the window is over')

  store.clock.advance(-5)
  const successor = await findRefreshToken(store, turn.tokens.refreshToken)
  await refreshTokens.rotate(store.db, rotation(store, successor))
  t.equal(await answerOf(store, token, turn), undefined, 'its successor was used')
})

t.test('a window of zero keeps no answer', async (t) => {
  const store = await openTestStore(t)
  const token = await addRefreshToken(store, await addParty(store))
  const turn = rotation(store, token, 0)
  t.equal(await refreshTokens.rotate(store.db, turn), true)
  t.equal((await store.sql('SELECT FROM refresh_answer')).length, 0)
  t.equal(await answerOf(store, token, turn), undefined)
})

t.test('a refresh token gives nothing when anything above it has ended', async (t) => {
  const store = await openTestStore(t)
  for (const [name, end] of Object.entries(endings)) {
    const party = await addParty(store)
    const spent = await addRefreshToken(store, party)
    const token = await addRefreshToken(store, party)
    const offline = await addRefreshToken(store, party, { offline: true })
    const turn = rotation(store, spent)
    await refreshTokens.rotate(store.db, turn)
    t.ok(await answerOf(store, spent, turn))
    await end(store, party, token.grant)
    await end(store, party, spent.grant)

    const found = await refreshTokens.find(store.db, token.bucket, token.hash, store.now())
    if (leavesNothing.has(name)) t.equal(found, undefined, name)
    else t.equal(found?.standing, false, name)
    t.equal(await refreshTokens.rotate(store.db, rotation(store, token)), false, name)
    t.equal(await refreshTokens.extend(store.db, extension(store, token, 30 * 86_400)), false)
    t.equal(await answerOf(store, spent, turn), undefined, 'nor does the answer of one that was spent before')

    const survives = name.startsWith('the session') || name.startsWith('the grant')
    t.equal(
      await refreshTokens.rotate(store.db, rotation(store, offline)),
      survives,
      'OIDC Core §11: offline access outlives the session, not client or user',
    )
  }
})

t.test('extend moves the end of the idle time for any number of callers, never back', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const token = await addRefreshToken(store, party, { offline: true })
  store.clock.advance(3600)
  const accessToken = () => ({ bucket: 1, hash: store.random.bytes(32), claims: {}, expiresAt: store.later(600) })
  const pools = [store.db, store.another()]

  const extended = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      refreshTokens.extend(pools[index % 2]!, { ...extension(store, token), tokens: { accessToken: accessToken() } }),
    ),
  )

  t.ok(extended.every(Boolean))
  const { expiresAt, usedAt } = await findRefreshToken(store, token)
  t.same(expiresAt, store.later(7 * 86_400))
  t.equal(usedAt, undefined)
  t.equal((await store.sql('SELECT FROM access_token')).length, 20, 'each caller has its own access token')
  t.equal((await store.sql(`SELECT FROM audit_event WHERE type = 'token.refreshed'`)).length, 20)

  await refreshTokens.extend(store.db, extension(store, token, 60))
  t.same((await findRefreshToken(store, token)).expiresAt, expiresAt)
  await refreshTokens.rotate(store.db, rotation(store, token))
  t.equal(await refreshTokens.extend(store.db, extension(store, token)), false, 'one that was spent is not extended')
})
