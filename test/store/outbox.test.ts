import t from 'tap'
import { listenForChanges, type NewRevocation, outbox, revocations, settings } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'
import { withClient } from '../support/test-postgres.js'

const [one, two] = ['https://one.example/events', 'https://two.example/events?tenant=1'] as const

const name = (store: TestStore, urls: readonly string[]) => settings.put(store.db, 'revocation_receivers', urls)

function revocation(store: TestStore, target: string, more: Partial<NewRevocation> = {}): NewRevocation {
  return {
    kind: 'token',
    target,
    terminal: true,
    instant: store.now(),
    expiresAt: store.later(3601),
    audiences: [],
    reason: 'test',
    event: store.event('token.revoked'),
    ...more,
  }
}

const rows = (store: TestStore) =>
  store.sql(
    `SELECT id, kind, destination, payload, created_at, next_attempt_at, attempts, claimed_until, last_error
       FROM outbox ORDER BY destination, payload->>'target'`,
  )

const lane = { kind: 'revocation', destination: one } as const

const claim = (store: TestStore, { db = store.db, limit = 100, destination = one as string, lease = 30 } = {}) =>
  outbox.claim(db, { ...lane, destination, now: store.now(), until: store.later(lease), limit })

/** A store in which so many messages wait for the first receiver. */
async function withMessages(test: Parameters<typeof openTestStore>[0], count: number): Promise<TestStore> {
  const store = await openTestStore(test)
  await name(store, [one])
  await Promise.all(Array.from({ length: count }, (_, n) => revocations.add(store.db, revocation(store, `t${n}`))))
  return store
}

t.test('a revocation writes one message for each receiver, and none where there is none', async (t) => {
  const store = await openTestStore(t)
  await revocations.add(store.db, revocation(store, 'before'))
  t.same(await rows(store), [])

  await name(store, [one, two])
  const told = revocation(store, 'told')
  await revocations.add(store.db, told)
  const found = await rows(store)
  t.match(found, [
    { kind: 'revocation', destination: one, attempts: 0, claimed_until: null, last_error: null },
    { kind: 'revocation', destination: two, created_at: store.now(), next_attempt_at: store.now() },
  ])
  const [listed] = (await revocations.listBehind(store.db, 0n, store.now(), 10)).slice(-1)
  const payload = {
    kind: 'token',
    target: 'told',
    terminal: true,
    instant: told.instant.getTime(),
    expiresAt: told.expiresAt?.getTime(),
    position: Number(listed?.position),
    event: told.event.id,
    lifted: false,
  }
  for (const row of found) t.same(row['payload'], payload, 'what the list says, and no more')
  t.equal(new Set(found.map(({ id }) => id)).size, 2, 'each with an id of its own')
  for (const { id } of found) t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)

  await name(store, [two])
  await revocations.add(store.db, revocation(store, 'later'))
  t.same(
    (await rows(store)).map(({ destination, payload }) => [destination, (payload as { target: string }).target]),
    [
      [one, 'told'],
      [two, 'later'],
      [two, 'told'],
    ],
    'from then on; what waits, waits',
  )
})

t.test('the message is in the transaction of the revocation: where that is undone, there is none', async (t) => {
  const store = await openTestStore(t)
  await name(store, [one])
  await t.rejects(
    store.db.transaction(async (tx) => {
      await revocations.create(tx, revocation(store, 'undone'))
      throw new Error('undone')
    }),
    { message: 'undone' },
  )
  t.same(await rows(store), [])
  t.same(await revocations.listBehind(store.db, 0n, store.now(), 10), [])

  await store.db.transaction((tx) => revocations.create(tx, revocation(store, 'done')))
  t.equal((await rows(store)).length, 1)
})

t.test('many in one statement: a message for each entry, in its words', async (t) => {
  const store = await openTestStore(t)
  await name(store, [one, two])
  const many = Array.from({ length: 300 }, (_, n) => revocation(store, `t${n % 100}`))
  await store.db.transaction((tx) => revocations.createAll(tx, many))
  const found = await rows(store)
  t.equal(found.length, 200, 'a target that comes three times is one entry')
  t.equal(new Set(found.map(({ id }) => id)).size, 200)
  const positions = await store.sql('SELECT target, position::int FROM revocation')
  const positionOf = new Map(positions.map(({ target, position }) => [target, position]))
  for (const { payload } of found) {
    const { target, position } = payload as { target: string; position: number }
    if (positionOf.get(target) !== position) t.fail(`${target} has another position in the list`)
  }
})

