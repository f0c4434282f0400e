import t from 'tap'
import { systemRandom } from '../../../src/platform/random.js'

t.test('no byte is given twice, across many draws from the stock and beside it', async (t) => {
  const seen = new Set<string>()
  for (let round = 0; round < 2_000; round++) {
    for (const length of [12, 32, 512, 600]) {
      const bytes = systemRandom.bytes(length)
      t.equal(bytes.length, length)
      // 12 bytes: no two windows of this length are alike, wherever they begin in a draw.
      for (let at = 0; at + 12 <= Math.min(length, 36); at += 12) seen.add(bytes.toString('latin1', at, at + 12))
    }
  }
  t.equal(seen.size, 2_000 * (1 + 2 + 3 + 3))
})

t.test('what was given is its own: to write into it changes nothing else', async (t) => {
  const first = systemRandom.bytes(32)
  const copy = Buffer.from(first)
  systemRandom.bytes(32).fill(7)
  t.same(first, copy)
  first.fill(0)
  t.notSame(systemRandom.bytes(32), Buffer.alloc(32))
})
