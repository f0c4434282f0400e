import t from 'tap'
import { TEST_START, TestClock } from '../../support/clock.js'
import { SeededRandom } from '../../support/random.js'

t.test('the test clock stands still until it is moved', async (t) => {
  const clock = new TestClock()
  t.same(clock.now(), TEST_START)
  clock.advance(60)
  t.equal(clock.now().getTime() - TEST_START.getTime(), 60_000)
  clock.advance(-120.5)
  t.equal(clock.now().getTime() - TEST_START.getTime(), -60_500)
  clock.set(TEST_START)
  t.same(clock.now(), TEST_START)
  clock.now().setFullYear(1970)
  t.same(clock.now(), TEST_START)
})

t.test('seeded randomness repeats, and differs by seed', async (t) => {
  const draw = (random: SeededRandom) => [random.bytes(5), random.bytes(40), random.bytes(0), random.bytes(3)]
  t.same(draw(new SeededRandom('a')), draw(new SeededRandom('a')))
  t.notSame(draw(new SeededRandom('a')), draw(new SeededRandom('b')))
  t.same(
    draw(new SeededRandom()).map((bytes) => bytes.length),
    [5, 40, 0, 3],
  )

  const random = new SeededRandom()
  const ids = new Set(Array.from({ length: 200 }, () => random.uuid()))
  t.equal(ids.size, 200)
  for (const id of ids) t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
