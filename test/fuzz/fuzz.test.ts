import t from 'tap'
import { fuzz, growthBound } from './fuzz.js'
import { fuzzInProcesses } from './processes.js'

/** All of it where every change is checked; on one's own machine a taste of it. `npm run fuzz` goes on for longer. */
const requests = process.env['CI'] ? 100_000 : 5_000
/** As many everywhere, so that the requests are the same. */
const processes = process.env['CI'] ? 2 : 1

t.setTimeout(15 * 60_000)

t.test(
  'bad input is refused: no 5xx, no hang, no growth, no secret told, nothing spent by what was refused',
  async (t) => {
    // The same every time: what is new is looked for by `npm run fuzz`, whose seed is another at each run.
    const seed = Number(process.env['FUZZ_SEED'] ?? 1)
    t.comment(`seed ${seed}`)
    const result =
      processes === 1 ? await fuzz(t, { requests, seed }) : await fuzzInProcesses({ requests, seed, processes })
    t.comment(JSON.stringify(result))
    t.same(result.failures, [], `seed ${seed}`)
    t.ok(result.requests >= requests, `${result.requests} requests`)
    t.ok(result.after.heap - result.before.heap <= growthBound)
    if (requests >= 100_000) t.ok(result.answers['429'], 'the normal bounds were reached')
    // A generator that only made what is refused at once would find nothing.
    for (const status of [
      '200',
      '303',
      '400',
      '401',
      '403',
      '404',
      '405',
      '413',
      '415',
      'document refused',
      'document registered',
    ]) {
      t.ok(result.answers[status], `${status} was answered`)
    }
  },
)
