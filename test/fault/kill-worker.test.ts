import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation } from './support/installation.js'
import { startLoad } from './support/load.js'
import { registerPeople } from './support/people.js'
import { reconcile } from './support/reconcile.js'

t.test('kill -9 of the job worker', async (t) => {
  const installation = await createInstallation(t)
  const people = await registerPeople(installation)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/kill the worker`)
  const rounds = form(1, 25)
  for (let round = 0; round < rounds; round++) {
    await delay(luck.between(100, 600))
    const worker = installation.process('worker')
    // No client has an excuse: serving goes on. At its start a worker makes partitions, in the middle of which it may die.
    await worker.end('SIGKILL')
    const starting = worker.start().catch(() => undefined)
    await delay(luck.between(100, 1500))
    await worker.end('SIGKILL')
    await starting
    await worker.start()
  }
  await reconcile(t, installation, load, {
    fault: 'kill -9 of the job worker, running and starting',
    rounds: rounds * 2,
  })
  t.equal(load.ledger.totals().unavailable, 0, 'nobody was sent away')
})
