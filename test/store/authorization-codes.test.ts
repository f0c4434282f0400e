import t from 'tap'
import { authorizationCodes, dayBucket } from '../../src/store/index.js'
import { addCode, addParty, endings, leavesNothing, openTestStore, redemption } from '../support/store.js'

t.test('find gives the code as it was issued, with its grant, user and roles', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const code = await addCode(store, party)

  t.match(code, {
    clientId: party.client.clientId,
    redirectUri: 'https://app.example/cb',
    codeChallenge: 'challenge',
    createdAt: store.now(),
    expiresAt: store.later(60),
    usedAt: undefined,
    standing: true,
    grant: { userId: party.user.id, session: { id: party.session.id }, scope: ['read'], offline: false },
    user: { email: party.user.email, name: undefined },
    roles: [],
  })

  const role = store.random.uuid()
  await store.sql(
    `INSERT INTO client (client_id, token_endpoint_auth_method, application_type, require_pkce, first_party,
                         refresh_token_rotation, refresh_token_retry_window, created_at, updated_at)
     VALUES ('rs', 'client_secret_basic', 'web', true, false, true, 10, $1, $1)`,
    [store.now()],
  )
  await store.sql(
    `INSERT INTO resource (identifier, token_format, uses_roles, client_id, created_at, updated_at)
     VALUES ('https://api.example.com', 'jwt', true, 'rs', $1, $1)`,
    [store.now()],
  )
  await store.sql(
    `INSERT INTO role (id, resource, name, scope, created_at) VALUES ($1, 'https://api.example.com', 'reader', '{read}', $2)`,
    [role, store.now()],
  )
  await store.sql(`INSERT INTO role_holder VALUES ($1, $2, 'user', $3)`, [role, party.user.id, store.now()])
  const again = await authorizationCodes.find(store.db, code.bucket, code.hash, store.now())
  t.same(again?.roles, [{ resource: 'https://api.example.com', name: 'reader', scope: ['read'] }])

  t.equal(await authorizationCodes.find(store.db, code.bucket + 1, code.hash, store.now()), undefined, 'another bucket')
  t.equal(await authorizationCodes.find(store.db, code.bucket, store.random.bytes(32), store.now()), undefined)
})

t.test('many are found in one statement, each by its own caller', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const codes = [await addCode(store, party), await addCode(store, party), await addCode(store, party)]
  let statements = 0
  const { pool } = store.db
  const query = pool.query
  pool.query = ((...args: Parameters<typeof query>) => {
    statements++
    return query.apply(pool, args)
  }) as typeof query
  const asked = [codes[2]!, codes[0]!, { bucket: 1, hash: Buffer.alloc(32) }, codes[1]!, codes[0]!]

  const found = await Promise.all(
    asked.map(({ bucket, hash }) => authorizationCodes.find(store.db, bucket, hash, store.now())),
  )

  t.equal(statements, 1)
  t.same(
    found.map((code) => code?.hash),
    [codes[2]!.hash, codes[0]!.hash, undefined, codes[1]!.hash, codes[0]!.hash],
  )
})

t.test('redeem spends the code and writes tokens and event in one statement', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const code = await addCode(store, party)
  const attempt = redemption(store, code)
  const accessToken = {
    bucket: dayBucket(store.later(600)),
    hash: store.random.bytes(32),
    claims: { jti: 'x', scope: `quotes " and \\ and 'those'` },
    expiresAt: store.later(600),
  }

  t.equal(await authorizationCodes.redeem(store.db, { ...attempt, tokens: { ...attempt.tokens, accessToken } }), true)

  const found = await authorizationCodes.find(store.db, code.bucket, code.hash, store.now())
  t.same(found?.usedAt, store.now())
  t.match(await store.sql('SELECT * FROM refresh_token'), [
    {
      bucket: code.grant.bucket,
      token_hash: attempt.tokens.refreshToken.hash,
      grant_id: code.grant.id,
      client_id: party.client.clientId,
      used_at: null,
    },
  ])
  t.match(await store.sql('SELECT * FROM access_token'), [{ token_hash: accessToken.hash, claims: accessToken.claims }])
  t.match(await store.sql(`SELECT * FROM audit_event WHERE type = 'code.redeemed'`), [
    {
      id: attempt.eventId,
      actor: `client:${party.client.clientId}`,
      client_id: party.client.clientId,
      subject: party.user.id,
      grant_id: code.grant.id,
      ip: '192.0.2.1',
      request_id: 'request',
    },
  ])
  t.equal(await authorizationCodes.wasSpentBy(store.db, code, attempt.attemptId), true)
  t.equal(await authorizationCodes.wasSpentBy(store.db, code, store.random.uuid()), false)
})

