import pg from 'pg'
import t, { type Test } from 'tap'
import { createRevocationList } from '../../src/revocation/index.js'
import {
  dayBucket,
  grants,
  type NewRevocation,
  partitions,
  permanentBucket,
  type RevocationKind,
  refreshTokens,
  revocations,
} from '../../src/store/index.js'
import {
  addClient,
  addCode,
  addParty,
  addRefreshToken,
  addUser,
  newGrant,
  openTestStore,
  type Party,
  type TestStore,
} from '../support/store.js'

const horizon = { grantLifetime: 30 * 86_400, sessionLifetime: 7 * 86_400, auditRetentionDays: 30 }

function revocation(
  store: TestStore,
  kind: RevocationKind,
  target: string,
  more: Partial<NewRevocation> = {},
): NewRevocation {
  return {
    kind,
    target,
    terminal: kind !== 'client' && kind !== 'user' && kind !== 'role',
    instant: store.now(),
    expiresAt: store.later(3601),
    audiences: [],
    reason: 'test',
    event: store.event(`${kind}.revoked`),
    ...more,
  }
}

/** As enabling writes it. */
const lift = (store: TestStore, kind: 'client' | 'user', target: string) =>
  store.db.transaction((tx) => revocations.lift(tx, { kind, target, instant: store.now(), event: store.event() }))

/** A connection that the test commits when it likes. */
async function connection(t: Test, store: TestStore): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: store.url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Until a connection waits for the lock under which positions are taken: its statement has begun and is not through. */
async function someoneWaits(store: TestStore): Promise<void> {
  const waiting = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
  while ((await store.sql(waiting)).length === 0) {}
}

const positions = async (store: TestStore) =>
  (await store.sql('SELECT target, position FROM revocation ORDER BY position')).map(({ target }) => target)

t.test('positions are in commit order: who has one holds all others back until it is committed', async (t) => {
  const store = await openTestStore(t)
  const list = createRevocationList(store.db, store.clock)

  // A has taken its position and does not commit yet.
  let commitA = () => {}
  const mayCommit = new Promise<void>((resolve) => (commitA = resolve))
  let begun = () => {}
  const hasBegun = new Promise<void>((resolve) => (begun = resolve))
  const a = store.db.transaction(async (tx) => {
    await revocations.create(tx, revocation(store, 'grant', 'a'))
    begun()
    await mayCommit
  })
  await hasBegun

  // B, in another process, would commit first, and a reader would go on behind it.
  let committedB = false
  const b = revocations.add(store.another(), revocation(store, 'grant', 'b')).then(() => (committedB = true))
  await someoneWaits(store)
  await list.refresh()
  t.equal(committedB, false, 'B waits')
  t.equal(list.find({ kind: 'grant', target: 'b' }), undefined)

  commitA()
  await Promise.all([a, b])
  t.same(await positions(store), ['a', 'b'])
  await list.refresh()
  t.ok(list.find({ kind: 'grant', target: 'a' }), 'so the reader loses nothing')
  t.ok(list.find({ kind: 'grant', target: 'b' }))
})

