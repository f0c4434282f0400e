import t from 'tap'
import { createRevocationTable, type ListedRevocation, type RevocationTable } from '../../../src/revocation/table.js'
import type { EndableBy, RevocationKind } from '../../../src/store/index.js'
import { SeededRandom } from '../../support/random.js'

/** The same in the plainest way: a Map gives what is put into it last at its end. */
function createModel() {
  const entries = new Map<string, ListedRevocation>()
  const keyOf = ({ kind, target }: EndableBy) => `${kind} ${target}`
  return {
    entries,
    put(entry: ListedRevocation) {
      entries.delete(keyOf(entry))
      entries.set(keyOf(entry), entry)
    },
    find: (target: EndableBy) => entries.get(keyOf(target)),
    behind: (position: number, audience: string) =>
      [...entries.values()].filter(
        (entry) => entry.position > position && (entry.audiences.length === 0 || entry.audiences.includes(audience)),
      ),
    sweep(now: number) {
      for (const [key, { expiresAt }] of entries) if (expiresAt !== undefined && expiresAt <= now) entries.delete(key)
    },
  }
}

function put(table: RevocationTable, entry: ListedRevocation): void {
  table.put(entry, () => entry)
}

/** Of tens of thousands, in a moment. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

const kinds: readonly RevocationKind[] = ['token', 'grant', 'session', 'client', 'user', 'role', 'key']
const audiences = [[], ['https://one.example'], ['https://two.example'], ['https://one.example', 'https://two.example']]

function entryOf(position: number, more: Partial<ListedRevocation> = {}): ListedRevocation {
  return {
    kind: 'token',
    target: `t${position}`,
    terminal: true,
    instant: position * 10,
    expiresAt: undefined,
    position,
    audiences: [],
    ...more,
  }
}

t.test('what is put, replaced and swept by the thousand is what a Map would hold', async (t) => {
  const random = new SeededRandom(t.fullname)
  const draw = (below: number) => random.bytes(4).readUInt32BE() % below
  const [table, model] = [createRevocationTable(), createModel()]
  const targets: EndableBy[] = []
  for (let position = 1; position <= 40_000; position++) {
    const known = draw(5) === 0 ? targets[draw(targets.length || 1)] : undefined
    const kind = kinds[draw(kinds.length)]!
    const drawn = { kind, target: draw(4) === 0 ? `https://client.example/${position}` : random.uuid() }
    const target = known ?? drawn
    targets.push(target)
    const entry = entryOf(position, {
      ...target,
      terminal: draw(2) === 0,
      instant: 1_700_000_000_000 + draw(1_000_000_000),
      // One in a thousand lasts.
      expiresAt: draw(1000) === 0 ? undefined : position + draw(12_000),
      audiences: audiences[draw(audiences.length)]!,
    })
    put(table, entry)
    model.put(entry)
    if (position % 4_000 !== 0) continue
    table.sweep((expiresAt) => expiresAt <= position)
    model.sweep(position)
    t.equal(table.size(), model.entries.size)
    for (const from of [0, 1, position - 3_000, position - 1, position, draw(position)]) {
      const [given, expected] = [table, model].map((each) => [...each.behind(from, 'https://one.example')])
      t.ok(isSame(given, expected), `behind ${from}`)
    }
  }
  for (const target of targets) {
    const [found, expected] = [table.find(target), model.find(target)]
    if (!isSame(found, expected)) t.same(found, expected, target.target)
  }
  table.sweep(() => true)
  t.equal(table.size(), 0)
  t.same([...table.behind(0, 'https://one.example')], [])
  put(table, entryOf(40_001))
  t.same([...table.behind(0, 'https://one.example')], [entryOf(40_001)])
})

t.test('a target is what it says, letter by letter', async (t) => {
  const table = createRevocationTable()
  const uuid = '0d6c1f5e-8a3b-4f1c-9a44-1f4f9d1d7aff'
  const others = [
    uuid.toUpperCase(),
    uuid.replaceAll('-', ''),
    `${uuid} `,
    uuid.replace('-', '_'),
    `${uuid.slice(0, 8)}0-${uuid.slice(10)}`,
    uuid.replace('0', '０'),
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '00000000-0000-0000-0000-000000000000',
    '',
  ]
  put(table, entryOf(1, { target: uuid }))
  for (const target of others) t.equal(table.find({ kind: 'token', target }), undefined, target)
  t.equal(table.find({ kind: 'grant', target: uuid }), undefined, 'nor is it of another kind')
  for (const [index, target] of others.entries()) put(table, entryOf(index + 2, { target }))
  t.same(
    [...table.behind(0, 'x')].map(({ target }) => target),
    [uuid, ...others],
  )
  for (const [index, target] of others.entries()) t.equal(table.find({ kind: 'token', target })?.position, index + 2)
})

t.test('whoever reads in pieces misses nothing when rows are put together meanwhile', async (t) => {
  const table = createRevocationTable()
  const count = 40_000
  for (let position = 1; position <= count; position++) {
    put(table, entryOf(position, { expiresAt: position % 100 === 0 ? undefined : 1 }))
  }
  const reader = table.behind(0, 'x')[Symbol.iterator]()
  const read = [reader.next().value, reader.next().value]
  t.match(read, [{ position: 1 }, { position: 2 }])
  table.sweep((expiresAt) => expiresAt === 1)
  t.equal(table.size(), count / 100)
  put(table, entryOf(count + 1))
  const rest: number[] = []
  for (let each = reader.next(); !each.done; each = reader.next()) rest.push(each.value.position)
  t.same(rest, [...Array.from({ length: count / 100 }, (_, n) => (n + 1) * 100), count + 1])
})

t.test('in another order: sorted by position, and whoever was reading hears of it', async (t) => {
  const table = createRevocationTable()
  for (const position of [3, 1, 2]) put(table, entryOf(position))
  const reader = table.behind(0, 'x')[Symbol.iterator]()
  reader.next()
  table.sort()
  t.throws(() => reader.next(), /another order/)
  t.same(
    [...table.behind(1, 'x')].map(({ position }) => position),
    [2, 3],
  )
  t.equal(table.size(), 3)
  t.equal(table.find({ kind: 'token', target: 't1' })?.position, 1)
})
