// What /token answers in while users sign in: requests at a constant rate, on two cores that everything shares.

import { randomBytes } from 'node:crypto'
import { bothCores, startProcess } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { startProduct } from '../product.mjs'
import { loginJobs, openSite, plainJobs } from '../site.mjs'

const tokenRate = 1_000
const loginRate = 50
const rounds = 5

export async function measureBesideLogins(_load, { trial, seconds }) {
  const load = startProcess('load.mjs', { cores: bothCores })
  const postgres = await openPostgres({ cores: bothCores })
  const masterKey = randomBytes(32).toString('base64')
  const site = await openSite({ databaseUrl: postgres.url, masterKey, tag: 'logins' })
  const jobs = { ...plainJobs(site), ...(await loginJobs(site)) }
  const token = { job: jobs.clientCredentials, rate: tokenRate }
  const login = { job: jobs.login, rate: loginRate, login: true }
  const duration = trial ? seconds : 8
  const measured = []
  try {
    for (const processes of [1, 2]) {
      const env = { DATABASE_URL: postgres.url, MASTER_KEY: masterKey, PROCESSES: `${processes}` }
      const server = await startProduct(env, { cores: bothCores })
      const run = (streams, length = duration) =>
        load.ask({ open: { origin: server.origin, seconds: length, streams } }, length * 3000)
      await run([token, login], 3)
      const turns = []
      for (let round = 1; round <= (trial ? 1 : rounds); round++) {
        const idle = await run([token])
        const busy = await run([token, login])
        const [alone, beside, logins] = [idle.streams[0], ...busy.streams]
        turns.push({ idle: alone.p99, beside: beside.p99, login50: logins.p50, login99: logins.p99, busy: busy.busy })
        console.log(
          `  ${round} PROCESSES=${processes}: /token p99 ${alone.p99.toFixed(1)} ms idle, ${beside.p99.toFixed(1)} ms beside ` +
            `logins (p50 ${logins.p50.toFixed(0)} ms, p99 ${logins.p99.toFixed(0)} ms)`,
        )
      }
      await server.end()
      const median = (field) => turns.map((turn) => turn[field]).sort((a, b) => a - b)[turns.length >> 1]
      const [idle, beside, login50, login99, busy] = ['idle', 'beside', 'login50', 'login99', 'busy'].map(median)
      measured.push({ processes, idle, beside, ratio: beside / idle, login50, login99, busy, turns })
    }
  } finally {
    await site.close()
    await load.end()
    await postgres.stop()
  }
  return { tokenRate, loginRate, seconds: duration, measured }
}
