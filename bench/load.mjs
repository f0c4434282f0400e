// The process that sends requests. One job at a time comes by message; the answer says what happened.

import autocannon from 'autocannon'
import { createLocalJWKSet, jwtVerify } from 'jose'

process.once('disconnect', () => process.exit(0))
process.on('message', async ({ verifyRun, ...job }) => {
  try {
    process.send(verifyRun ? await verifyTokens() : await load(job))
  } catch (error) {
    process.send({ error: error.stack })
  }
})

/** Every tenth token of the last job. They are verified after it, so that the load does not wait for it. */
let sampled = []
let verification

/** How many bodies each job has sent: the next round goes on there, so that no token comes again too soon. */
const turns = new Map()

/**
 * @param job `body`, or `bodies` sent in turns, or a `chain`: each connection has a refresh token of its own and sends the
 *   one that the last answer brought
 */
async function load({
  name,
  origin,
  seconds,
  connections,
  method,
  path,
  headers,
  body,
  bodies,
  chain,
  active,
  verify,
}) {
  sampled = []
  verification = verify && { origin, ...verify }
  let turn = bodies ? (turns.get(name) ?? 0) : 0
  let answers = 0
  let unexpected
  const check = (status, text) => {
    answers++
    if (status !== 200) unexpected ??= `${status} ${text}`
    if (active && !text.includes('"active":true')) unexpected ??= text
    if (!verify || status !== 200) return undefined
    if (!chain && answers % 10 !== 0) return undefined
    const answer = JSON.parse(text)
    if (answers % 10 === 0) sampled.push(answer.access_token)
    return answer
  }

  const setupClient = (client) => {
    const request = { method, path, headers, body }
    if (active || verify) request.onResponse = check
    if (bodies) request.setupRequest = (next) => ({ ...next, body: bodies[turn++ % bodies.length] })
    if (chain) {
      let refreshToken = chain.tokens[turn++]
      request.setupRequest = (next) => ({ ...next, body: `${chain.form}&refresh_token=${refreshToken}` })
      request.onResponse = (status, text) => {
        refreshToken = check(status, text)?.refresh_token ?? refreshToken
      }
    }
    client.setRequests([request])
  }

  const times = []
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const run = autocannon({ url: origin, connections, duration: seconds, timeout: 10, sampleInt: 100, setupClient })
  run.on('response', (_client, _status, _bytes, time) => times.push(time))
  const result = await run
  const elapsed = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(cpu)
  if (bodies) turns.set(name, turn)
  times.sort((a, b) => a - b)
  return {
    requests: times.length,
    elapsed,
    p50: times[Math.floor(times.length * 0.5)],
    p99: times[Math.floor(times.length * 0.99)],
    busy: (user + system) / 1e6 / elapsed,
    failures: result.errors + result.timeouts + result.non2xx + result.mismatches,
    unexpected,
  }
}

async function verifyTokens() {
  if (!verification) return { verified: 0 }
  const answer = await fetch(`${verification.origin}${verification.jwks}`, { signal: AbortSignal.timeout(5_000) })
  const keys = createLocalJWKSet(await answer.json())
  const expected = { algorithms: ['ES256'], typ: 'at+jwt', audience: verification.audience }
  for (const token of sampled) await jwtVerify(token, keys, expected)
  return { verified: sampled.length }
}
