// `npm run bench`: everything in one run, about twenty-five minutes, written to bench/RESULTS.md.
//
//   npm run bench -- --only refresh     the hot paths whose name has this in it: printed, not written
//   npm run bench -- --hot --growth     these phases alone: their part of RESULTS.md is written anew
//   npm run bench -- --seconds 1        shorter rounds, and --rounds 1 fewer of them: printed, not written
//   npm run bench -- --tokens 1000000   fewer refresh tokens in the growth phase: printed, not written

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cleanUp, here, pinned, pinSelf, startProcess } from './machine.mjs'
import { phases } from './phases/index.mjs'
import { describeMachine, describeResults } from './results/index.mjs'
import { scenarios } from './scenarios.mjs'

/** Milliseconds for all of it. */
const runDeadline = 60 * 60_000

const flags = Object.fromEntries(phases.map(({ name }) => [name, { type: 'boolean' }]))
const texts = Object.fromEntries(['only', 'seconds', 'rounds', 'tokens'].map((name) => [name, { type: 'string' }]))
const { values: options } = parseArgs({ options: { ...flags, ...texts } })
/** Whether this is no run for the results: what takes minutes is shortened. */
const trial = ['seconds', 'rounds', 'tokens'].some((name) => options[name] !== undefined)
const settings = {
  rounds: Number(options.rounds ?? 3),
  seconds: Number(options.seconds ?? 5),
  connections: 64,
  trial,
  tokens: Number(options.tokens ?? (trial ? 200_000 : 20_000_000)),
}

function wantedScenarios() {
  const text = (options.only ?? '').toLowerCase()
  const wanted = scenarios.filter(({ name }) => name.toLowerCase().includes(text))
  if (wanted.length > 0) return wanted
  throw new Error(
    `No hot path has "${options.only}" in its name. There are: ${scenarios.map(({ name }) => name).join('; ')}.`,
  )
}

function wantedPhases() {
  const named = phases.filter(({ name }) => options[name])
  if (named.length > 0) return named
  return options.only === undefined ? phases : phases.filter(({ name }) => name === 'hot')
}

async function run() {
  const chosen = wantedScenarios()
  pinSelf()
  if (!pinned) console.log('Nothing is pinned to a core: there is no taskset, or only one core.')
  const file = join(here, 'results.json')
  const written = options.only === undefined && !trial
  const results = written ? readResults(file) : {}
  for (const { name, title, measure } of wantedPhases()) {
    console.log(`\n# ${title}`)
    const startedAt = Date.now()
    const load = startProcess('load.mjs')
    const measured = await measure(load, { ...settings, scenarios: chosen })
    await load.end()
    const took = Math.round((Date.now() - startedAt) / 1000)
    results[name] = { at: new Date(startedAt).toISOString(), took, machine: await describeMachine(), ...measured }
    console.log(`(${took} s)`)
    // After each phase: a long run that is interrupted has not been for nothing.
    if (written) writeFileSync(file, `${JSON.stringify(results, undefined, 1)}\n`)
    if (written) writeFileSync(join(here, 'RESULTS.md'), describeResults(results))
  }
  console.log(`\n${describeResults(results)}`)
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return {}
    throw error
  }
}

const stopped = new Promise((_resolve, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => reject(new Error('Interrupted.')))
  setTimeout(reject, runDeadline, new Error('The run takes too long.')).unref()
})

let status = 0
try {
  await Promise.race([run(), stopped])
} catch (error) {
  console.error(error)
  status = 1
}
process.exit((await cleanUp()) ? status : 1)