t.test('a reader that resumes while 200 are revoked by two processes loses none', async (t) => {
  const store = await openTestStore(t)
  const pools = [store.db, store.another()]
  const list = createRevocationList(store.another(), store.clock)
  let done = false
  const targets = Array.from({ length: 200 }, (_, index) => `t${index}`)
  const reader = (async () => {
    while (!done) await list.refresh()
  })()

  await Promise.all(
    targets.map(async (target, index) => {
      for (let turns = index % 7; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      await revocations.add(pools[index % 2]!, revocation(store, 'token', target))
    }),
  )
  done = true
  await reader
  await list.refresh()

  t.equal(list.size(), 200)
  t.ok(targets.every((target) => list.find({ kind: 'token', target })))
})

t.test('listBehind gives what came after the position, in order, and what could still end a token', async (t) => {
  const store = await openTestStore(t)
  await revocations.add(store.db, revocation(store, 'token', 'first', { expiresAt: store.later(60) }))
  await revocations.add(store.db, revocation(store, 'client', 'lasting', { terminal: true, expiresAt: undefined }))
  await revocations.add(store.db, revocation(store, 'token', 'third'))

  const all = await revocations.listBehind(store.db, 0n, store.now(), 100)
  t.match(all, [
    { kind: 'token', target: 'first', terminal: true, instant: store.now(), expiresAt: store.later(60) },
    { kind: 'client', target: 'lasting', terminal: true, expiresAt: undefined },
    { kind: 'token', target: 'third' },
  ])
  t.same(
    (await revocations.listBehind(store.db, all[1]!.position, store.now(), 100)).map(({ target }) => target),
    ['third'],
  )
  t.same(await revocations.listBehind(store.db, all[2]!.position, store.now(), 100), [])
  t.same(await revocations.listBehind(store.db, 0n, store.now(), 2), all.slice(0, 2), 'the first ones')
  store.clock.advance(60)
  t.same(
    (await revocations.listBehind(store.db, 0n, store.now(), 100)).map(({ target }) => target),
    ['lasting', 'third'],
  )
  t.same(
    await store.sql('SELECT bucket FROM revocation ORDER BY position').then((rows) => rows.map(({ bucket }) => bucket)),
    [dayBucket(store.later(0)), permanentBucket, dayBucket(store.later(3541))],
  )
})

t.test('each kind leaves its end mark where every later statement sees it', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const one = (table: string, column: string, value: string) =>
    store.sql(`SELECT * FROM ${table} WHERE ${column} = $1`, [value]).then(([row]) => row)

  const byGrant = await addRefreshToken(store, party)
  const standing = async () => (await refreshTokens.find(store.db, byGrant.bucket, byGrant.hash, store.now()))?.standing
  t.equal(await standing(), true)
  const { grant } = byGrant
  await revocations.add(store.db, revocation(store, 'grant', grant.id, { row: grant, reason: 'by hand' }))
  t.match(await one('authorization_grant', 'id', grant.id), { ended_at: store.now(), end_reason: 'by hand' })
  t.equal(await standing(), false)

  const { session, user, client } = party
  await revocations.add(store.db, revocation(store, 'session', session.id, { row: session }))
  t.match(await one('session', 'id', session.id), { ended_at: store.now(), end_reason: 'test' })

  await revocations.add(store.db, revocation(store, 'user', user.id, { row: { bucket: 0, id: user.id } }))
  t.match(await one('user_account', 'id', user.id), { not_before: store.now(), disabled_at: null })
  await revocations.add(store.db, revocation(store, 'client', client.clientId))
  t.match(await one('client', 'client_id', client.clientId), { not_before: store.now(), disabled_at: null })

  const before = store.now()
  store.clock.advance(10)
  const lasting = { terminal: true, expiresAt: undefined }
  await revocations.add(store.db, revocation(store, 'user', user.id, { row: { bucket: 0, id: user.id }, ...lasting }))
  await revocations.add(store.db, revocation(store, 'client', client.clientId, lasting))
  t.match(await one('user_account', 'id', user.id), { not_before: store.now(), disabled_at: store.now() })
  t.match(await one('client', 'client_id', client.clientId), { not_before: store.now(), disabled_at: store.now() })

  // A clock that is behind takes nothing back.
  await revocations.add(store.db, revocation(store, 'client', client.clientId, { instant: before }))
  t.match(await one('client', 'client_id', client.clientId), { not_before: store.now(), disabled_at: store.now() })
})

t.test('an entry never becomes weaker: neither its instant nor its end, nor that it is terminal', async (t) => {
  const store = await openTestStore(t)
  const earlier = store.now()
  const strong = revocation(store, 'client', 'c', {
    terminal: true,
    instant: store.later(5),
    expiresAt: store.later(3606),
  })
  const weak = () => revocation(store, 'client', 'c', { instant: earlier, event: store.event() })
  await revocations.add(store.db, strong)
  await revocations.add(store.db, weak())
  const expected = [
    { kind: 'client', target: 'c', terminal: true, instant: strong.instant, expiresAt: strong.expiresAt },
  ]
  t.match(await revocations.listBehind(store.db, 0n, store.now(), 100), expected)

  // Nor where both come in one statement.
  await Promise.all(
    [weak(), { ...strong, target: 'd', event: store.event() }, { ...weak(), target: 'd' }].map((each) =>
      revocations.add(store.db, each),
    ),
  )
  t.match(
    (await revocations.listBehind(store.db, 0n, store.now(), 100))
      .map(({ target, terminal }) => [target, terminal])
      .sort(),
    [
      ['c', true],
      ['d', true],
    ],
  )
})