t.test('whoever is enabled again is told once, though the entry stands in two partitions', async (t) => {
  const store = await openTestStore(t)
  await revocations.add(store.db, revocation(store, 'u', { kind: 'user', expiresAt: undefined }))
  await revocations.add(store.db, revocation(store, 'u', { kind: 'user', terminal: false }))
  await name(store, [one])
  store.clock.advance(10)
  const event = store.event('user.enabled')
  await store.db.transaction((tx) => revocations.lift(tx, { kind: 'user', target: 'u', instant: store.now(), event }))
  const told = { kind: 'user', target: 'u', terminal: false, lifted: true, event: event.id }
  t.match(await rows(store), [{ payload: { ...told, instant: store.now().getTime() } }])

  await store.db.transaction((tx) =>
    revocations.lift(tx, { kind: 'user', target: 'nobody', instant: store.now(), event: store.event() }),
  )
  t.equal((await rows(store)).length, 1, 'of whom nothing is listed, nothing is told')
})

t.test('what is written is notified, and nothing else is', async (t) => {
  const store = await openTestStore(t)
  const heard: string[] = []
  let next = () => {}
  const listener = await listenForChanges({
    url: store.url,
    onChange({ kind }) {
      heard.push(kind)
      next()
    },
    onConnect: () => undefined,
    onError: (error) => t.fail(error.message),
  })
  t.teardown(() => listener.close())
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) await new Promise<void>((resolve) => (next = resolve))
  }
  await revocations.add(store.db, revocation(store, 'silent'))
  await until(1)
  await name(store, [one])
  await revocations.add(store.db, revocation(store, 'told'))
  await until(3)
  t.same(heard.slice(1).sort(), ['outbox', 'revocation'])
  t.same(heard[0], 'revocation')
})

t.test('200 claims at once by two pools: every message is claimed once', async (t) => {
  const store = await withMessages(t, 200)
  const pools = [store.db, store.another()]
  const claims = await Promise.all(Array.from({ length: 200 }, (_, n) => claim(store, { db: pools[n % 2]!, limit: 3 })))
  const ids = claims.flat().map(({ id }) => id)
  t.equal(ids.length, new Set(ids).size, 'none twice')
  // Whoever met one that was being claimed went on without it: what is left is there for the next.
  const rest = await claim(store, { limit: 200 })
  t.equal(ids.length + rest.length, 200)
  t.same(await claim(store), [], 'and now there is none')
  t.ok((await rows(store)).every(({ attempts }) => attempts === 1))
})

t.test('a message that somebody holds is passed over, and nobody waits for it', async (t) => {
  const store = await withMessages(t, 3)
  await withClient(store.url, async (client) => {
    await client.query('BEGIN')
    const { rows: held } = await client.query('SELECT id FROM outbox ORDER BY next_attempt_at LIMIT 1 FOR UPDATE')
    const claimed = (await claim(store)).map(({ id }) => id)
    t.equal(claimed.length, 2)
    t.notOk(claimed.includes(held[0]?.id))
    await client.query('ROLLBACK')
  })
  t.equal((await claim(store)).length, 1)
})

t.test('a claim that is over is another’s, and who had it changes nothing any more', async (t) => {
  const store = await withMessages(t, 1)
  const [first] = await claim(store)
  t.match(first, { ...lane, attempts: 1, createdAt: store.now(), payload: { target: 't0' } })
  store.clock.advance(29.999)
  t.same(await claim(store), [])
  store.clock.advance(0.001)
  const [second] = await claim(store)
  t.match(second, { id: first!.id, attempts: 2 }, 'the same id')

  await outbox.postpone(store.db, first!, store.later(600), 'timeout')
  await outbox.release(store.db, first!)
  t.equal(await store.db.transaction((tx) => outbox.giveUp(tx, first!)), false)
  t.match(await rows(store), [{ claimed_until: store.later(30), last_error: null }])

  await outbox.remove(store.db, first!)
  t.same(await rows(store), [], 'but what it has delivered is delivered')
})

