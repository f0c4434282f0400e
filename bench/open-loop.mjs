// Requests that are sent at their time, whether or not those before them were answered, as the world sends them. A latency
// counts from the time at which the request was to be sent: what a slow server, or a slow sender, holds up is in it.

import { createChecker } from './answers.mjs'
import { createAgent, send } from './http.mjs'
import { codeOf, openLogin } from './logins.mjs'

/** Answers slower than this are told one by one, with their time. */
const slow = 50

/**
 * @param streams each with its job, its `rate` per second, `once`: what each request has of its own, and whether it is a
 *   whole `login`
 * @returns for each stream: how many, p50, p99 and the slowest in milliseconds, and the slow ones with when they were due
 */
export async function runOpen({ origin, seconds, streams }) {
  const agent = createAgent()
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  try {
    const results = await Promise.all(streams.map((stream) => runStream(agent, origin, stream, startedAt, seconds)))
    const { user, system } = process.cpuUsage(cpu)
    const busy = (user + system) / 1e3 / (performance.now() - startedAt)
    for (const result of results) result.verified = await result.verify(origin)
    return { busy, streams: results.map(({ verify, ...result }) => result) }
  } finally {
    agent.destroy()
  }
}

async function runStream(agent, origin, { job, rate, login, once }, startedAt, seconds) {
  const checker = createChecker(job.expect)
  const times = []
  const slowest = []
  let failure
  const one = async (dueAt, index) => {
    try {
      if (login) await signIn(agent, origin, job, checker)
      else {
        const { status, text, headers } = await send(agent, origin, { ...job, ...once?.[index] })
        const parsed = job.expect.kind === 'refresh' && status === 200 ? JSON.parse(text) : undefined
        const wrong = checker.check(status, text, headers, parsed)
        if (wrong !== undefined) throw new Error(wrong.slice(0, 500))
      }
    } catch (error) {
      failure ??= error
      return
    }
    const time = performance.now() - dueAt
    times.push(time)
    if (time > slow) slowest.push({ at: performance.timeOrigin + dueAt, ms: time })
  }

  const total = Math.round(rate * seconds)
  const running = []
  await new Promise((resolve) => {
    let sent = 0
    const tick = () => {
      const now = performance.now()
      while (sent < total && startedAt + (sent * 1000) / rate <= now) {
        running.push(one(startedAt + (sent * 1000) / rate, sent))
        sent++
      }
      if (sent < total) setTimeout(tick, 1)
      else resolve()
    }
    tick()
  })
  await Promise.all(running)
  if (failure) throw failure
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))]
  return { requests: times.length, p50: at(0.5), p99: at(0.99), max: at(1), slow: slowest, verify: checker.verify }
}

/** As a browser does it: to the page, and then the form. */
async function signIn(agent, origin, { login, expect }, checker) {
  const answer = await send(agent, origin, await openLogin(agent, origin, login))
  if (!codeOf(answer, expect.redirectUri)) throw new Error(`a login: ${answer.status} ${answer.text.slice(0, 500)}`)
  checker.check(answer.status, answer.text, answer.headers)
}
