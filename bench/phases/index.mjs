// What a run measures, in this order. The name is the option that asks for a phase alone.

import { measureBehindNginx } from './behind-nginx.mjs'
import { measureBesideLogins } from './beside-logins.mjs'
import { measureGrowth } from './growth.mjs'
import { measureHotPaths } from './hot-paths.mjs'
import { measureNodeVersions } from './node-versions.mjs'
import { profileHotPaths } from './profile.mjs'
import { measurePropagation } from './propagation.mjs'
import { measureStartAndMemory } from './start-and-memory.mjs'
import { measureTwoProcesses } from './two-processes.mjs'
import { measureVerifiers } from './verifier.mjs'

export const phases = [
  { name: 'hot', title: 'The hot paths', measure: measureHotPaths },
  { name: 'logins', title: 'Tokens while users sign in', measure: measureBesideLogins },
  { name: 'start', title: 'Start and memory', measure: measureStartAndMemory },
  { name: 'growth', title: 'Growth', measure: measureGrowth },
  { name: 'propagation', title: 'Propagation of revocations', measure: measurePropagation },
  { name: 'processes', title: 'Two processes', measure: measureTwoProcesses },
  { name: 'gateway', title: 'An API behind a gateway', measure: measureBehindNginx },
  { name: 'verifier', title: 'What an API installs', measure: measureVerifiers },
  { name: 'node', title: 'Node.js 24', measure: measureNodeVersions },
  { name: 'profile', title: 'Where the time goes', measure: profileHotPaths },
]
