import t from 'tap'
import { clientAssertions, dayBucket } from '../../src/store/index.js'
import { openTestStore } from '../support/store.js'

t.test('RFC 7523 §3, 7: what was used is used, by its bucket and hash', async (t) => {
  const { db, random, now } = await openTestStore(t)
  const bucket = dayBucket(now())
  const hash = random.bytes(32)
  t.equal(await clientAssertions.spend(db, { bucket, hash }), true)
  t.equal(await clientAssertions.spend(db, { bucket, hash }), false)
  t.equal(await clientAssertions.spend(db, { bucket, hash: random.bytes(32) }), true)
})

t.test('RFC 7523 §3, 7: of those that come together, the first wins', async (t) => {
  const { db, random, now } = await openTestStore(t)
  const bucket = dayBucket(now())
  const hashes = Array.from({ length: 20 }, () => random.bytes(32))
  const all = [...hashes, ...hashes.toReversed(), ...hashes].map((hash) => ({ bucket, hash }))
  const won = await Promise.all(all.map((each) => clientAssertions.spend(db, each)))
  t.same(won, [...Array(20).fill(true), ...Array(40).fill(false)])
})
