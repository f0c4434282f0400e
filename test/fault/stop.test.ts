import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation, type InstallationOptions } from './support/installation.js'
import { metTheClose } from './support/ledger.js'
import { startLoad } from './support/load.js'
import { registerPeople } from './support/people.js'
import { reconcile } from './support/reconcile.js'

/**
 * Stops a server and starts it again, as a new release does. The clients may be refused a connection, and nothing else.
 *
 * The system takes connections before a server accepts them, and one that comes just before the close is reset: there may be
 * as many of these as `resets` each time.
 */
async function stopUnderLoad(
  t: Test,
  fault: string,
  rounds: number,
  resets: number,
  options: InstallationOptions,
): Promise<void> {
  const installation = await createInstallation(t, options)
  const people = await registerPeople(installation)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/${fault}`)
  for (let round = 0; round < rounds; round++) {
    const server = luck.oneOf(installation.servers)
    await delay(luck.between(200, 1500))
    const over = load.ledger.fault(server.name, 'refuses')
    t.same(await server.end('SIGTERM'), { code: 0, signal: null })
    await server.start()
    over()
  }
  await reconcile(t, installation, load, { fault, rounds })
  t.equal(load.ledger.totals().unavailable, 0, 'and nobody was sent away')
  const met = load.ledger.entries.filter(({ outcome }) => metTheClose(outcome)).length
  t.ok(met <= rounds * resets, `${met} requests met the close`)
}

t.test('SIGTERM of one of two servers under load: no request that was accepted fails', (t) =>
  stopUnderLoad(t, 'SIGTERM of one of two servers', form(2, 15), 1, {}),
)

t.test('the same where a server is two processes', (t) =>
  stopUnderLoad(t, 'SIGTERM of a server of two processes', form(1, 10), 2, {
    processes: [
      { name: 'one', role: 'serve', env: { PROCESSES: '2' } },
      { name: 'two', role: 'serve' },
    ],
  }),
)
