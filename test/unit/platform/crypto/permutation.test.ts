import { createHash } from 'node:crypto'
import t from 'tap'
import { createPermutation } from '../../../../src/platform/crypto/permutation.js'

const size = 2 ** 20
const key = (seed: string) => createHash('sha256').update(seed).digest()

t.test('every number below 2^20 comes out once', async (t) => {
  for (const seed of ['a', 'b', 'c']) {
    const permute = createPermutation(key(seed))
    const seen = new Uint8Array(size)
    for (let value = 0; value < size; value++) {
      const image = permute(value)
      seen[image] = (seen[image] ?? 0) + 1
    }
    t.ok(
      seen.every((times) => times === 1),
      seed,
    )
  }
})

t.test('the same key gives the same order, another key another', async (t) => {
  const [one, same, other] = [createPermutation(key('a')), createPermutation(key('a')), createPermutation(key('b'))]
  let agreed = 0
  for (let value = 0; value < size; value++) {
    if (one(value) !== same(value)) return t.fail(`${value} differs`)
    if (one(value) === other(value)) agreed++
  }
  // Of two random orders one number is expected to agree.
  t.ok(agreed < 10, `${agreed} agree`)
})

t.test('neighbours land nowhere near each other: as far apart as chance has it, in every bit', async (t) => {
  const permute = createPermutation(key('neighbours'))
  const changed = new Array<number>(20).fill(0)
  let distance = 0
  for (let value = 0; value < size; value += 2) {
    const [a, b] = [permute(value), permute(value + 1)]
    distance += Math.abs(a - b)
    for (let bit = 0; bit < 20; bit++) if (((a ^ b) >> bit) & 1) changed[bit]!++
  }
  const pairs = size / 2
  // A third of the range is the mean distance of two numbers that were drawn.
  t.ok(Math.abs(distance / pairs / size - 1 / 3) < 0.002, `${distance / pairs / size}`)
  // Half of the pairs differ in a bit: five standard deviations of 2^19 coins are 0.0035.
  for (const [bit, count] of changed.entries())
    t.ok(Math.abs(count / pairs - 0.5) < 0.0035, `bit ${bit}: ${count / pairs}`)
})

t.test('every tenth of a block lies evenly over the list', async (t) => {
  const permute = createPermutation(key('blocks'))
  const cells = new Array<number>(64).fill(0)
  for (let value = 0; value < 16_384; value++) cells[permute(value) >> 14]!++
  const chi = cells.reduce((sum, count) => sum + (count - 256) ** 2 / 256, 0)
  // With 63 degrees of freedom, one in a million is above 130.
  t.ok(chi < 130, `chi squared is ${chi}`)
})
