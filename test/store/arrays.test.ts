import fc from 'fast-check'
import t from 'tap'
import { byteas, ints, jsonbs, texts, times, uuids } from '../../src/store/arrays.js'
import { openTestStore } from '../support/store.js'

const { db } = await openTestStore(t)

/** What PostgreSQL has read, as it writes it. */
async function read(type: string, parameter: unknown): Promise<unknown> {
  const [row] = await db.query(`test.${type}`, `SELECT $1::${type}[] AS a`, [parameter])
  return row?.['a']
}

const orNull = <T>(values: readonly (T | undefined)[]) => values.map((value) => value ?? null)
const listOf = <T>(element: fc.Arbitrary<T>) => fc.array(fc.option(element, { nil: undefined }), { maxLength: 20 })
/** Without what PostgreSQL has no text for: NUL, and half a character. */
const text = fc.string({ unit: 'binary' }).filter((value) => !value.includes('\0'))
const time = fc.date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })

const kinds = [
  ['int4', ints, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })],
  ['text', texts, text],
  ['uuid', uuids, fc.uuid()],
  ['timestamptz', times, time],
  ['bytea', byteas, fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes))],
  [
    'jsonb',
    jsonbs,
    fc.dictionary(fc.constantFrom('scope', 'aud', 'exp'), fc.oneof(text, fc.integer()), { maxKeys: 1 }),
  ],
] as const

for (const [type, parameter, element] of kinds) {
  t.test(`${type}[] arrives as it was sent, with what is not there as NULL`, async (t) => {
    const send = parameter as (values: readonly unknown[]) => unknown
    await fc.assert(
      fc.asyncProperty(listOf(element as fc.Arbitrary<unknown>), async (values) => {
        t.strictSame(JSON.stringify(await read(type, send(values))), JSON.stringify(orNull(values)))
      }),
      { numRuns: 50, seed: 1 },
    )
  })
}

t.test('times are exact to the millisecond, before and after 2000', async (t) => {
  const all = [
    '1970-01-01T00:00:00.001Z',
    '1999-12-31T23:59:59.999Z',
    '2000-01-01T00:00:00.000Z',
    '2038-01-19T03:14:08.123Z',
  ]
  t.same(
    await read('timestamptz', times(all.map((one) => new Date(one)))),
    all.map((one) => new Date(one)),
  )
})

t.test('what is no UUID is refused, and not sent as another one', async (t) => {
  for (const wrong of ['', 'x', '00000000-0000-4000-8000-00000000000', 'g0000000-0000-4000-8000-000000000000']) {
    t.throws(() => uuids([wrong]).toPostgres(), TypeError)
  }
})
