import t from 'tap'
import { fuzzInProcesses } from './processes.js'

const worker = new URL('./support/faulty-worker.mjs', import.meta.url)
const run = (seed: number, processes = 2) =>
  fuzzInProcesses({ requests: 100, seed, processes, worker, silence: 3_000, quiet: true })

for (const [seed, how] of [
  [1, /ended with 3/],
  [2, /was killed by SIGKILL/],
  [3, /gave no sign of life for 3 s/],
  [5, /ended with 1/],
] as const) {
  t.test(`a process that ${how.source} fails the run, ends the others and is run again by its seed`, async (t) => {
    const { failures, answers, requests, processes } = await run(seed)
    t.equal(failures.length, 1)
    t.match(failures[0], how)
    t.match(failures[0], new RegExp(`seed ${seed} .* round 3, whose seed is ${seed + 3}\n`))
    t.match(failures[0], `npm run fuzz -- --seed ${seed} --requests 50 --processes 1`)
    t.equal(answers['told to stop'], 1, 'the other one ended by itself')
    t.match({ requests, processes }, { requests: 20, processes: 2 }, 'what they did until then counts')
  })
}

t.test('what one finds fails the run and ends the others', async (t) => {
  const { failures, answers } = await run(4)
  t.same(failures, ['what it found'])
  t.same(answers, { failed: 1, 'told to stop': 1 })
})

t.test('a run that found nothing has no failure', async (t) => {
  const { failures, answers } = await run(6, 1)
  t.same(failures, [])
  t.same(answers, { whole: 1 })
})
