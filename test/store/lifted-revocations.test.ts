import t from 'tap'
import { createRevocationList } from '../../src/revocation/index.js'
import { permanentBucket, revocations } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const day = 86_400

/** As disabling writes it. */
const disable = (store: TestStore, kind: 'client' | 'user', target: string) =>
  revocations.add(store.db, {
    kind,
    target,
    terminal: true,
    instant: store.now(),
    audiences: [],
    reason: 'test',
    event: store.event(`${kind}.disabled`),
  })

const enable = (store: TestStore, kind: 'client' | 'user', target: string) =>
  store.db.transaction((tx) => revocations.lift(tx, { kind, target, instant: store.now(), event: store.event() }))

const permanent = async ({ sql }: TestStore) =>
  (await sql('SELECT target FROM revocation WHERE bucket = $1 ORDER BY 1', [permanentBucket])).map(
    ({ target }) => target,
  )

t.test('whoever is enabled again leaves no row for ever', async (t) => {
  const store = await openTestStore(t)
  await disable(store, 'client', 'enabled')
  await disable(store, 'client', 'disabled')
  await disable(store, 'client', 'disabled again')
  await enable(store, 'client', 'enabled')
  await enable(store, 'client', 'disabled again')
  const enabledAt = Math.floor(store.now().getTime() / 1000)
  store.clock.advance(day)
  t.equal(await revocations.deleteLifted(store.db, store.now()), 0, 'what it could end may be alive')
  await disable(store, 'client', 'disabled again')
  store.clock.advance(1)
  t.equal(await revocations.deleteLifted(store.db, store.now()), 1)
  t.same(await permanent(store), ['disabled', 'disabled again'])

  const list = createRevocationList(store.db, store.clock)
  await list.refresh()
  t.equal(list.find({ kind: 'client', target: 'enabled' }), undefined)
  for (const target of ['disabled', 'disabled again']) {
    t.equal(list.ends([{ kind: 'client', target }], enabledAt + 2 * day), true, target)
  }
})

t.test('one who had heard of it goes on as before, and hears when it is disabled again', async (t) => {
  const store = await openTestStore(t)
  const list = createRevocationList(store.db, store.clock)
  const targets = [{ kind: 'user', target: 'ada' }] as const
  await disable(store, 'user', 'ada')
  await list.refresh()
  await enable(store, 'user', 'ada')
  await list.refresh()
  store.clock.advance(day + 1)
  await revocations.deleteLifted(store.db, store.now())
  await list.refresh()
  const now = Math.floor(store.now().getTime() / 1000)
  t.equal(list.ends(targets, now), false)
  await disable(store, 'user', 'ada')
  await list.refresh()
  t.equal(list.ends(targets, now + 1000), true)
})
