// What the examples call: the API of api-fastify in a thread of the example, unless one listens at its port already. So
// each starts by one command. A program of your own finds the address of its API in its configuration instead.

import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const { ISSUER = 'http://localhost:3000', PORT = '8083', API_PORT = '8081' } = process.env
const { API_CLIENT_ID: CLIENT_ID = '', API_CLIENT_SECRET: CLIENT_SECRET = '', LIMIT = '' } = process.env

export const api = `http://localhost:${API_PORT}`

const env = { ISSUER, PORT: API_PORT, ORIGINS: `http://localhost:${PORT}`, CLIENT_ID, CLIENT_SECRET, LIMIT }
const thread = new Worker(new URL('./api-fastify/server.mjs', import.meta.url), { env })
thread.once('error', (error) => console.log(`No API was started: ${error.message}`))
// A script ends when it is through.
thread.unref()

/** For scripts: servers are asked for nothing before they have started. @throws where the API is not ready in 20 seconds */
export async function untilApiIsReady() {
  for (let attempt = 0; attempt < 200; attempt++) {
    const health = await fetch(`${api}/health`).catch(() => undefined)
    await health?.body?.cancel()
    if (health?.status === 200) return
    await wait(100)
  }
  throw new Error(`The API at ${api} is not ready.`)
}