t.test('RFC 6749 §4.1.2: of 200 at once from two processes exactly one redeems a code', async (t) => {
  const store = await openTestStore(t)
  const code = await addCode(store, await addParty(store))
  const pools = [store.db, store.another()]

  const attempts = Array.from({ length: 200 }, () => redemption(store, code))
  const won = await Promise.all(attempts.map((attempt, index) => authorizationCodes.redeem(pools[index % 2]!, attempt)))

  t.equal(won.filter(Boolean).length, 1)
  const rows = await store.sql('SELECT token_hash FROM refresh_token')
  t.equal(rows.length, 1, 'and one refresh token is written')
  t.same(rows[0]?.['token_hash'], attempts[won.indexOf(true)]?.tokens.refreshToken.hash, 'which is the winner’s')
  t.equal((await store.sql(`SELECT FROM audit_event WHERE type = 'code.redeemed'`)).length, 1)
  t.equal(await authorizationCodes.wasSpentBy(store.db, code, attempts[won.indexOf(true)]!.attemptId), true)
})

t.test(
  '200 codes from two processes, each twice in opposite orders: every one is redeemed once, and none deadlocks',
  async (t) => {
    const store = await openTestStore(t)
    const party = await addParty(store)
    const codes = await Promise.all(Array.from({ length: 200 }, () => addCode(store, party)))
    const other = store.another()

    const results = await Promise.all([
      ...codes.map((code) => authorizationCodes.redeem(store.db, redemption(store, code))),
      ...codes.toReversed().map((code) => authorizationCodes.redeem(other, redemption(store, code))),
    ])

    t.equal(results.filter(Boolean).length, 200)
    t.equal((await store.sql('SELECT FROM refresh_token')).length, 200)
  },
)

t.test('the same code twice in one batch has one winner, the first', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const [a, b] = [await addCode(store, party), await addCode(store, party)]

  t.same(
    await Promise.all([a, b, a, b, a].map((code) => authorizationCodes.redeem(store.db, redemption(store, code)))),
    [true, true, false, false, false],
  )
})

t.test('RFC 6749 §4.1.2: a code is not redeemed at or after the end of its time', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const code = await addCode(store, party)
  const late = await addCode(store, party)
  store.clock.advance(59.999)
  t.equal(await authorizationCodes.redeem(store.db, redemption(store, code)), true)
  store.clock.advance(0.001)
  t.equal(await authorizationCodes.redeem(store.db, redemption(store, late)), false)
  t.equal((await store.sql('SELECT FROM refresh_token')).length, 1)
})

t.test('a code gives nothing when anything above it has ended', async (t) => {
  const store = await openTestStore(t)
  for (const [name, end] of Object.entries(endings)) {
    const party = await addParty(store)
    const code = await addCode(store, party)
    const online = await addCode(store, party, { offline: true })
    await end(store, party, code.grant)

    const found = await authorizationCodes.find(store.db, code.bucket, code.hash, store.now())
    if (leavesNothing.has(name)) t.equal(found, undefined, name)
    else t.equal(found?.standing, false, name)
    t.equal(await authorizationCodes.redeem(store.db, redemption(store, code)), false, name)
    const about = [code.grant.id]
    t.equal((await store.sql('SELECT FROM refresh_token WHERE grant_id = $1', about)).length, 0)
    t.equal(
      (await store.sql('SELECT FROM audit_event WHERE grant_id = $1', about)).length,
      1,
      'that it was issued, no more',
    )

    const survives = name.startsWith('the session') || name.startsWith('the grant')
    t.equal(
      await authorizationCodes.redeem(store.db, redemption(store, online)),
      survives,
      'another grant that outlives the session ends with client and user alone',
    )
  }
})

t.test('a code that is issued after the client or user was revoked is good', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  await store.sql('UPDATE client SET not_before = $1', [store.now()])
  store.clock.advance(1)
  const code = await addCode(store, party)
  t.equal(code.standing, true)
  t.equal(await authorizationCodes.redeem(store.db, redemption(store, code)), true)
})

t.test('spend uses the code up for nothing, and changes no code that is used', async (t) => {
  const store = await openTestStore(t)
  const code = await addCode(store, await addParty(store))
  await authorizationCodes.spend(store.db, code, store.event('code.refused'))
  t.equal(await authorizationCodes.redeem(store.db, redemption(store, code)), false)
  const usedAt = store.now()
  store.clock.advance(5)
  await authorizationCodes.spend(store.db, code, store.event('code.refused'))
  t.same((await authorizationCodes.find(store.db, code.bucket, code.hash, store.now()))?.usedAt, usedAt)
  t.equal((await store.sql('SELECT FROM refresh_token')).length, 0)
  t.equal((await store.sql(`SELECT FROM audit_event WHERE type = 'code.refused'`)).length, 1)
})

t.test('what the database refuses of one item reaches its caller alone, and the others are redeemed', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const codes = [await addCode(store, party), await addCode(store, party), await addCode(store, party)]
  const results = await Promise.allSettled(
    codes.map((code, index) => {
      const attempt = redemption(store, code)
      const claims = { text: index === 1 ? 'a NUL, which jsonb cannot hold: \u0000' : 'fine' }
      const accessToken = { bucket: 1, hash: store.random.bytes(32), claims, expiresAt: store.later(600) }
      return authorizationCodes.redeem(store.db, { ...attempt, tokens: { ...attempt.tokens, accessToken } })
    }),
  )
  t.match(results, [
    { status: 'fulfilled', value: true },
    { status: 'rejected', reason: { code: '22P05' } },
    { status: 'fulfilled', value: true },
  ])
  t.equal((await store.sql('SELECT FROM refresh_token')).length, 2)
})
