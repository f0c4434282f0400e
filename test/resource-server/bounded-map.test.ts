import t from 'tap'
import { createBoundedMap } from '../../packages/resource-server/src/bounded-map.js'

t.test('it holds the last so many, however many were put in', (t) => {
  const map = createBoundedMap<number>(1_000, Number.POSITIVE_INFINITY)
  for (let index = 0; index < 100_000; index++) {
    map.set(`key ${index}`, index)
    if (map.size() > 1_000) t.fail(`${map.size()} entries`)
  }
  t.equal(map.size(), 1_000)
  t.equal(map.get('key 98999'), undefined)
  t.equal(map.get('key 99000'), 99_000)
  t.equal(map.get('key 99999'), 99_999)
  t.end()
})

t.test('it holds no more than so many characters of keys', (t) => {
  const map = createBoundedMap<number>(1_000, 100)
  for (let index = 0; index < 10; index++) map.set(`${index}`.repeat(30), index)
  t.equal(map.size(), 3)
  map.set('x'.repeat(101), 0)
  t.equal(map.get('x'.repeat(101)), undefined, 'one that is longer than all is not kept')
  t.equal(map.size(), 3, 'and drives nothing out')
  for (let index = 0; index < 1_000; index++) {
    map.set('a'.repeat(90), index)
    map.delete('a'.repeat(90))
  }
  for (let index = 0; index < 10; index++) map.set(`${index}`.repeat(10), index)
  t.equal(map.size(), 10, 'what was put in twice or taken out is not counted')
  t.end()
})

t.test('what is put in anew is the newest', (t) => {
  const map = createBoundedMap<number>(2, 100)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  map.set('c', 4)
  t.same([map.get('a'), map.get('b'), map.get('c')], [3, undefined, 4])
  map.clear()
  t.equal(map.size(), 0)
  t.end()
})
