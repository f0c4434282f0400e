import t from 'tap'
import { createTurns } from '../../packages/resource-server/src/turns.js'
import { TestPlatform } from './support/platform.js'

/** Work that the test ends, one at a time. */
function open(waiting: number) {
  const platform = new TestPlatform()
  const { take } = createTurns(platform, { atOnce: 1, waiting })
  const begun: string[] = []
  const ends: (() => void)[] = []
  function work(name: string, source?: string): Promise<string> {
    const working = async () => {
      begun.push(name)
      await new Promise<void>((resolve) => ends.push(resolve))
      return name
    }
    return take(working, source).catch(({ message }) => message)
  }
  async function endOne(): Promise<void> {
    ends.shift()!()
    for (let turns = 0; turns < 5; turns++) await Promise.resolve()
  }
  return { platform, work, begun, endOne }
}

t.test('of one source, who came first is first', async (t) => {
  const { work, begun, endOne } = open(10)
  const all = ['one', 'two', 'three'].map((name) => work(name))
  for (let count = 0; count < 3; count++) await endOne()
  t.same(begun, ['one', 'two', 'three'])
  t.same(await Promise.all(all), begun)
})

t.test('of several sources each has a turn after the other, however many one has waiting', async (t) => {
  const { work, begun, endOne } = open(100)
  const all = Array.from({ length: 20 }, (_, index) => work(`flood ${index}`, 'flood'))
  all.push(work('one', 'a'), work('two', 'a'), work('three', 'b'))
  for (let count = 0; count < 23; count++) await endOne()
  t.same(begun.slice(0, 6), ['flood 0', 'flood 1', 'one', 'three', 'flood 2', 'two'])
  t.equal((await Promise.all(all)).length, 23)
})

t.test('where no more can wait, the source that has the most gives way', async (t) => {
  const { work, begun, endOne } = open(4)
  const flood = Array.from({ length: 8 }, (_, index) => work(`flood ${index}`, 'flood'))
  const [one, two, three] = [work('one', 'a'), work('two', 'a'), work('three', 'a')]
  const refused = 'Too many ask at once'
  for (const each of [...flood.slice(3), three]) t.equal(await each, refused)
  const other = work('other', 'b')
  t.equal(await flood[2], refused, 'of two that have as many, the one that was there before')
  for (let count = 0; count < 5; count++) await endOne()
  t.same(begun, ['flood 0', 'flood 1', 'one', 'other', 'two'])
  t.same(await Promise.all([...flood.slice(0, 2), one, other, two]), begun)
})

t.test('who has waited too long is refused, and takes no turn', async (t) => {
  const { platform, work, begun, endOne } = open(4)
  const [one, two] = [work('one', 'a'), work('two', 'b')]
  platform.advance(2_000)
  t.equal(await two, 'There was no turn in time')
  const three = work('three', 'b')
  await endOne()
  await endOne()
  t.same(begun, ['one', 'three'])
  t.same(await Promise.all([one, three]), ['one', 'three'])
  const four = work('four')
  await endOne()
  t.equal(await four, 'four', 'and all turns were given back')
  t.equal(platform.timers, 0)
})
