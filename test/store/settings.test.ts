import t from 'tap'
import { settings } from '../../src/store/index.js'
import { openTestStore } from '../support/store.js'

t.test('a setting is made once: of 50 at once from two processes exactly one makes it', async (t) => {
  const store = await openTestStore(t)
  t.equal(await settings.find(store.db, 'demo'), undefined)
  const pools = [store.db, store.another()]
  const made = await Promise.all(
    Array.from({ length: 50 }, (_, n) => settings.create(pools[n % 2]!, 'demo', { n, text: `"'\\` })),
  )
  t.equal(made.filter(Boolean).length, 1)
  t.same(await settings.find(store.db, 'demo'), { n: made.indexOf(true), text: `"'\\` })
})

t.test('a setting that changes is what was put last', async (t) => {
  const store = await openTestStore(t)
  for (const urls of [['https://one.example/'], ['https://two.example/', 'https://one.example/'], []]) {
    await settings.put(store.db, 'revocation_receivers', urls)
    await settings.put(store.db, 'revocation_receivers', urls)
    t.same(await settings.find(store.db, 'revocation_receivers'), urls)
  }
})
