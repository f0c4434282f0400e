// `npm run fuzz`: the fuzz of test/fuzz, for as long as one likes, and what it came to in docs/reliability.md.
//
//   npm run fuzz                             5,000,000 requests
//   npm run fuzz -- --minutes 30             as many as there are in that time
//   npm run fuzz -- --seed 7 --requests 5000 the first round of that seed, to see again what it found

import { parseArgs } from 'node:util'
import t from 'tap'
import { fuzz, growthBound } from './fuzz.js'
import { writeReport } from './report.js'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '5000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 30)) },
    minutes: { type: 'string' },
  },
})

t.setTimeout(0)
t.test('fuzz', async (t) => {
  const seed = Number(values.seed)
  const result = await fuzz(t, {
    requests: Number(values.requests),
    seed,
    minutes: values.minutes === undefined ? undefined : Number(values.minutes),
    onRound({ rounds, requests, seconds, longest, after }) {
      if (rounds % 20 > 1) return
      const heap = Math.round(after.heap / 1024 / 1024)
      t.comment(`${requests} requests in ${seconds} s, longest answer ${longest} ms, heap ${heap} MB (seed ${seed})`)
    },
  })
  t.comment(JSON.stringify(result, undefined, 2))
  await writeReport(result, growthBound)
  t.same(result.failures, [])
})
