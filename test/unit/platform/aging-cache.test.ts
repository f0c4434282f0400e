import t from 'tap'
import { createAgingCache } from '../../../src/platform/aging-cache.js'

/** A cache whose reads are answered by hand, in any order. */
function openScene() {
  let now = 1_000
  const reads: ((value: string | undefined) => void)[] = []
  const cache = createAgingCache<string>(() => new Promise((resolve) => reads.push(resolve)), {
    capacity: 10,
    milliseconds: () => now,
  })
  return { cache, reads, later: () => ++now, now: () => now }
}

t.test('who wants nothing older than an instant does not join a read that began before it', async (t) => {
  const { cache, reads, later } = openScene()
  const first = cache.find('a')
  const since = later()
  const second = cache.find('a', since)
  t.equal(reads.length, 2)
  const third = cache.find('a', since)
  t.equal(cache.find('a') instanceof Promise && reads.length, 2, 'one that began then or later is joined')

  reads[1]?.('after the change')
  t.equal(await second, 'after the change')
  t.equal(await third, 'after the change')
  reads[0]?.('before the change')
  t.equal(await first, 'before the change')
  t.equal(await cache.find('a'), 'after the change', 'what came back last, and was read before, is not remembered')
  t.equal(reads.length, 2)
})

t.test('who wants no more than is remembered joins a read that is under way', async (t) => {
  const { cache, reads, later } = openScene()
  const asked = [cache.find('a'), cache.find('a')]
  later()
  asked.push(cache.find('a'))
  t.equal(reads.length, 1)
  reads[0]?.('one')
  t.same(await Promise.all(asked), ['one', 'one', 'one'])
  t.equal(await cache.find('a'), 'one')
})

t.test('a read that ends after a drop is not remembered', async (t) => {
  const { cache, reads } = openScene()
  const asked = cache.find('a')
  cache.drop('a')
  reads[0]?.('before')
  t.equal(await asked, 'before')
  const again = cache.find('a')
  reads[1]?.('after')
  t.equal(await again, 'after')
})
