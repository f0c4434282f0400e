import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation, type Installation } from './support/installation.js'
import { type Load, startLoad } from './support/load.js'
import { registerPeople } from './support/people.js'
import { reconcile } from './support/reconcile.js'

/** Kills the process at a moment of chance, and starts it again a moment later. */
async function killAndStart(installation: Installation, load: Load, name: string, moments: readonly [number, number]) {
  const process = installation.process(name)
  await delay(moments[0])
  const over = load.ledger.fault(name, 'breaks')
  await process.end('SIGKILL')
  await delay(moments[1])
  await process.start()
  over()
}

t.test('kill -9 of one of two server processes', async (t) => {
  const installation = await createInstallation(t)
  const people = await registerPeople(installation)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/kill a server`)
  const rounds = form(3, 25)
  for (let round = 0; round < rounds; round++) {
    await killAndStart(installation, load, luck.oneOf(['one', 'two']), [luck.between(200, 1500), luck.between(0, 400)])
  }
  await reconcile(t, installation, load, { fault: 'kill -9 of one of two server processes', rounds })
})
