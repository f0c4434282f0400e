// Candidates side by side: each in turn, round after round, so that what disturbs the machine disturbs all of them.

import { startFlags, startProcess } from './machine.mjs'

/** Seconds. The first is longer: code is compiled, connections are opened, plans are made. */
const firstWarmUp = 2
const warmUp = 1

/** Starts the process of a candidate. @returns it, with its `origin` and `jobs` */
export async function startServer(file, options, placement) {
  const flags = file === 'ostiary' ? startFlags : []
  const server = startProcess(`servers/${file}.mjs`, { ...placement, flags })
  const ready = await server.ask({ ...options, prepare: options.prepare ?? [] })
  return { ...server, ...ready, origin: `http://127.0.0.1:${ready.port}` }
}

/**
 * @param candidates each with its `name`, its running `target` and the name of its `job`
 * @param settings `rounds`, `seconds`, `connections`; `between` is called after each measurement
 * @returns the same candidates with their `rounds`: rate, p50, p99, CPU and memory
 */
export async function measureInTurn(load, candidates, { rounds, seconds, connections }) {
  const measured = candidates.map((candidate) => ({ ...candidate, rounds: [] }))
  for (let round = 1; round <= rounds; round++) {
    for (const candidate of measured) {
      const run = async (duration) => {
        const result = await measure(load, candidate, duration, connections).catch((error) => {
          throw new Error(`${candidate.name}: ${error.message}`, { cause: error })
        })
        candidate.rate = result.rate
        return result
      }
      await run(Math.min(seconds, round === 1 ? firstWarmUp : warmUp))
      const result = await run(seconds)
      candidate.rounds.push(result)
      console.log(
        `  ${round} ${candidate.name}: ${result.rate.toFixed(0)}/s, ${result.cpu.toFixed(0)} µs, ` +
          `server ${(result.core * 100).toFixed(0)} %, load ${(result.busy * 100).toFixed(0)} % of a core`,
      )
    }
  }
  return measured
}

async function measure(load, candidate, seconds, connections) {
  const { target, job: name } = candidate
  const job = target.jobs[name]
  const stocked = await stock(load, candidate, job, seconds, connections)
  const before = await usageOf(target)
  const result = job.loop
    ? await target.ask({ action: 'loop', seconds, name }, seconds * 1000)
    : await load.ask(
        { closed: { ...job, ...stocked, name, origin: target.origin, connections, seconds } },
        seconds * 3000,
      )
  const after = await usageOf(target)
  const cpu = after.cpu - before.cpu
  const { requests, elapsed } = result
  return { ...result, rate: requests / elapsed, cpu: cpu / requests, core: cpu / 1e6 / elapsed, rss: after.rss }
}

/** Microseconds of CPU and bytes of memory, of a process of ours or of a whole tree that measures itself. */
async function usageOf(target) {
  return target.usage ? target.usage() : target.ask({ action: 'usage' })
}

/** What can be sent only once is made ahead, as much as the round will take. */
async function stock(load, candidate, job, seconds, connections) {
  const { target } = candidate
  const make = (count) => (target.stock ? target.stock(job.stock, count) : target.ask({ action: job.stock, count }))
  if (job.stock === undefined) return {}
  if (job.stock.endsWith('hains')) return { chain: { form: job.form, ...(await make(connections)) } }
  const guess = job.stock === 'logins' ? 40 : 2_000
  const count = Math.max(connections * 4, Math.round((candidate.rate ?? guess) * seconds))
  if (job.stock !== 'logins') return { once: (await make(count)).once }
  const { requests } = await load.ask({ logins: { origin: target.origin, login: job.login, count } })
  return { once: requests }
}

/** The medians that the results show. */
export function summarise(candidate) {
  const { rounds } = candidate
  const median = (field) => rounds.map((round) => round[field]).sort((a, b) => a - b)[rounds.length >> 1]
  return {
    name: candidate.name,
    goal: candidate.goal,
    server: candidate.server,
    rate: median('rate'),
    rates: rounds.map(({ rate }) => rate),
    beside: candidate.beside,
    least: Math.min(...rounds.map(({ rate }) => rate)),
    most: Math.max(...rounds.map(({ rate }) => rate)),
    p50: median('p50'),
    p99: median('p99'),
    cpu: median('cpu'),
    core: median('core'),
    busy: median('busy'),
    rss: Math.max(...rounds.map(({ rss }) => rss)),
    verified: rounds.reduce((sum, { verified }) => sum + verified, 0),
  }
}
