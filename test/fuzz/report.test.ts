import t from 'tap'
import { section, withSection } from './report.js'

t.test('the section is written anew, and what others wrote stays', async (t) => {
  const first = withSection('# Reliability\n\nOthers.\n', '<!-- fuzz -->\none\n<!-- /fuzz -->')
  t.equal(first, '# Reliability\n\nOthers.\n\n<!-- fuzz -->\none\n<!-- /fuzz -->\n')
  const second = withSection(`${first}\nMore.\n`, '<!-- fuzz -->\ntwo\n<!-- /fuzz -->')
  t.equal(second, '# Reliability\n\nOthers.\n\n<!-- fuzz -->\ntwo\n<!-- /fuzz -->\n\nMore.\n')
})

t.test('it holds every figure of the run', async (t) => {
  const memory = { heap: 100 * 1024 * 1024, resident: 300 * 1024 * 1024 }
  const result = { requests: 5_000_123, seed: 42, seconds: 3600, rounds: 1000, longest: 321, late: 17, failures: [] }
  const text = section(
    { ...result, answers: { '200': 12, '400': 34_567 }, before: memory, after: memory },
    48 * 1024 * 1024,
  )
  for (const figure of [
    '5,000,123',
    '1,000 rounds',
    '42',
    '321 ms',
    '| 17 |',
    '100 MB',
    '300 MB',
    '48 MB',
    '200: 12',
    '400: 34,567',
  ]) {
    t.match(text, figure)
  }
})
