// What a gateway adds: requests to a bare API through nginx, with and without the question at /forward-auth, as
// docs/gateways/nginx.conf asks it. nginx, the API, the server, PostgreSQL and the load share two cores.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nginx, startNginx } from '../../examples/api-behind-nginx/nginx.mjs'
import { gatewayJobs } from '../gateways.mjs'
import { createAgent, send } from '../http.mjs'
import { bothCores, cpuOf, endOf, onCores, rssOf, startProcess } from '../machine.mjs'
import { makeFolder, openPostgres } from '../postgres.mjs'
import { freePort, startProduct } from '../product.mjs'
import { measureInTurn, startServer, summarise } from '../rounds.mjs'
import { openSite } from '../site.mjs'

/** A second. */
const rate = 500
const openRounds = 5
const readyWithin = 10_000

/** The gateway's name in the configuration of nginx. */
const tag = 'orders'

export async function measureBehindNginx(_load, { trial, rounds, seconds, connections }) {
  if (!nginx) return { reason: 'there is no nginx: on Debian, `apt-get install nginx-light`' }
  const load = startProcess('load.mjs', { cores: bothCores })
  const postgres = await openPostgres({ cores: bothCores })
  const masterKey = randomBytes(32).toString('base64')
  const site = await openSite({ databaseUrl: postgres.url, masterKey, tag })
  const server = await startProduct({ DATABASE_URL: postgres.url, MASTER_KEY: masterKey }, { cores: bothCores })
  const api = await startServer('bare', { databaseUrl: postgres.url, masterKey }, { cores: bothCores })
  const { forwardToken, forwardKey } = await gatewayJobs(site, server.origin)
  const addressOf = (origin) => new URL(origin).host
  const plain = await startPlain(addressOf(api.origin))
  const gateway = await startGateway({
    server: addressOf(server.origin),
    api: addressOf(api.origin),
    credential: forwardToken.headers['x-gateway-authorization'],
  })
  try {
    const show = ({ headers }) => ({ ...api.jobs.fixed, headers: { authorization: headers.authorization } })
    const usageOf = (front) => ({
      usage() {
        const pids = [front.pid, api.pid, ...server.processes()]
        return { cpu: cpuOf(pids) * 1e6, rss: pids.reduce((sum, pid) => sum + rssOf(pid), 0) }
      },
    })
    const candidates = [
      { name: 'nginx alone', job: 'fixed', target: { ...plain, ...usageOf(plain), jobs: { fixed: api.jobs.fixed } } },
      ...[
        ['the same JWT again', forwardToken],
        ['the same API key again', forwardKey],
      ].map(([name, job]) => ({
        name: `nginx asks Ostiary, ${name}`,
        job: 'fixed',
        target: { ...gateway, ...usageOf(gateway), jobs: { fixed: show(job) } },
      })),
    ]
    const closed = await measureInTurn(load, candidates, { rounds, seconds, connections })
    const open = await measureAtRate(load, candidates, { rounds: trial ? 1 : openRounds, seconds })
    return {
      rounds,
      seconds,
      rate,
      openRounds: open.rounds,
      candidates: closed.map(summarise),
      latencies: open.medians,
    }
  } finally {
    for (const { end } of [plain, gateway, api, server]) await end()
    await site.close()
    await load.end()
    await postgres.stop()
  }
}

/** p50 and p99 of each while requests come at a constant rate: medians of the rounds. */
async function measureAtRate(load, candidates, { rounds, seconds }) {
  const turns = candidates.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name, target }] of candidates.entries()) {
      const streams = [{ job: target.jobs.fixed, rate }]
      const {
        streams: [result],
      } = await load.ask({ open: { origin: target.origin, seconds, streams } }, seconds * 3000)
      turns[index].push(result)
      console.log(`  ${round + 1} ${name}, ${rate}/s: p50 ${result.p50.toFixed(2)} ms, p99 ${result.p99.toFixed(2)} ms`)
    }
  }
  const median = (results, field) => results.map((each) => each[field]).sort((a, b) => a - b)[results.length >> 1]
  return { rounds, medians: turns.map((results) => ({ p50: median(results, 'p50'), p99: median(results, 'p99') })) }
}

async function startGateway(addresses) {
  const listen = `127.0.0.1:${await freePort()}`
  return ready(await onCores(bothCores, () => startNginx({ ...addresses, listen, folder: makeFolder() })), listen)
}

/** The same without the question. */
async function startPlain(api) {
  const folder = makeFolder()
  const listen = `127.0.0.1:${await freePort()}`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  const text = `daemon off; master_process off; pid nginx.pid; error_log stderr; events { worker_connections 1000; }
    http {
      access_log off; ${temporary.join(' ')}
      server { listen ${listen}; location / { proxy_pass http://${api}; } }
    }`
  writeFileSync(join(folder, 'nginx.conf'), text)
  const args = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']
  const start = () => spawn(nginx, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  return ready(await onCores(bothCores, start), listen)
}

async function ready(child, listen) {
  const front = { pid: child.pid, origin: `http://${listen}`, end: endOf(child, 'SIGTERM') }
  const agent = createAgent()
  const deadline = performance.now() + readyWithin
  for (;;) {
    const answer = await send(agent, front.origin, { method: 'GET', path: '/' }).catch(() => undefined)
    if (answer) break
    if (child.exitCode !== null || performance.now() > deadline) throw new Error('nginx did not start')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  agent.destroy()
  return front
}
