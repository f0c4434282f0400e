import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openDatabaseScene, survive } from './support/database-scene.js'
import { cannotRun, form } from './support/form.js'
import { embeddedPrograms } from './support/postgres-programs.js'
import { createPostgres, takeAllConnections } from './support/postgres-server.js'
import { mountSmallDisk } from './support/small-disk.js'

t.test('PostgreSQL lives, and refuses', async (t) => {
  // Two servers with six connections and one that listens each, and a few more.
  const settings = { max_connections: '24' }
  const postgres = await createPostgres(t, { programs: await embeddedPrograms(t), settings })
  const scene = await openDatabaseScene(t, postgres)

  await t.test('a primary that becomes read-only', async (t) => {
    const report = { fault: 'a primary that becomes read-only', rounds: form(1, 20) }
    await survive(t, scene, report, async ({ chance }) => {
      await postgres.configure({ default_transaction_read_only: 'on' })
      await delay(chance.between(500, 2500))
      await postgres.configure({ default_transaction_read_only: undefined })
    })
  })

  await t.test('max_connections reached', async (t) => {
    await survive(t, scene, { fault: 'max_connections reached', rounds: form(2, 20) }, async ({ round, chance }) => {
      const giveBack = [await takeAllConnections(postgres)]
      if (round % 2 === 1) {
        // Not only can they make no new ones: they lose those that they had.
        await postgres.terminateSessions()
        giveBack.push(await takeAllConnections(postgres))
      }
      await delay(chance.between(500, 2500))
      for (const give of giveBack) await give()
    })
  })
})

t.test('a disk that is full', async (t) => {
  const disk = await mountSmallDisk(t, 160)
  if (!disk) return cannotRun(t, 'full', 'a disk that can be filled needs the right to mount one')
  const postgres = await createPostgres(t, {
    programs: await embeddedPrograms(t),
    folder: disk.folder,
    // Small parts of the log, so that the next one is soon wanted.
    initdb: ['--wal-segsize=1'],
    settings: { max_wal_size: '16MB', min_wal_size: '2MB' },
  })
  const scene = await openDatabaseScene(t, postgres)
  const report = { fault: 'a disk that is full (ENOSPC)', rounds: form(1, 15) }
  await survive(t, scene, report, async ({ chance }) => {
    const mark = (await postgres.log()).length
    disk.fill()
    const isFull = async () => (await postgres.log()).slice(mark).includes('No space left on device')
    for (let waited = 0; waited < 10_000 && !(await isFull()); waited += 50) await delay(50)
    t.ok(await isFull(), 'PostgreSQL has met it')
    await delay(chance.between(200, 2000))
    disk.free()
    await postgres.start()
    const said = (await postgres.log()).slice(mark)
    const count = (level: string): number => said.split(`${level}:  `).length - 1
    t.comment(`PostgreSQL said ERROR ${count('ERROR')} times, PANIC ${count('PANIC')} times`)
  })
})
