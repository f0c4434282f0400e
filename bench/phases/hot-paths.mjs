// Each hot path beside its ceiling and a peer. The server has a core for itself.

import { randomBytes } from 'node:crypto'
import { serverCore } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { measureInTurn, startServer, summarise } from '../rounds.mjs'

/** @param scenarios those that are wanted */
export async function measureHotPaths(load, { scenarios, rounds, seconds, connections }) {
  const measured = []
  for (const scenario of scenarios) {
    console.log(`\n${scenario.name}`)
    const settings = { rounds, seconds, connections: scenario.connections ?? connections }
    const { name, ceiling, peerGoal } = scenario
    const candidates = await withServers(scenario, (servers) =>
      measureInTurn(
        load,
        scenario.candidates.map((candidate) => ({ ...candidate, target: servers.get(serverOf(candidate)) })),
        settings,
      ),
    )
    measured.push({ name, ceiling, peerGoal, connections: settings.connections, candidates: candidates.map(summarise) })
  }
  return { rounds, seconds, scenarios: measured }
}

const serverOf = ({ server, env }) => `${server} ${JSON.stringify(env ?? {})}`

/** On a new database, which the server shares with the ceiling. */
async function withServers({ candidates, prepare }, work) {
  const postgres = await openPostgres()
  const servers = new Map()
  try {
    const options = { databaseUrl: postgres.url, masterKey: randomBytes(32).toString('base64'), prepare }
    for (const candidate of candidates) {
      const { server, env } = candidate
      const key = serverOf(candidate)
      if (servers.has(key)) continue
      // An installation beside the other, in the same database.
      const own = env && { env, tag: `${server}-${servers.size}` }
      servers.set(key, await startServer(server, { ...options, ...own }, { cores: serverCore }))
    }
    return await work(servers)
  } finally {
    for (const server of servers.values()) await server.end()
    await postgres.stop()
  }
}
