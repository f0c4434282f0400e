// How soon the server is ready on a database that is there already, and what it keeps in memory: idle, and over minutes
// of load.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { bothCores, pssOf, rssOf, serverCore } from '../machine.mjs'
import { describe, makeFolder, openPostgres } from '../postgres.mjs'
import { startProduct } from '../product.mjs'
import { introspectionJobs, loginJobs, openSite, plainJobs, stockChains } from '../site.mjs'

const starts = 5
/** Seconds. */
const idleTime = 20
const loadTime = 300
const sampleEvery = 5

export async function measureStartAndMemory(load, { trial, seconds }) {
  const masterKey = randomBytes(32).toString('base64')
  const count = trial ? 1 : starts
  const embedded = await measureStarts({ DATA_DIR: join(makeFolder(), 'data') }, count, trial ? 1 : idleTime)
  const postgres = await openPostgres()
  try {
    const env = { DATABASE_URL: postgres.url, MASTER_KEY: masterKey }
    const external = await measureStarts(env, count, trial ? 1 : idleTime)
    const memory = await measureMemory(load, { env, masterKey, postgres, length: trial ? seconds * 3 : loadTime })
    return { starts: { embedded, external }, memory, idleTime }
  } finally {
    await postgres.stop()
  }
}

/** The first start makes the database; it is not one of those that count. */
async function measureStarts(env, count, idle) {
  await (await startProduct(env, { cores: bothCores })).end()
  const times = []
  let rss
  for (let turn = 1; turn <= count; turn++) {
    const server = await startProduct(env, { cores: bothCores })
    times.push(server.readyAfter)
    if (turn === count) {
      await new Promise((resolve) => setTimeout(resolve, idle * 1000))
      rss = rssOf(server.pid)
    }
    await server.end()
  }
  times.sort((a, b) => a - b)
  console.log(`  ready after ${times.map((time) => time.toFixed(0)).join(', ')} ms; idle ${(rss / 1e6).toFixed(0)} MB`)
  return { median: times[times.length >> 1], least: times[0], most: times.at(-1), idleRss: rss }
}

/** All kinds of requests in turn, a few seconds each, for minutes. */
async function measureMemory(load, { env, masterKey, postgres, length }) {
  const site = await openSite({ databaseUrl: env.DATABASE_URL, masterKey, tag: 'memory' })
  const server = await startProduct(env, { cores: serverCore })
  const { tree } = await describe(postgres.url)
  const samples = []
  const sample = (at) => samples.push({ at, rss: rssOf(server.pid), postgres: pssOf(tree()) })
  let timer
  try {
    const jobs = { ...plainJobs(site), ...(await loginJobs(site)), ...(await introspectionJobs(site, server.origin)) }
    const startedAt = performance.now()
    const elapsed = () => (performance.now() - startedAt) / 1000
    sample(0)
    timer = setInterval(() => sample(elapsed()), Math.min(sampleEvery, length / 6) * 1000)
    const turn = Math.min(8, length / 12)
    const closed = (name, more) =>
      load.ask(
        { closed: { name, origin: server.origin, connections: 64, seconds: turn, ...jobs[name], ...more } },
        turn * 5000,
      )
    let requests = 0
    while (elapsed() < length) {
      const tokens = await stockChains(site, 64, server.origin)
      const logins = { origin: server.origin, login: jobs.login.login, count: 100 }
      for (const run of [
        () => closed('clientCredentials'),
        () => closed('refresh', { chain: { form: jobs.refresh.form, tokens } }),
        () => closed('introspectFresh'),
        () => closed('introspectOpaque'),
        async () => closed('login', { connections: 8, once: (await load.ask({ logins })).requests }),
        () => closed('metadata'),
      ]) {
        if (elapsed() < length) requests += (await run()).requests
      }
    }
    sample(elapsed())
    return { ...describeSamples(samples), requests, seconds: elapsed() }
  } finally {
    clearInterval(timer)
    await server.end()
    await site.close()
  }
}

function describeSamples(samples) {
  const [first] = samples
  const end = samples.at(-1).at
  const minutes = [0, 60, 120, 180, 240, 300].flatMap((second) => {
    const near = samples.find(({ at }) => at >= second - 1)
    return near ? [{ minute: second / 60, rss: near.rss, postgres: near.postgres }] : []
  })
  // The first minute is the growth that every process has. The line through the rest, in bytes a minute.
  const rest = samples.filter(({ at }) => at >= Math.min(60, end / 5))
  const meanAt = mean(rest.map(({ at }) => at))
  const meanRss = mean(rest.map(({ rss }) => rss))
  const slope =
    rest.reduce((sum, { at, rss }) => sum + (at - meanAt) * (rss - meanRss), 0) /
    rest.reduce((sum, { at }) => sum + (at - meanAt) ** 2, 0)
  const rss = samples.map((each) => each.rss)
  console.log(`  ${(first.rss / 1e6).toFixed(0)} MB at first, ${(Math.max(...rss) / 1e6).toFixed(0)} MB at most`)
  return { minutes, most: Math.max(...rss), last: rss.at(-1), slope: slope * 60, samples: samples.length }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
