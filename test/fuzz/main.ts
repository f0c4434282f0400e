// `npm run fuzz`: the fuzz of test/fuzz, for as long as one likes, and what it came to in docs/reliability.md.
//
//   npm run fuzz                             5,000,000 requests, by as many processes as there are cores
//   npm run fuzz -- --minutes 30             as many as there are in that time
//   npm run fuzz -- --continue               goes on with what the report is about, with other seeds, up to so many in all
//   npm run fuzz -- --seed 7 --requests 5000 --processes 1
//                                            the first round of that seed, to see again what it found

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { testPostgres } from '../support/test-postgres.js'
import { growthBound } from './fuzz.js'
import { fuzzInProcesses } from './processes.js'
import { nextSeed, reportedRuns, writeReport } from './report.js'
import type { Runs } from './result.js'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '5000000' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    continue: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
})
const earlier = values.continue ? await reportedRuns() : []
const seed = values.seed === undefined ? nextSeed(earlier) : Number(values.seed)
const requests = Number(values.requests)
const processes = Number(values.processes)
const minutes = values.minutes === undefined ? undefined : Number(values.minutes)
for (const number of [requests, seed, processes, minutes ?? 1]) {
  if (!Number.isFinite(number)) throw new Error('--requests, --seed, --minutes and --processes are numbers.')
}
const left = requests - earlier.reduce((all, each) => all + each.requests, 0)
if (left <= 0) throw new Error(`${requests - left} requests were sent before: --requests must say more.`)

// One PostgreSQL for all of them. What it is reached by is handed down.
const { url, template } = await testPostgres()
Object.assign(process.env, { OSTIARY_TEST_SERVER: url, OSTIARY_TEST_TEMPLATE: template })

// What was sent until then counts; a second interrupt ends it at once.
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())

let told = performance.now()
const result = await fuzzInProcesses({
  requests: left,
  seed,
  processes,
  minutes,
  signal: stop.signal,
  onRound({ requests, seconds, longest, late, after }) {
    if (performance.now() - told < 30_000) return
    told = performance.now()
    const heap = Math.round(after.heap / 1024 / 1024)
    console.log(
      `${requests} requests in ${seconds} s, longest answer ${longest} ms, ${late} late, heap ${heap} MB (seed ${seed})`,
    )
  },
})
console.log(JSON.stringify({ ...result, failures: result.failures.length }, undefined, 2))
const runs: Runs = [...earlier, result]
await writeReport(runs, growthBound)
for (const failure of result.failures) console.error(failure)
process.exit(result.failures.length > 0 ? 1 : 0)
