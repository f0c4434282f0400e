// The server as `npm start` runs it.

import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createAgent, send } from './http.mjs'
import { cpuOf, here, processTree, rssOf, startCommand, startFlags } from './machine.mjs'
import { makeFolder } from './postgres.mjs'

const main = join(here, '../dist/main.js')
const startDeadline = 60_000

/**
 * Starts it and waits until /readyz says that it can serve.
 *
 * @param env its settings. Nothing else of our environment but PATH is given on.
 * @returns `origin`, `pid`, `readyAfter` (milliseconds since the process was started), `usage()` and `end()`
 */
export async function startProduct(env, { cores } = {}) {
  const port = await freePort()
  const startedAt = performance.now()
  const { pid, end, child } = startCommand([...startFlags, main, 'start'], {
    cores,
    // No .env of somebody's lies there.
    cwd: makeFolder(),
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      HOST: '127.0.0.1',
      PORT: `${port}`,
      // Everybody signs in from one address.
      INTERACTIONS_PER_NETWORK: '100000',
      ...env,
    },
  })
  const origin = `http://127.0.0.1:${port}`
  const agent = createAgent()
  while (!(await isReady(agent, origin))) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    if (performance.now() - startedAt > startDeadline) throw new Error('the server does not become ready')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const readyAfter = performance.now() - startedAt
  agent.destroy()
  // The embedded PostgreSQL is a child of it, too: it is no part of the Node processes.
  const processes = () => processTree(pid).filter((each) => each === pid || isNode(each))
  return {
    pid,
    end,
    origin,
    readyAfter,
    processes,
    usage() {
      const pids = processes()
      return { cpu: cpuOf(pids) * 1e6, rss: pids.reduce((sum, each) => sum + rssOf(each), 0) }
    },
  }
}

async function isReady(agent, origin) {
  try {
    return (await send(agent, origin, { method: 'GET', path: '/readyz' })).status === 200
  } catch (error) {
    if (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET') return false
    throw error
  }
}

function isNode(pid) {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === process.execPath
  } catch {
    return false
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
