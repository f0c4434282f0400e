import t from 'tap'
import { addTo, newTally, rowsOf } from '../../../src/usage/tally.js'
import type { Use } from '../../../src/usage/trail.js'

const noon = new Date('2026-03-01T12:30:00.000Z')
const later = (minutes: number) => new Date(noon.getTime() + minutes * 60_000)
const use = (more: Partial<Use> = {}): Use => ({
  ...{ kind: 'api_key', credential: 'k', api: 'a', scope: 'read', outcome: 'accepted', at: noon, from: '192.0.2.0/24' },
  ...more,
})

function tally(uses: readonly Use[], capacity = 1_000, most = 1_000) {
  const all = newTally()
  for (const each of uses) addTo(all, each, capacity)
  return { all, ...all, rows: rowsOf(all, { counts: [], networks: [] }, most) }
}

const sum = (rows: readonly { count: number }[]) => rows.reduce((total, { count }) => total + count, 0)

t.test('a use is counted once as a whole, and once for each of its scopes, by the hour', (t) => {
  const { rows } = tally([use(), use({ scope: 'read write' }), use({ scope: '' }), use({ at: later(30) })])
  const found = rows.counts.map(({ hour, scope, count }) => [hour.toISOString().slice(11, 13), scope, count])
  t.same(found, [
    ['12', '', 3],
    ['12', 'read', 2],
    ['12', 'write', 1],
    ['13', '', 1],
    ['13', 'read', 1],
  ])
  t.end()
})

t.test('a network has its first and its last use, also where an earlier one is reported later', (t) => {
  const { rows } = tally([use({ at: later(10) }), use({ at: noon, count: 5 }), use({ from: undefined })])
  t.match(rows.networks, [
    { network: '192.0.2.0/24', count: 6, firstSeen: noon, lastSeen: later(10) },
    { network: 'unknown', count: 1 },
  ])
  t.end()
})

t.test('of the uses of one credential, each is counted where it belongs, in whatever order they come', (t) => {
  const different: Partial<Use>[] = [
    {},
    { from: '198.51.100.0/24' },
    { outcome: 'ended' },
    { api: 'b' },
    { scope: 'write' },
    { superseded: true },
    { kind: 'client' },
    { at: later(60) },
    { at: later(24 * 60) },
  ]
  // Each after itself and after each other.
  const uses = different.flatMap((one) => different.flatMap((other) => [use(one), use(other)]))
  const { rows } = tally(uses)
  const each = uses.length / different.length
  const whole = rows.counts.filter(({ scope }) => scope === '')
  // Neither by where they came from nor by what they were for: there is one line for all three.
  t.same(
    whole.map(({ kind, api, outcome, superseded, count }) => [kind, api, outcome, superseded, count]),
    [
      ['api_key', 'a', 'accepted', false, 3 * each],
      ['api_key', 'a', 'ended', false, each],
      ['api_key', 'b', 'accepted', false, each],
      ['api_key', 'a', 'accepted', true, each],
      ['client', 'a', 'accepted', false, each],
      ['api_key', 'a', 'accepted', false, each],
      ['api_key', 'a', 'accepted', false, each],
    ],
  )
  t.equal(sum(rows.counts.filter(({ scope }) => scope === 'write')), each)
  const found = rows.networks.map(({ kind, api, superseded, network, count }) => [
    kind,
    api,
    superseded,
    network,
    count,
  ])
  t.same(found, [
    // All that differ in the outcome, the scope or the hour alone.
    ['api_key', 'a', false, '192.0.2.0/24', 4 * each],
    ['api_key', 'a', false, '198.51.100.0/24', each],
    ['api_key', 'b', false, '192.0.2.0/24', each],
    ['api_key', 'a', true, '192.0.2.0/24', each],
    ['client', 'a', false, '192.0.2.0/24', each],
    ['api_key', 'a', false, '192.0.2.0/24', each],
  ])
  t.end()
})

t.test('past the bounds of memory the numbers are kept, and nothing else is', (t) => {
  const many = Array.from({ length: 500 }, (_, n) => use({ credential: `k${n}`, from: `10.0.${n % 256}.0/24` }))
  const { all, counts, networks, rows } = tally(many, 100)
  t.ok(counts.size <= 101 && networks.size <= 101 && all.last.size <= 100)
  const whole = rows.counts.filter(({ scope }) => scope === '')
  t.equal(sum(whole), 500)
  t.match(
    whole.find(({ credential }) => credential === '*'),
    { outcome: 'uncounted', count: 400, api: '' },
  )
  t.equal(sum(rows.networks), 500)
  t.match(
    rows.networks.find(({ credential }) => credential === '*'),
    { network: 'more', count: 400 },
  )
  t.end()
})

t.test('what waits for the database is added to, and bounded as well', (t) => {
  const first = tally([use(), use({ credential: 'other' })])
  const { all } = tally([use({ at: later(5) }), use({ credential: 'new' })])
  const rows = rowsOf(all, first.rows, 3)
  t.equal(sum(rows.counts.filter(({ scope }) => scope === '')), 4)
  t.match(
    rows.counts.find(({ credential, scope }) => credential === 'k' && scope === ''),
    { count: 2 },
  )
  t.match(
    rows.networks.find(({ credential }) => credential === 'k'),
    { count: 2, lastSeen: later(5) },
  )
  t.ok(rows.counts.length <= 4)
  t.end()
})