t.test('lift ends a terminal entry; what was issued until then stays ended', async (t) => {
  const store = await openTestStore(t)
  const list = createRevocationList(store.db, store.clock)
  const issuedAt = Math.floor(store.now().getTime() / 1000)
  const target = { kind: 'client', target: 'c' } as const
  await revocations.add(store.db, revocation(store, 'client', 'c', { terminal: true, expiresAt: undefined }))
  await revocations.add(store.db, revocation(store, 'client', 'c'))
  await list.refresh()
  t.equal(list.ends([target], issuedAt + 1000), true)
  t.equal(list.earliestIat([target], store.now()), undefined, 'nothing is issued')

  store.clock.advance(60)
  await lift(store, 'client', 'c')
  await list.refresh()
  t.equal(list.ends([target], issuedAt), true)
  t.equal(list.ends([target], issuedAt + 60), true, 'up to the second in which it was lifted')
  t.equal(list.ends([target], issuedAt + 61), false)
  t.equal(list.earliestIat([target], store.now()), issuedAt + 61)
  t.match(await revocations.listBehind(store.db, 0n, store.now(), 100), [{ terminal: false }, { terminal: false }])

  await lift(store, 'user', 'c')
  t.equal(
    (await revocations.listBehind(store.db, 0n, store.now(), 100)).length,
    2,
    'another kind of the same name is another',
  )
})

t.test('a grant that is ended 200 times at once from two processes is one event, and one entry', async (t) => {
  const store = await openTestStore(t)
  const { grant } = await addRefreshToken(store, await addParty(store))
  const pools = [store.db, store.another()]

  await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      revocations.add(
        pools[index % 2]!,
        revocation(store, 'grant', grant.id, { row: grant, event: store.event('grant.revoked') }),
      ),
    ),
  )

  t.equal((await store.sql(`SELECT FROM audit_event WHERE type = 'grant.revoked'`)).length, 1)
  t.equal((await store.sql('SELECT FROM revocation')).length, 1)
})

t.test('two acts on one client in the same turn are two events', async (t) => {
  const store = await openTestStore(t)
  const { clientId } = await addClient(store)
  await Promise.all([
    revocations.add(store.db, revocation(store, 'client', clientId)),
    revocations.add(
      store.db,
      revocation(store, 'client', clientId, {
        terminal: true,
        expiresAt: undefined,
        event: store.event('client.disabled'),
      }),
    ),
  ])
  t.same(
    (await store.sql('SELECT type FROM audit_event ORDER BY type')).map(({ type }) => type),
    ['client.disabled', 'client.revoked'],
  )
})

t.test('mixed kinds from two processes and transactions between them do not deadlock', async (t) => {
  const store = await openTestStore(t)
  const parties = await Promise.all(Array.from({ length: 6 }, () => addParty(store)))
  const tokens = await Promise.all(parties.map((party) => addRefreshToken(store, party)))
  const kinds = ['grant', 'session', 'user', 'client'] as const
  const pools = [store.db, store.another()]

  await t.resolves(
    Promise.all(
      Array.from({ length: 240 }, async (_, index) => {
        const party = parties[index % 6]!
        const kind = kinds[Math.floor(index / 6) % 4]!
        const { grant } = tokens[index % 6]!
        const about = {
          grant: { target: grant.id, row: grant },
          session: { target: party.session.id, row: party.session },
          user: { target: party.user.id, row: { bucket: 0, id: party.user.id } },
          client: { target: party.client.clientId },
        }[kind]
        const entry = { ...revocation(store, kind, about.target), ...about }
        const db = pools[index % 2]!
        if (index % 12 === 0) return db.transaction((tx) => revocations.createAll(tx, [entry]))
        for (let turns = index % 5; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
        return revocations.add(db, entry)
      }),
    ),
  )
  t.equal((await store.sql('SELECT FROM revocation')).length, 24)
})

t.test('the cost of ending a user does not depend on how many tokens there are', async (t) => {
  const store = await openTestStore(t)
  /** Blocks that PostgreSQL touched for the statement, by its own count. */
  const cost = async (userId: string) => {
    const client = await connection(t, store)
    await client.query('SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan')
    // The statement as it is sent, taken on its way to the database.
    const sent: unknown[][] = []
    const tx = {
      query: async (_name: string, text: string, values: readonly unknown[]) => void sent.push([text, ...values]),
    }
    const entry = revocation(store, 'user', userId, { row: { bucket: 0, id: userId }, grantsOf: userId })
    await revocations.createAll(tx as unknown as Parameters<typeof revocations.createAll>[0], [entry])
    const [text, ...values] = sent[0]!
    const { rows } = await client.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values)
    const [{ Plan: plan }] = rows[0]['QUERY PLAN']
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  }
  // As a server has them: grants lie in a partition for each week.
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  const few = await addParty(store)
  await addRefreshToken(store, few)
  const many = await addParty(store)
  const { grant } = await addRefreshToken(store, many)
  const warm = await addUser(store)
  await cost(warm.id)
  const one = await cost(few.user.id)
  await store.sql(
    `INSERT INTO refresh_token (bucket, token_hash, grant_id, client_id, created_at, expires_at)
     SELECT $1, sha256(n::text::bytea), $2, $3, $4, $4 FROM generate_series(1, 100000) n`,
    [grant.bucket, grant.id, many.client.clientId, store.now()],
  )
  await store.sql(
    `INSERT INTO authorization_grant (bucket, id, client_id, user_id, resources, offline, auth_time, created_at, expires_at)
     SELECT $1, gen_random_uuid(), $3, $2, $5, false, $4, $4, $4 FROM generate_series(1, 100000) n`,
    [grant.bucket, many.user.id, many.client.clientId, store.now(), grant.resources],
  )
  const thousands = await cost(many.user.id)

  // The indexes of a larger table are a level or two deeper.
  t.ok(thousands <= one + 12, `${one} blocks with one token, ${thousands} with 100,000`)
})

