import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { chance } from './support/chance.js'
import { form, seed } from './support/form.js'
import { createEmbeddedInstallation } from './support/installation.js'
import { startLoad } from './support/load.js'
import { registerPeople } from './support/people.js'
import { reconcile } from './support/reconcile.js'

/** The process id that PostgreSQL wrote down. */
async function postmaster(dataDir: string): Promise<number> {
  const fallback = { folder: join(dataDir, 'postgres') }
  const { folder } = await readFile(join(dataDir, 'postgres.json'), 'utf8').then(JSON.parse, () => fallback)
  return Number.parseInt(await readFile(join(folder, 'data/postmaster.pid'), 'utf8'), 10)
}

t.test('kill -9 of the whole embedded set-up', async (t) => {
  const installation = await createEmbeddedInstallation(t)
  const people = await registerPeople(installation)
  const load = startLoad(t, installation, people)
  const luck = chance(`${seed}/kill the embedded set-up`)
  const server = installation.process('embedded')
  const rounds = form(2, 50)
  for (let round = 0; round < rounds; round++) {
    await delay(luck.between(200, 1500))
    const over = load.ledger.fault('embedded', 'breaks')
    // The server alone, whose watchdog stops PostgreSQL; or PostgreSQL with it, as when the power fails.
    const database = round % 2 === 0 ? undefined : await postmaster(installation.dataDir!)
    const ended = server.end('SIGKILL')
    if (database !== undefined) process.kill(database, 'SIGKILL')
    await ended
    await delay(luck.between(0, 400))
    await server.start()
    over()
  }
  await reconcile(t, installation, load, { fault: 'kill -9 of server and embedded database', rounds })
})
