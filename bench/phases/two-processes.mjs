// PROCESSES=2 against one, on two cores that the servers, the load and PostgreSQL share.

import { randomBytes } from 'node:crypto'
import { bothCores, cpuOf, startProcess } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { startProduct } from '../product.mjs'
import { measureInTurn, summarise } from '../rounds.mjs'
import { openSite, plainJobs, stockChains } from '../site.mjs'

const jobNames = { clientCredentials: 'client_credentials', jwks: 'JWKS', refresh: 'Refresh rotation' }

export async function measureTwoProcesses(_load, { rounds, seconds, connections }) {
  const load = startProcess('load.mjs', { cores: bothCores })
  const postgres = await openPostgres({ cores: bothCores })
  const masterKey = randomBytes(32).toString('base64')
  const site = await openSite({ databaseUrl: postgres.url, masterKey, tag: 'processes' })
  const targets = []
  try {
    for (const processes of [1, 2]) {
      const env = { DATABASE_URL: postgres.url, MASTER_KEY: masterKey, PROCESSES: `${processes}` }
      const server = await startProduct(env, { cores: bothCores })
      targets.push({
        ...server,
        processes,
        jobs: plainJobs(site),
        stock: async (_kind, count) => ({ tokens: await stockChains(site, count, server.origin) }),
      })
    }
    const measured = []
    for (const [job, name] of Object.entries(jobNames)) {
      console.log(`\n${name}`)
      const before = cpuOf(postgres.tree())
      const startedAt = performance.now()
      const candidates = targets.map((target) => ({ name: `PROCESSES=${target.processes}`, job, target }))
      const done = await measureInTurn(load, candidates, { rounds, seconds, connections })
      const postgresCore = (cpuOf(postgres.tree()) - before) / ((performance.now() - startedAt) / 1000)
      measured.push({ name, postgresCore, candidates: done.map(summarise) })
    }
    return { rounds, seconds, measured }
  } finally {
    for (const { end } of targets) await end()
    await site.close()
    await load.end()
    await postgres.stop()
  }
}
