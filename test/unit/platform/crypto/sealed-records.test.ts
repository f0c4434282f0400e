import t from 'tap'
import { createOpener, createSealer } from '../../../../src/platform/crypto/sealed-records.js'

const key = Buffer.alloc(32, 1)
const header = Buffer.from('{"a":1}\n')
const records = ['one', '', 'three', 'three'].map((text) => Buffer.from(text))

function sealAll(): readonly Buffer[] {
  const seal = createSealer({ key, header })
  return records.map((record, index) => seal(record, index === records.length - 1))
}

t.test('records open in the order in which they were sealed', async (t) => {
  const open = createOpener({ key, header })
  t.same(
    sealAll().map((record, index) => open(record, index === records.length - 1)),
    records,
  )
})

t.test('nothing else opens', async (t) => {
  const [first, second, third, last] = sealAll() as [Buffer, Buffer, Buffer, Buffer]
  const refuses = (order: readonly (readonly [Buffer, boolean])[], name: string, other: object = {}): void => {
    const open = createOpener({ key, header, ...other })
    t.throws(() => {
      for (const [record, isLast] of order) open(record, isLast)
    }, name)
  }
  refuses([[second, false]], 'a record left out')
  refuses(
    [
      [first, false],
      [third, false],
    ],
    'a record left out in the middle',
  )
  refuses(
    [
      [first, false],
      [first, false],
    ],
    'a record twice',
  )
  refuses([[first, true]], 'one that is not the last as the last')
  refuses(
    [
      [first, false],
      [second, false],
      [third, false],
      [last, false],
    ],
    'the last as one before it',
  )
  refuses(
    [
      [first, false],
      [second, false],
      [last, true],
    ],
    'an equal record in another place',
  )
  refuses([[first, false]], 'under another header', { header: Buffer.from('{"a":2}\n') })
  refuses([[first, false]], 'under another key', { key: Buffer.alloc(32, 2) })
  for (let at = 0; at < first.length; at++) {
    const altered = Buffer.from(first)
    altered[at]! ^= 1
    refuses([[altered, false]], `with byte ${at} altered`)
  }
  refuses([[first.subarray(0, 15), false]], 'shorter than its tag')
})
