// Runs plans of the OpenID Foundation's conformance suite, which must be up, against a server of ours, which must be up too, and
// prints what came of each module. docs/conformance.md says how both are set up. It registers its own user and clients, by the
// command line and so with the settings of the server (DATABASE_URL or DATA_DIR, ISSUER, OUTBOUND_ALLOW).
//
//   node --import=tsx test/conformance/main.ts --suite https://localhost:8443                all plans
//   node --import=tsx test/conformance/main.ts --suite https://localhost:8443 basic logout   these
//   … --only oidcc-prompt-login                                                              one module of them

import { parseArgs } from 'node:util'
import { openInstallation, rotateKeys } from './installation.js'
import { plans } from './plans.js'
import { type Outcome, Suite } from './suite.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { suite: { type: 'string', default: 'https://localhost:8443' }, only: { type: 'string' } },
})
const issuer = process.env['ISSUER']
if (issuer === undefined) throw new Error('ISSUER says which server is meant.')
const chosen = positionals.length > 0 ? positionals : Object.keys(plans)

const suite = new Suite(values.suite)
const configure = await openInstallation(values.suite, issuer)
for (const name of chosen) {
  const plan = plans[name]
  if (!plan) throw new Error(`${name} is none of ${Object.keys(plans).join(', ')}.`)
  const { id, modules } = await suite.createPlan(plan.name, plan.variant, await configure(plan.clients))
  console.log(`\n## ${name}: ${plan.name} (${id})\n`)
  const outcomes: Outcome[] = []
  for (const module of modules) {
    if (values.only !== undefined && module.testModule !== values.only) continue
    const outcome = await suite.run(id, module, async () => {
      if (module.testModule === 'oidcc-server-rotate-keys') await rotateKeys()
    })
    outcomes.push(outcome)
    console.log(`| ${outcome.testModule} | ${outcome.result} | ${outcome.id} |`)
    for (const note of outcome.notes) console.log(`    ${note}`)
  }
  const results = [...new Set(outcomes.map(({ result }) => result))]
  const count = (of: string): number => outcomes.filter(({ result }) => result === of).length
  console.log(`\n${results.map((result) => `${count(result)} ${result}`).join(', ')}`)
}
