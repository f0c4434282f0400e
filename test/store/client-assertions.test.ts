import t from 'tap'
import { clientAssertions, dayBucket } from '../../src/store/index.js'
import { openTestStore } from '../support/store.js'

t.test('RFC 7523 §3, 7: what was used is used, by its bucket and hash', async (t) => {
  const { db, random, now } = await openTestStore(t)
  const bucket = dayBucket(now())
  const hash = random.bytes(32)
  t.equal(await clientAssertions.spend(db, { buckets: [bucket], hash }), true)
  t.equal(await clientAssertions.spend(db, { buckets: [bucket], hash }), false)
  t.equal(await clientAssertions.spend(db, { buckets: [bucket], hash: random.bytes(32) }), true)
})

t.test('RFC 7523 §3, 7: of those that come together, the first wins', async (t) => {
  const { db, random, now } = await openTestStore(t)
  const bucket = dayBucket(now())
  const hashes = Array.from({ length: 20 }, () => random.bytes(32))
  const all = [...hashes, ...hashes.toReversed(), ...hashes].map((hash) => ({ buckets: [bucket], hash }))
  const won = await Promise.all(all.map((each) => clientAssertions.spend(db, each)))
  t.same(won, [...Array(20).fill(true), ...Array(40).fill(false)])
})

t.test('RFC 7523 §3, 7: what ends on either side of midnight has a day in common, and is used once', async (t) => {
  const { db, random, now, another } = await openTestStore(t)
  const today = dayBucket(now())
  for (const order of [
    [[today, today + 1], [today + 1]],
    [[today + 1], [today, today + 1]],
    [[today, today + 1], [today]],
  ]) {
    const hash = random.bytes(32)
    const spent: boolean[] = []
    for (const buckets of order) spent.push(await clientAssertions.spend(db, { buckets, hash }))
    t.same(spent, [true, false], JSON.stringify(order))
  }
  const beside = another()
  for (let round = 0; round < 20; round++) {
    const hash = random.bytes(32)
    const spent = await Promise.all([
      clientAssertions.spend(db, { buckets: [today, today + 1], hash }),
      clientAssertions.spend(beside, { buckets: [today + 1], hash }),
      clientAssertions.spend(db, { buckets: [today, today + 1], hash }),
    ])
    t.equal(spent.filter(Boolean).length, 1, 'of those at once one, and not none')
  }
})
