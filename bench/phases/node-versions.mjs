// The same server on Node.js 24 and on the one that runs this.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { serverCore } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { measureInTurn, startServer, summarise } from '../rounds.mjs'

/** The npm package that holds it. */
const wanted = 'node@24.9.0'

const jobNames = {
  clientCredentials: 'client_credentials',
  jwks: 'JWKS',
  introspectFresh: 'Introspection, a fresh JWT each time',
  refresh: 'Refresh rotation',
}

export async function measureNodeVersions(load, { rounds, seconds, connections, trial }) {
  const other = await findNode()
  if (other.reason) {
    console.log(`  left out: ${other.reason}`)
    return { reason: other.reason }
  }
  const postgres = await openPostgres()
  const options = {
    databaseUrl: postgres.url,
    masterKey: randomBytes(32).toString('base64'),
    prepare: ['introspection'],
  }
  const targets = []
  try {
    for (const [tag, node] of Object.entries({ here: process.execPath, other: other.path })) {
      targets.push(await startServer('ostiary', { ...options, tag }, { cores: serverCore, node }))
    }
    const signatures = []
    for (const target of targets) {
      signatures.push({ node: target.node, ...(await target.ask({ action: 'signatures' })) })
    }
    const measured = []
    for (const [job, name] of Object.entries(jobNames)) {
      console.log(`\n${name}`)
      const candidates = targets.map((target) => ({ name: `Node ${target.node}`, job, target }))
      const done = await measureInTurn(load, candidates, { rounds, seconds: trial ? seconds : 3, connections })
      measured.push({ name, candidates: done.map(summarise) })
    }
    return { rounds, seconds: trial ? seconds : 3, signatures, measured }
  } finally {
    for (const { end } of targets) await end()
    await postgres.stop()
  }
}

/** By way of npm, which keeps it in its own cache. Where there is no registry, this part is left out and says so. */
async function findNode() {
  if (process.versions.node.startsWith('24.')) return { reason: 'this run is on Node.js 24 already' }
  try {
    const args = ['exec', '--yes', `--package=${wanted}`, '--', 'node', '-p', 'process.execPath']
    const { stdout } = await promisify(execFile)('npm', args, { timeout: 120_000 })
    const path = stdout.trim().split('\n').at(-1)
    if (path === process.execPath) return { reason: `npm did not install ${wanted}` }
    return { path }
  } catch (error) {
    return { reason: `${wanted} could not be had from npm: ${error.message.split('\n')[0]}` }
  }
}
