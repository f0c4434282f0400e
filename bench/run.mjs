// `npm run bench`: everything in one run, about six minutes, written to bench/RESULTS.md.
//
//   npm run bench -- --only refresh    the scenarios whose name has this in it: printed, not written
//   npm run bench -- --seconds 1       shorter rounds: printed, not written

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { openEmbeddedPostgres } from '../dist/platform/embedded-postgres/index.js'
import { describeResults } from './results.mjs'
import { scenarios } from './scenarios.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const rounds = 3
const connections = 64
const warmUp = 2
/** Milliseconds for all of it, and for an answer of one of our processes beyond the time that it loads. */
const runDeadline = 20 * 60_000
const answerDeadline = 60_000

const { values: options } = parseArgs({ options: { only: { type: 'string' }, seconds: { type: 'string' } } })
const seconds = Number(options.seconds ?? 6)

/** Processes are ended and folders removed, whatever happens. */
const cleanups = []

/** Before anything is pinned: afterwards only one core is left to this process. */
const pinned = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0
if (pinned) execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '1', `${process.pid}`], { stdio: 'ignore' })
else console.log('Nothing is pinned to a core: there is no taskset, or only one core.')

function startProcess(file, core) {
  const command = [process.execPath, join(here, file)]
  const [program, ...args] = pinned && core !== undefined ? ['taskset', '--cpu-list', `${core}`, ...command] : command
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const end = async () => {
    child.kill('SIGKILL')
    await ended
  }
  cleanups.push(end)
  return {
    end,
    ask(question, extra = 0) {
      return new Promise((resolve, reject) => {
        const settle = (act) => (value) => {
          clearTimeout(timer)
          child.off('message', answered)
          child.off('close', closed)
          child.off('error', failed)
          act(value)
        }
        const answered = settle((answer) => (answer.error ? reject(new Error(answer.error)) : resolve(answer)))
        const closed = settle(() => reject(new Error(`${file} ended.`)))
        const failed = settle(reject)
        const timer = setTimeout(settle(reject), answerDeadline + extra, new Error(`${file} does not answer.`))
        child.once('message', answered)
        child.once('close', closed)
        child.once('error', failed)
        child.send(question, (error) => error && failed(error))
      })
    },
  }
}

function openPostgres() {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-bench-'))
  // As root PostgreSQL runs under an account that must pass this folder; what is in it stays private.
  if (process.geteuid?.() === 0) chmodSync(folder, 0o711)
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const log = { info: () => undefined, warn: console.warn, error: console.error }
  const opening = openEmbeddedPostgres({ dataDir: join(folder, 'data'), log, holder: 'server' })
  // Also where it opens while we are told to stop.
  cleanups.push(async () => (await opening).stop())
  return opening
}

async function query(url, text) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

async function startServers({ candidates, prepare }, postgres) {
  const servers = new Map()
  for (const name of new Set(candidates.map(({ server }) => server))) {
    const server = startProcess(`servers/${name}.mjs`, 0)
    const { port, jobs } = await server.ask({ databaseUrl: postgres.url, prepare, chains: connections * (rounds + 1) })
    servers.set(name, { ...server, origin: `http://127.0.0.1:${port}`, jobs })
  }
  return servers
}

/** A part of a job that no other part has: a refresh token whose last answer was cut off is not used again. */
function partOf(job, part) {
  if (!job.chain) return job
  return {
    ...job,
    chain: { ...job.chain, tokens: job.chain.tokens.slice(part * connections, (part + 1) * connections) },
  }
}

async function measure(load, server, job, duration) {
  const before = await server.ask('usage')
  const result = await load.ask({ ...job, origin: server.origin, connections, seconds: duration }, duration * 1000)
  const after = await server.ask('usage')
  const { failures, unexpected, requests, elapsed } = result
  if (failures > 0 || unexpected !== undefined || requests === 0) {
    throw new Error(`${requests} answers, ${failures} failures; unexpected: ${unexpected ?? 'none'}`)
  }
  const { verified } = await load.ask({ verifyRun: true })
  const cpu = after.cpu - before.cpu
  return {
    ...result,
    verified,
    rate: requests / elapsed,
    cpu: cpu / requests,
    core: cpu / 1e6 / elapsed,
    rss: after.rss,
  }
}

/** On a new database, which the server shares with the ceiling. */
async function runScenario(scenario, load) {
  console.log(`\n${scenario.name}`)
  const postgres = await openPostgres()
  const [{ server_version: version }] = await query(postgres.url, 'SHOW server_version')
  const servers = await startServers(scenario, postgres)
  const candidates = scenario.candidates.map((candidate) => ({ ...candidate, rounds: [] }))
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const candidate of candidates) {
        const server = servers.get(candidate.server)
        const job = { name: candidate.job, ...partOf(server.jobs[candidate.job], round) }
        const result = await measure(load, server, job, round === 0 ? warmUp : seconds).catch((error) => {
          throw new Error(`${scenario.name}, ${candidate.name}: ${error.message}`, { cause: error })
        })
        if (round === 0) continue
        candidate.rounds.push(result)
        const { rate, cpu, core, busy } = result
        console.log(
          `  ${round} ${candidate.name}: ${rate.toFixed(0)}/s, ${cpu.toFixed(0)} µs, ` +
            `server ${(core * 100).toFixed(0)} %, load ${(busy * 100).toFixed(0)} % of a core`,
        )
      }
    }
  } finally {
    for (const server of servers.values()) await server.end()
    await postgres.stop()
  }
  return { name: scenario.name, candidates, postgres: version }
}

async function run() {
  const load = startProcess('load.mjs')
  const measured = []
  for (const scenario of scenarios) {
    const wanted = scenario.name.toLowerCase().includes((options.only ?? '').toLowerCase())
    if (wanted) measured.push(await runScenario(scenario, load))
  }
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
  const versions = Object.fromEntries(
    ['fastify', 'oidc-provider', 'autocannon'].map((name) => [name, dependencies[name]]),
  )
  const text = describeResults(measured, { pinned, seconds, rounds, connections, versions })
  console.log(`\n${text}`)
  if (options.only === undefined && options.seconds === undefined) writeFileSync(join(here, 'RESULTS.md'), text)
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
for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) {
  try {
    await cleanup()
  } catch (error) {
    console.error(error)
    status = 1
  }
}
process.exit(status)
