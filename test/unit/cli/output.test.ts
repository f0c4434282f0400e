import t from 'tap'
import { pairs, table, timeText } from '../../../src/cli/output.js'

const columns = [
  { title: 'ID', value: (row: readonly string[]) => row[0] ?? '' },
  { title: 'NAME', value: (row: readonly string[]) => row[1] ?? '', flexible: true },
  { title: 'SCOPE', value: (row: readonly string[]) => row[2] ?? '', flexible: true },
]

t.test('columns are as wide as what stands in them', async (t) => {
  t.equal(
    table(
      [
        ['a', 'Ann', 'read'],
        ['bcd', '', 'read write'],
      ],
      columns,
      Number.POSITIVE_INFINITY,
    ),
    'ID   NAME  SCOPE\na    Ann   read\nbcd  -     read write\n',
  )
})

t.test('on a narrow terminal the flexible ones give way, the widest first', async (t) => {
  const rows = [['identifier-that-stays', 'A rather long name', 'read write delete administer everything']]
  for (const width of [60, 50, 45]) {
    const lines = table(rows, columns, width).split('\n')
    for (const line of lines) t.ok(line.length <= width, `${width}: ${line}`)
    t.match(lines[1], 'identifier-that-stays')
    t.match(lines[1], '…')
  }
  t.match(table(rows, columns, 10), 'identifier-that-stays', 'what cannot be narrower runs over')
})

t.test('attack 131: what others wrote cannot move the cursor, forge a line or turn the text', async (t) => {
  for (const text of ['a\nb', '\u001b[2Jx', '\u202etxt', 'a\r\nSTATE  enabled', '\u0007', 'x\u009b31m']) {
    const printed = table([[text, text, text]], columns, 80)
    t.equal(printed.split('\n').length, 3)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    t.notMatch(printed.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
    t.equal(pairs([['name', text]]).split('\n').length, 2)
  }
})

t.test('pairs leave out what is not there; times are UTC', async (t) => {
  t.equal(
    pairs([
      ['a', 'x'],
      ['long', undefined],
      ['b', ''],
    ]),
    '  a  x\n',
  )
  t.equal(timeText(new Date('2026-03-01T12:00:00.987Z')), '2026-03-01 12:00:00Z')
  t.equal(timeText(undefined), '-')
})