/** A grant for these resources. */
async function grantFor(
  store: TestStore,
  party: Party,
  resources: readonly string[],
  lifetime?: number,
): Promise<void> {
  const expiresAt = store.later(60)
  const code = { bucket: dayBucket(expiresAt), hash: store.random.bytes(32), expiresAt }
  const grant = { ...newGrant(store, party, lifetime === undefined ? {} : { lifetime }), resources }
  t.equal(await grants.create(store.db, { grant, code, event: store.event() }), 'created')
}

const audiencesOf = async (store: TestStore, target: string) =>
  (await store.sql('SELECT audiences FROM revocation WHERE target = $1', [target])).map(({ audiences }) =>
    (audiences as string[]).sort(),
  )

t.test('a user concerns the resources of all their grants, in whatever week these end', async (t) => {
  const store = await openTestStore(t)
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  const party = await addParty(store)
  await addCode(store, await addParty(store))
  for (const [index, resources] of [['b'], ['a', 'b'], ['b'], ['c'], [], ['b', 'a'], ['d']].entries()) {
    await grantFor(store, party, resources, (index + 1) * 4 * 86_400)
  }
  const entry = (target: string, more: Partial<NewRevocation>) =>
    revocations.add(
      store.db,
      revocation(store, 'user', target, { audiences: ['self'], grantsOf: party.user.id, ...more }),
    )
  await entry(party.user.id, {})
  t.same(await audiencesOf(store, party.user.id), [['a', 'b', 'c', 'd', 'self']])

  const nobody = await addUser(store)
  await entry(nobody.id, { grantsOf: nobody.id })
  t.same(await audiencesOf(store, nobody.id), [['self']], 'nobody, which is not everybody')

  // More combinations than are looked up one by one: everybody is told.
  await store.sql(
    `INSERT INTO authorization_grant (bucket, id, client_id, user_id, resources, offline, auth_time, created_at, expires_at)
     SELECT 1, gen_random_uuid(), 'c', $1, ARRAY['r' || n], false, $2, $2, $2 FROM generate_series(1, 200) n`,
    [party.user.id, store.now()],
  )
  await entry('another', {})
  t.same(await audiencesOf(store, 'another'), [[]])
})

t.test('a client concerns what it may reach, or could within the lifetime of a token', async (t) => {
  const store = await openTestStore(t)
  const hourAgo = store.later(-3600)
  const clients = {
    limited: await addClient(store, { allowedResources: ['a', 'b'] }),
    everything: await addClient(store, { allowedResources: [] }),
    changed: await addClient(store, { allowedResources: ['a'], createdAt: store.later(-90_000), updatedAt: hourAgo }),
    settled: await addClient(store, {
      allowedResources: ['a'],
      createdAt: store.later(-90_000),
      updatedAt: store.later(-4000),
    }),
  }
  for (const { clientId } of Object.values(clients))
    await revocations.add(store.db, revocation(store, 'client', clientId))
  await revocations.add(store.db, revocation(store, 'client', 'unknown'))
  t.same(await audiencesOf(store, clients.limited.clientId), [['a', 'b']])
  t.same(await audiencesOf(store, clients.everything.clientId), [[]], 'everybody')
  t.same(await audiencesOf(store, clients.changed.clientId), [[]], 'everybody')
  t.same(await audiencesOf(store, clients.settled.clientId), [['a']])
  t.same(await audiencesOf(store, 'unknown'), [[]])
})

