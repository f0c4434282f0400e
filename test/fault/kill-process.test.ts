import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createInstallation, type Installation } from './support/installation.js'
import { type Load, startLoad } from './support/load.js'
import { defaultWindow, registerPeople } from './support/people.js'
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

/** @param retryWindow seconds, of the clients' refreshes */
async function killOneOfTwo(t: Test, fault: string, rounds: number, retryWindow?: number): Promise<void> {
  const installation = await createInstallation(t)
  const people = await registerPeople(installation, retryWindow)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/${fault}`)
  for (let round = 0; round < rounds; round++) {
    await killAndStart(installation, load, luck.oneOf(['one', 'two']), [luck.between(200, 1500), luck.between(0, 400)])
  }
  await reconcile(t, installation, load, { fault, rounds })
  t.equal(load.ledger.totals().unavailable, 0, 'the other one sent nobody away')
}

t.test('kill -9 of one of two server processes', (t) => killOneOfTwo(t, t.name, form(3, 50)))

// What is lost with a process is found by a retry at the other one, well within the seconds that a client has by default.
t.test('kill -9 of one of two, with the retry window that a client has by default', (t) =>
  killOneOfTwo(t, t.name, form(2, 25), defaultWindow),
)
