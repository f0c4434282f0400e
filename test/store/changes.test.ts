import t, { type Test } from 'tap'
import { type Change, listenForChanges, notify } from '../../src/store/index.js'
import { createDatabaseProxy } from '../support/database-proxy.js'
import { openTestStore, type TestStore } from '../support/store.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}

/** Those that keep the process alive. */
const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length

async function listen(t: Test, { url, heartbeat }: { readonly url: string; readonly heartbeat?: number }) {
  const heard: Change[] = []
  const errors: Error[] = []
  let connects = 0
  const listener = await listenForChanges({
    url,
    ...(heartbeat === undefined ? {} : { heartbeat }),
    onChange: (change) => heard.push(change),
    onConnect: () => connects++,
    onError: (error) => errors.push(error),
  })
  t.teardown(() => listener.close())
  return { listener, heard, errors, connects: () => connects }
}

const terminate = (store: TestStore) =>
  store.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'ostiary listener' AND datname = current_database()`)

t.test('every kind of change arrives at every process, on commit', async (t) => {
  const store = await openTestStore(t)
  const [one, two] = [await listen(t, store), await listen(t, store)]
  const changes: Change[] = [
    { kind: 'client', id: 'a client: with a colon' },
    { kind: 'user', id: 'a user' },
    { kind: 'resources' },
    { kind: 'keys' },
    { kind: 'revocation' },
    { kind: 'failures', id: 'abc:7:1' },
  ]

  await store.db.transaction(async (tx) => {
    for (const change of changes) await notify(tx, change)
    // What another connection says arrives before: this one has not committed.
    await store.sql(`NOTIFY ostiary, 'client:first'`)
    await until(() => one.heard.length > 0)
  })
  await store.db
    .transaction(async (tx) => {
      await notify(tx, { kind: 'client', id: 'undone' })
      throw new Error('undone')
    })
    .catch(() => undefined)
  await notify(store.db, { kind: 'client', id: 'last' })

  for (const { heard } of [one, two]) {
    await until(() => heard.length >= 8)
    t.same(heard, [{ kind: 'client', id: 'first' }, ...changes, { kind: 'client', id: 'last' }])
  }
})

t.test('what is none of ours is left alone', async (t) => {
  const store = await openTestStore(t)
  const { heard } = await listen(t, store)
  for (const payload of ['', 'unknown', 'unknown:x', ':', 'keysx'])
    await store.sql(`SELECT pg_notify('ostiary', $1)`, [payload])
  await store.sql(`SELECT pg_notify('another', 'keys')`)
  await notify(store.db, { kind: 'keys' })
  await until(() => heard.length > 0)
  t.same(heard, [{ kind: 'keys' }])
})

t.test('a connection that is lost is made again, and whoever listens is told to read what was missed', async (t) => {
  const store = await openTestStore(t)
  const { listener, heard, errors, connects } = await listen(t, store)
  t.equal(listener.connected(), true)
  t.equal(connects(), 1)

  for (let round = 1; round <= 2; round++) {
    await terminate(store)
    await until(() => !listener.connected())
    await notify(store.db, { kind: 'keys' })
    await until(() => listener.connected())
    t.equal(connects(), round + 1)
    t.equal(errors.length, round, 'one word about each loss')
    await notify(store.db, { kind: 'client', id: `after ${round}` })
    await until(() => heard.some((change) => 'id' in change && change.id === `after ${round}`))
  }
})

t.test('a connection that carries nothing any more is given up, though nobody said that it broke', async (t) => {
  const store = await openTestStore(t)
  const proxy = await createDatabaseProxy(t, store.url)
  const { listener, heard, errors, connects } = await listen(t, { url: proxy.url, heartbeat: 50 })

  proxy.swallow(true)
  await until(() => !listener.connected())
  t.ok(errors.length > 0)
  proxy.swallow(false)
  await until(() => listener.connected())
  t.ok(connects() > 1)
  await notify(store.db, { kind: 'keys' })
  await until(() => heard.length > 0)
  t.same(heard, [{ kind: 'keys' }])
})

t.test('one that was closed stays closed', async (t) => {
  const store = await openTestStore(t)
  const { listener, errors } = await listen(t, store)
  await listener.close()
  t.equal((await terminate(store)).length, 0)
  t.equal(errors.length, 0)
  await listener.close()

  const lost = await listen(t, store)
  const terminated = terminate(store)
  await until(() => !lost.listener.connected())
  // Nothing else runs between the two counts: the one timer that goes is the one of the next attempt.
  const waiting = timers()
  const closing = lost.listener.close()
  t.equal(timers(), waiting - 1, 'also while it waits to connect again')
  await Promise.all([closing, terminated])
  t.equal((await terminate(store)).length, 0)
})

t.test('whoever cannot connect at first is told, and nothing goes on trying behind his back', async (t) => {
  let errors = 0
  const options = {
    url: 'postgres://nobody@127.0.0.1:1/none',
    onChange: () => undefined,
    onConnect: () => undefined,
    onError: () => errors++,
  }
  await t.rejects(listenForChanges(options), { code: 'ECONNREFUSED' })
  t.equal(errors, 1)
  t.equal(timers(), 0, 'no timer is left')
})
