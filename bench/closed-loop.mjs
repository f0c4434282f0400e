// Connections that send their next request when the last was answered: how much a server can do.

import autocannon from 'autocannon'
import { createChecker, readStatic } from './answers.mjs'

/** How many bodies each job has sent: the next round goes on there, so that no token comes again too soon. */
const turns = new Map()

/**
 * @param job one request again and again (`method`, `path`, `headers`, `body`), or `bodies` or `tokens` (Bearer) in turns, or `once`: requests
 *   of which each is sent once, or a `chain`: each connection sends the refresh token that its last answer brought
 */
export async function runClosed(job) {
  const { name, origin, seconds, connections, expect, once } = job
  if (expect.kind === 'static') await readStatic(origin, job)
  const checker = createChecker(expect)
  let unexpected
  const inTurns = job.bodies ?? job.tokens
  let turn = inTurns ? (turns.get(name) ?? 0) : 0

  const setupClient = (client) => {
    const request = { method: job.method, path: job.path, headers: job.headers, body: job.body }
    let refreshToken
    // Those by their number of bytes, below: the load would cost more than such an answer does.
    const onResponse = (status, text, _context, headers) => {
      const answer = expect.kind === 'refresh' && status === 200 ? JSON.parse(text) : undefined
      unexpected ??= checker.check(status, text, headers, answer)
      refreshToken = answer?.refresh_token ?? refreshToken
    }
    if (expect.kind !== 'static') request.onResponse = onResponse
    if (job.bodies) request.setupRequest = (next) => ({ ...next, body: job.bodies[turn++ % job.bodies.length] })
    if (job.tokens) {
      request.setupRequest = (next) => ({
        ...next,
        headers: { authorization: `Bearer ${job.tokens[turn++ % job.tokens.length]}` },
      })
    }
    if (once) {
      request.setupRequest = (next) => {
        if (turn >= once.length) unexpected ??= 'more requests than were made ahead'
        return { ...next, ...once[turn++ % once.length] }
      }
    }
    if (job.chain) {
      refreshToken = job.chain.tokens[turn++]
      request.setupRequest = (next) => ({ ...next, body: `${job.chain.form}&refresh_token=${refreshToken}` })
    }
    client.setRequests([request])
  }

  const times = []
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const length = once ? { amount: once.length } : { duration: seconds }
  const run = autocannon({ url: origin, connections, ...length, timeout: 20, sampleInt: 100, setupClient })
  run.on('response', (_client, status, bytes, time) => {
    times.push(time)
    if (expect.kind === 'static') unexpected ??= checker.check(status, bytes)
  })
  const result = await run
  const elapsed = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(cpu)
  if (inTurns) turns.set(name, turn)
  times.sort((a, b) => a - b)
  const failures = result.errors + result.timeouts + result.mismatches
  if (unexpected !== undefined || failures > 0 || times.length === 0) {
    throw new Error(`${times.length} answers, ${failures} failures; unexpected: ${unexpected?.slice(0, 500) ?? 'none'}`)
  }
  return {
    requests: times.length,
    elapsed,
    p50: times[Math.floor(times.length * 0.5)],
    p99: times[Math.floor(times.length * 0.99)],
    busy: (user + system) / 1e6 / elapsed,
    verified: await checker.verify(origin),
  }
}
