// The hot paths on a database that is full, beside those on one that is empty, and expired partitions dropped under load.

import { randomBytes } from 'node:crypto'
import { adoptGrants, fillDatabase, loadSettings, measureSizes, tokensPerGrant } from '../growth-data.mjs'
import { bothCores, onCores, serverCore } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { measureInTurn, startServer, summarise } from '../rounds.mjs'
import { makeSchema } from '../schema.mjs'

/** One client and one user for as many refresh tokens. */
const tokensPerUser = 20

const jobNames = {
  clientCredentials: 'client_credentials',
  jwks: 'JWKS',
  metadata: 'Metadata',
  introspectFresh: 'Introspection, a fresh JWT each time',
  introspectOpaque: 'Introspection, opaque tokens',
  refresh: 'Refresh rotation',
  redeem: 'Code redemption',
  login: 'Login by password',
}
/** The least ratio of the full database to the empty one. */
const goal = 0.9

export async function measureGrowth(load, { rounds, seconds, connections, trial, tokens }) {
  const count = { clients: tokens / tokensPerUser, users: tokens / tokensPerUser, tokens }
  const now = Date.now()
  const startedAt = performance.now()
  const { folder, data } = await makeGrown(count, now)
  const filledIn = (performance.now() - startedAt) / 1000
  const databases = { empty: await openPostgres(), grown: await openPostgres({ folder }) }
  const targets = {}
  try {
    const sizes = await measureSizes(databases.grown.url, now)
    console.log(`  filled in ${filledIn.toFixed(0)} s: ${(sizes.database / 1e9).toFixed(1)} GB`)
    for (const [name, { url }] of Object.entries(databases))
      targets[name] = await startOn(url, name === 'grown' ? data.known : [])
    const measured = []
    for (const [job, name] of Object.entries(jobNames)) {
      console.log(`\n${name}`)
      const candidates = Object.entries(targets).map(([which, target]) => ({ name: which, job, target }))
      const settings = { rounds, seconds: trial ? seconds : 4, connections: job === 'login' ? 8 : connections }
      const done = await measureInTurn(load, candidates, settings)
      measured.push({ name, goal, candidates: done.map(summarise) })
    }
    const dropped = await measureDrop(load, targets.grown, databases.grown.url, trial ? 6 : 15)
    return { rounds, seconds, count, tokensPerGrant, filledIn, sizes, measured, dropped, grants: data.grants }
  } finally {
    for (const target of Object.values(targets)) await target.end()
    for (const { stop } of Object.values(databases)) await stop()
  }
}

async function makeGrown(count, now) {
  const postgres = await openPostgres({ settings: loadSettings, cores: bothCores })
  try {
    await makeSchema(postgres.url, new Date(now))
    return { folder: postgres.folder, data: await onCores(bothCores, () => fillDatabase(postgres.url, count, now)) }
  } finally {
    await postgres.stop()
  }
}

async function startOn(url, known) {
  const masterKey = randomBytes(32).toString('base64')
  const prepare = ['introspection', 'logins']
  const target = await startServer('ostiary', { databaseUrl: url, masterKey, prepare }, { cores: serverCore })
  await adoptGrants(url, known, { clientId: target.client.client_id, scope: target.scope, audience: target.audience })
  const values = known.map(({ value }) => value)
  return {
    ...target,
    /** Refresh tokens that lie among the millions, as long as there are any. */
    stock: async (kind, count) =>
      kind === 'chains' && values.length >= count
        ? { tokens: values.splice(0, count) }
        : target.ask({ action: kind, count }),
  }
}

const rates = { refresh: 200, redeem: 200, clientCredentials: 200 }
/** Milliseconds around the job that count as its own. */
const margin = 100

/** The worker's own job, in the process that serves, in the middle of a load that keeps its rate. */
async function measureDrop(load, target, url, seconds) {
  console.log('\nExpired partitions are dropped')
  const { jobs, origin } = target
  const before = await measureSizes(url, Date.now())
  const total = (name) => rates[name] * seconds
  const codes = (await target.stock('codes', total('redeem'))).once
  const { tokens } = await target.ask({ action: 'chains', count: total('refresh') })
  const refreshes = tokens.map((token) => ({ body: `${jobs.refresh.form}&refresh_token=${token}` }))
  const streams = [
    { job: jobs.refresh, rate: rates.refresh, once: refreshes },
    { job: jobs.redeem, rate: rates.redeem, once: codes },
    { job: jobs.clientCredentials, rate: rates.clientCredentials },
  ]
  const loading = load.ask({ open: { origin, seconds, streams } }, seconds * 3000)
  // Awaited below; the job comes first.
  loading.catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, (seconds / 2) * 1000))
  const { startedAt, endedAt } = await target.ask({ action: 'maintain' })
  const result = await loading
  const after = await measureSizes(url, Date.now())
  const slow = result.streams.flatMap((stream) => stream.slow)
  const during = slow.filter(({ at, ms }) => at + ms >= startedAt - margin && at <= endedAt + margin)
  const others = slow.filter((each) => !during.includes(each))
  const dropped = {
    took: endedAt - startedAt,
    bytes: before.database - after.database,
    tokens: before.tokens + total('refresh') + total('redeem') - after.tokens,
    slowestDuring: Math.max(0, ...during.map(({ ms }) => ms)),
    slowestOtherwise: Math.max(0, ...others.map(({ ms }) => ms)),
    p99: Math.max(...result.streams.map(({ p99 }) => p99)),
    rate: Object.values(rates).reduce((sum, rate) => sum + rate),
    requests: result.streams.reduce((sum, { requests }) => sum + requests, 0),
  }
  console.log(
    `  ${dropped.took.toFixed(0)} ms for ${(dropped.bytes / 1e9).toFixed(2)} GB; slowest request ` +
      `${dropped.slowestDuring.toFixed(0)} ms meanwhile, ${dropped.slowestOtherwise.toFixed(0)} ms otherwise`,
  )
  return dropped
}
