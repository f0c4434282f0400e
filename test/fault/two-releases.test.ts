import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { chance } from './support/chance.js'
import { cannotRun, form, seed } from './support/form.js'
import { createInstallation } from './support/installation.js'
import { startLoad } from './support/load.js'
import { registerPeople } from './support/people.js'
import { reconcile } from './support/reconcile.js'
import { buildPreviousRelease } from './support/release.js'

t.test('the previous release and this one on one database, after the migration', async (t) => {
  const previous = buildPreviousRelease(t)
  if (previous.skipped !== undefined) return cannotRun(t, 'two releases', previous.skipped)
  t.comment(`the previous release is ${previous.commit}`)
  // In this order: the previous one makes the database, and this one migrates it while the other runs.
  const installation = await createInstallation(t, {
    processes: [
      { name: 'previous', role: 'serve', main: previous.main },
      { name: 'this', role: 'serve' },
      { name: 'worker', role: 'work' },
    ],
  })
  const people = await registerPeople(installation)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/two releases`)
  const rounds = form(1, 10)
  // What one of them issued, the other must take; and the previous one must start again on the migrated database.
  for (let round = 0; round < rounds; round++) {
    for (const name of ['previous', 'this']) {
      await delay(luck.between(400, 1500))
      const over = load.ledger.fault(name, 'breaks')
      await installation.process(name).end(luck.oneOf(['SIGTERM', 'SIGKILL']))
      await installation.process(name).start()
      over()
    }
  }
  await reconcile(t, installation, load, { fault: 'two releases on one database, each restarted', rounds })
})
