import t from 'tap'
import { dayBucket, type Interaction, interactions } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

async function add(store: TestStore, lifetime = 3600): Promise<Interaction> {
  const expiresAt = store.later(lifetime)
  const interaction = {
    bucket: dayBucket(expiresAt),
    idHash: store.random.bytes(32),
    browserHash: store.random.bytes(32),
    clientId: 'client',
    request: { scope: ['read'], state: `"'\\ ünï`, nested: { a: [1, null] } },
    createdAt: store.now(),
    expiresAt,
  }
  await interactions.create(store.db, interaction)
  return interaction
}

const find = (store: TestStore, { bucket, idHash }: Interaction) => interactions.find(store.db, bucket, idHash)

t.test('what is found is what was stored, also when it is over: the page says which', async (t) => {
  const store = await openTestStore(t)
  const interaction = await add(store)
  t.same(await find(store, interaction), { ...interaction, authenticatedAt: undefined, completedAt: undefined })
  t.equal(await find(store, { ...interaction, bucket: interaction.bucket + 1 }), undefined)
  t.equal(await find(store, { ...interaction, idHash: store.random.bytes(32) }), undefined)
  store.clock.advance(7200)
  t.ok(await find(store, interaction))
})

t.test('of 200 answers at once from two processes exactly one is the answer', async (t) => {
  const store = await openTestStore(t)
  const interaction = await add(store)
  const pools = [store.db, store.another()]
  const won = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      interactions.complete(pools[index % 2]!, interaction, store.now(), store.event()),
    ),
  )
  t.equal(won.filter(Boolean).length, 1)
  t.equal((await store.sql('SELECT FROM audit_event')).length, 1, 'and its event alone is written')
  t.same((await find(store, interaction))?.completedAt, store.now())
})

t.test('an interaction that has expired is answered no more', async (t) => {
  const store = await openTestStore(t)
  const interaction = await add(store, 60)
  store.clock.advance(60)
  t.equal(await interactions.complete(store.db, interaction, store.now()), false)
})

t.test('it remembers its request as long as it waits, and no longer', async (t) => {
  const store = await openTestStore(t)
  const interaction = await add(store)
  const request = { scope: [], text: `"'\\ ünï` }
  await interactions.setRequest(store.db, interaction, request)
  t.same((await find(store, interaction))?.request, request)

  await interactions.complete(store.db, interaction, store.now())
  await interactions.setRequest(store.db, interaction, { changed: true })
  t.same((await find(store, interaction))?.request, request)
})
