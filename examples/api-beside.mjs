// What the examples call: the API of api-fastify in a thread of the example, unless one listens at its port already. So
// each starts by one command. A program of your own finds the address of its API in its configuration instead.

import { Worker } from 'node:worker_threads'

const { ISSUER = 'http://localhost:3000', PORT = '8083', API_PORT = '8081' } = process.env

export const api = `http://localhost:${API_PORT}`

const env = { ISSUER, PORT: API_PORT, ORIGINS: `http://localhost:${PORT}` }
const thread = new Worker(new URL('./api-fastify/server.mjs', import.meta.url), { env })
thread.once('error', (error) => console.log(`No API was started: ${error.message}`))