t.test('of one target both entries count: nobody who was to hear is left out', async (t) => {
  const store = await openTestStore(t)
  const add = (...audiences: string[]) => revocations.add(store.db, revocation(store, 'grant', 'g', { audiences }))
  await add('a')
  await add('b', 'a')
  t.same(await audiencesOf(store, 'g'), [['a', 'b']])
  await add()
  t.same(await audiencesOf(store, 'g'), [[]])
  await add('c')
  t.same(await audiencesOf(store, 'g'), [[]], 'everybody stays everybody')
})

t.test('a grant that is written while its user is revoked is found after the commit', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  await grantFor(store, party, ['a'])
  const other = await connection(t, store)
  await other.query('BEGIN; SELECT pg_advisory_xact_lock(7236402)')
  const entry = revocation(store, 'user', party.user.id, { audiences: ['self'], grantsOf: party.user.id })
  const revoking = revocations.add(store.db, entry)
  await someoneWaits(store)
  await grantFor(store, party, ['b'])
  await other.query('COMMIT')
  await revoking
  t.same(await audiencesOf(store, party.user.id), [['a', 'self']])
  t.equal(await revocations.reachesAll(store.db, entry, store.now()), false)
  await revocations.add(store.db, { ...entry, event: store.event() })
  t.same(await audiencesOf(store, party.user.id), [['a', 'b', 'self']])
  t.equal(await revocations.reachesAll(store.db, entry, store.now()), true)
})

t.test('the last position is the last that was taken', async (t) => {
  const store = await openTestStore(t)
  t.equal(await revocations.lastPosition(store.db), 0n)
  await revocations.add(store.db, revocation(store, 'grant', 'a'))
  t.equal(await revocations.lastPosition(store.db), 1n)
  await revocations.add(store.db, revocation(store, 'grant', 'b'))
  t.equal(await revocations.lastPosition(store.db), 2n)
})

t.test(
  'a failover that lost what was shown: its positions were given anew, and nobody misses the entries',
  async (t) => {
    const store = await openTestStore(t)
    const add = (target: string) => revocations.add(store.another(), revocation(store, 'grant', target))
    const list = createRevocationList(store.db, store.clock)
    const other = createRevocationList(store.another(), store.clock)
    await add('a')
    await add('lost')
    await Promise.all([list.refresh(), other.refresh()])
    t.equal(list.position(), 2n)

    // A standby that never got the second one takes over.
    await store.sql(`DELETE FROM revocation WHERE target = 'lost'`)
    await store.sql(`SELECT setval('revocation_position', 1)`)
    await loseConnections(store)
    await add('b')
    await list.refresh()
    t.ok(list.find({ kind: 'grant', target: 'b' }), 'though its position was known as another one')
    t.ok(list.position() > 2n)
    await other.refresh()
    t.ok(other.find({ kind: 'grant', target: 'b' }), 'also where it is not known that anything was lost')

    await store.sql(`SELECT setval('revocation_position', 1)`)
    await loseConnections(store)
    await list.refresh()
    t.equal(await revocations.lastPosition(store.db), list.position(), 'what comes next is behind what is known')
  },
)

t.test('what is listed while positions are given anew is not left behind', async (t) => {
  const store = await openTestStore(t)
  await revocations.add(store.db, revocation(store, 'grant', 'a'))
  const other = await connection(t, store)
  await other.query('BEGIN; SELECT pg_advisory_xact_lock(7236402)')
  const relisting = revocations.relist(store.db, 0n, 2n)
  await someoneWaits(store)
  await other.query(`UPDATE revocation SET position = 2 WHERE target = 'a'; COMMIT`)
  await relisting
  const [row] = await revocations.listBehind(store.db, 0n, store.now(), 10)
  t.equal(row?.position, 3n)
})

/** @returns once the pool knows */
async function loseConnections(store: TestStore): Promise<void> {
  const lost = new Promise((resolve) => store.db.pool.once('remove', resolve))
  const others = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()`
  await store.sql(others)
  await lost
}
