import t from 'tap'
import { nextSeed, runsIn, section, withSection } from './report.js'
import { type FuzzResult, inTurn, sum } from './result.js'

t.test('the section is written anew, and what others wrote stays', async (t) => {
  const first = withSection('# Reliability\n\nOthers.\n', '<!-- fuzz -->\none\n<!-- /fuzz -->')
  t.equal(first, '# Reliability\n\nOthers.\n\n<!-- fuzz -->\none\n<!-- /fuzz -->\n')
  const second = withSection(`${first}\nMore.\n`, '<!-- fuzz -->\ntwo\n<!-- /fuzz -->')
  t.equal(second, '# Reliability\n\nOthers.\n\n<!-- fuzz -->\ntwo\n<!-- /fuzz -->\n\nMore.\n')
})

const [heap, resident] = [100 * 1024 * 1024, 300 * 1024 * 1024]
const one: FuzzResult = {
  requests: 2_500_061,
  seed: 42,
  processes: 1,
  seconds: 3500,
  rounds: 500,
  parts: { requests: 2_400_000, sequences: 100_061 },
  recipes: { refresh: 12_345 },
  mutations: { drop: 2_222 },
  answers: { '200': 12, '400': 34_567 },
  longest: 321,
  late: 17,
  latest: 4_321,
  before: { heap, resident },
  after: { heap, resident },
  failures: [],
}

t.test('it holds every figure of the run, and what it was made of', async (t) => {
  const text = section([one], 48 * 1024 * 1024)
  for (const figure of [
    '2,500,061, in 500 rounds and 3,500 s',
    'seeds of its own | 1 |',
    '| 42 |',
    '321 ms',
    '17, the longest 4,321 ms',
    '100 MB',
    '300 MB',
    '48 MB',
    '200: 12',
    '400: 34,567',
    'requests: 2,400,000',
    'refresh: 12,345',
    'drop: 2,222',
  ]) {
    t.ok(text.includes(figure), figure)
  }
})

t.test('runs that went on from each other are one, with the seed of each', async (t) => {
  const next: FuzzResult = { ...one, seed: 100_042, processes: 2, seconds: 500 }
  t.match(inTurn([one, next]), { requests: 5_000_122, rounds: 1000, processes: 2, seconds: 4000 })
  const text = section([one, next], 48 * 1024 * 1024)
  t.ok(text.includes('5,000,122, in 1,000 rounds and 4,000 s'))
  t.ok(text.includes('| 42, 100042 |'))
})

t.test('the page says what the next run goes on from, a failure too', async (t) => {
  const failed: FuzzResult = { ...one, processes: 2, failures: ['an answer of 500\n  input: "--> $&"'] }
  const page = withSection('# Reliability\n', section([failed], 48 * 1024 * 1024))
  t.same(runsIn(page), [failed])
  t.equal(page.match(/-->/g)?.length, 1)
  t.equal(nextSeed(runsIn(page)), 200_042, 'behind those of both processes')
  t.same(runsIn('# Reliability\n'), [])
})

t.test('results of several processes are one: the worst of each kind, and every failure', async (t) => {
  const other: FuzzResult = {
    ...one,
    seed: 100_042,
    seconds: 3600,
    answers: { '200': 1, '503': 1 },
    longest: 999,
    latest: 1_001,
    after: { heap: 2 * heap, resident },
    failures: ['an answer of 503'],
  }
  t.match(sum([one, other]), {
    requests: 5_000_122,
    seed: 42,
    processes: 2,
    seconds: 3600,
    rounds: 1000,
    parts: { requests: 4_800_000, sequences: 200_122 },
    answers: { '200': 13, '400': 34_567, '503': 1 },
    longest: 999,
    late: 34,
    latest: 4_321,
    after: { heap: 2 * heap },
    failures: ['an answer of 503'],
  })
  t.equal(sum([other, one]).after.heap, 2 * heap, 'of the one that grew most')
})