t.test('postponed until its time; released at once; given up for good', async (t) => {
  const store = await withMessages(t, 1)
  const [message] = await claim(store)
  await outbox.postpone(store.db, message!, store.later(60), 'status_500')
  t.match(await rows(store), [{ claimed_until: null, next_attempt_at: store.later(60), last_error: 'status_500' }])
  t.same(await outbox.listDue(store.db, ['revocation'], store.now()), [])
  store.clock.advance(59.999)
  t.same(await claim(store), [])
  store.clock.advance(0.001)
  t.same(await outbox.listDue(store.db, ['revocation'], store.now()), [lane])
  const [again] = await claim(store)
  await outbox.release(store.db, again!)
  const [third] = await claim(store)
  t.equal(third?.attempts, 3)
  t.equal(await store.db.transaction((tx) => outbox.giveUp(tx, third!)), true)
  t.same(await rows(store), [])
})

t.test('what is overdue is given up by the lane, without what somebody delivers now', async (t) => {
  const store = await withMessages(t, 5)
  const [tried] = await claim(store)
  const overdue = (before: Date, limit = 100, destination: string = one) => {
    const wanted = { kind: 'revocation', destination, before, now: store.now(), limit }
    return store.db.transaction((tx) => outbox.giveUpOverdue(tx, wanted))
  }
  await outbox.postpone(store.db, tried!, store.later(60), 'timeout')
  t.equal(await overdue(store.now()), 0, 'none is older')
  t.equal(await overdue(store.later(1)), 0, 'the others are under way')
  store.clock.advance(31)
  t.equal(await overdue(store.later(1), 100, two), 0, 'another lane')
  t.equal(await overdue(store.later(1), 3), 3)
  t.equal(await overdue(store.later(1)), 1)
  t.match(await rows(store), [{ last_error: 'timeout' }], 'what waits for its time stays')
})

t.test('attack 133: what a clock that was ahead has put off or claimed does not wait for that time', async (t) => {
  const store = await withMessages(t, 2)
  store.clock.advance(86_400)
  const [postponed, claimed] = await claim(store)
  await outbox.postpone(store.db, postponed!, store.later(outbox.longestPause), 'timeout')
  store.clock.advance(-86_400)
  t.same(await outbox.listDue(store.db, ['revocation'], store.now()), [lane])
  t.same((await claim(store)).map(({ id }) => id).sort(), [postponed!.id, claimed!.id].sort())
})

t.test('lanes with something due, the one that waits longest first', async (t) => {
  const store = await openTestStore(t)
  const due = () => outbox.listDue(store.db, ['revocation'], store.now())
  t.same(await due(), [])
  await name(store, [one])
  await revocations.add(store.db, revocation(store, 'a'))
  store.clock.advance(1)
  await name(store, [two, 'https://three.example/'])
  await revocations.add(store.db, revocation(store, 'b'))
  t.same((await due()).map(({ destination }) => destination)[0], one)
  t.equal((await due()).length, 3)
  t.same(await outbox.listDue(store.db, ['mail'], store.now()), [], 'only what somebody here can deliver')
  await claim(store, { destination: two })
  t.same(
    (await due()).map(({ destination }) => destination),
    [one, 'https://three.example/'],
    'and nobody delivers already',
  )
})

t.test('list shows what waits, and retry makes it due', async (t) => {
  const store = await withMessages(t, 3)
  await name(store, [two])
  await revocations.add(store.db, revocation(store, 'other'))
  for (const message of await claim(store)) await outbox.postpone(store.db, message, store.later(500), 'timeout')
  const { messages, total } = await outbox.list(store.db, { limit: 2 })
  t.equal(total, 4)
  t.match(messages, [
    { destination: one, attempts: 1, lastError: 'timeout', nextAttemptAt: store.later(500), claimedUntil: undefined },
    { destination: one },
  ])
  t.match(await outbox.list(store.db, { destination: two, limit: 10 }), {
    total: 1,
    messages: [{ lastError: undefined }],
  })

  t.same(await claim(store), [])
  t.equal(await outbox.retry(store.db, { id: messages[0]!.id }, store.now()), 1)
  t.equal((await claim(store)).length, 1)
  t.equal(await outbox.retry(store.db, { destination: one }, store.now()), 3)
  t.equal((await claim(store)).length, 2, 'not the one that is under way')
  t.equal(await outbox.retry(store.db, {}, store.now()), 4)
})
