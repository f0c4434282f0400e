// Where the time of each hot path goes: this server under V8's profiler while it is loaded.

import { randomBytes } from 'node:crypto'
import { serverCore } from '../machine.mjs'
import { openPostgres } from '../postgres.mjs'
import { measureInTurn, startServer } from '../rounds.mjs'
import { whereTimeGoes } from '../where-time-goes.mjs'

/** Of every scenario the candidates that are this server. */
export async function profileHotPaths(load, { scenarios, seconds, connections }) {
  const profiles = []
  for (const { name, prepare, candidates, connections: own } of scenarios) {
    console.log(`\nProfile: ${name}`)
    const postgres = await openPostgres()
    const options = { databaseUrl: postgres.url, masterKey: randomBytes(32).toString('base64'), prepare }
    const target = await startServer('ostiary', options, { cores: serverCore })
    try {
      for (const candidate of candidates.filter(({ server, env }) => server === 'ostiary' && !env)) {
        const settings = { rounds: 1, connections: own ?? connections }
        const named = { ...candidate, target }
        // Compiled and warm first; what is made ahead for a round is made before the profile begins.
        await measureInTurn(load, [named], { ...settings, seconds: 1 })
        const { profile, result } = await measureProfiled(load, named, { ...settings, seconds })
        profiles.push({
          name:
            candidates.length > 2 && candidate.name.includes(',') ? `${name}: ${candidate.name.split(', ')[1]}` : name,
          ...whereTimeGoes(profile),
          cpu: result.cpu,
          core: result.core,
        })
      }
    } finally {
      await target.end()
      await postgres.stop()
    }
  }
  return { seconds, profiles }
}

async function measureProfiled(load, candidate, settings) {
  const { target } = candidate
  let profile
  const profiled = {
    ...target,
    // The load asks how much was used just before and just after it sends.
    async usage() {
      if (++asked === 3) await target.ask({ action: 'startProfile' })
      const used = await target.ask({ action: 'usage' })
      if (asked === 4) profile = (await target.ask({ action: 'stopProfile' })).profile
      return used
    },
  }
  let asked = 0
  const [{ rounds }] = await measureInTurn(load, [{ ...candidate, target: profiled }], settings)
  return { profile, result: rounds[0] }
}
