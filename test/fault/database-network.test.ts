import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { type DatabaseScene, openDatabaseScene, survive } from './support/database-scene.js'
import { form } from './support/form.js'
import { embeddedPrograms } from './support/postgres-programs.js'
import { createPostgres } from './support/postgres-server.js'

/** Statements that commit what clients are told. */
const commits = ['authorization_codes.redeem', 'refresh_tokens.rotate', 'revocations.record', 'grants.create']

t.test('the network between the servers and their database', async (t) => {
  const postgres = await createPostgres(t, { programs: await embeddedPrograms(t) })
  const scene: DatabaseScene = await openDatabaseScene(t, postgres)
  const { proxy } = scene

  await t.test('every statement delayed by 2 s', async (t) => {
    await survive(t, scene, { fault: 'every statement delayed by 2 s', rounds: form(1, 5) }, async () => {
      proxy.delayStatements(2000)
      await delay(form(5_000, 15_000))
      proxy.delayStatements(0)
    })
  })

  await t.test('every packet delayed', async (t) => {
    const report = { fault: 'every packet between server and database delayed by 50 to 400 ms', rounds: form(1, 10) }
    await survive(t, scene, report, async ({ chance }) => {
      proxy.delayPackets(chance.between(50, 400))
      await delay(form(1_500, 5_000))
      proxy.delayPackets(0)
    })
  })

  await t.test('connections refused', async (t) => {
    await survive(t, scene, { fault: 'connections refused', rounds: form(1, 20) }, async ({ chance }) => {
      await proxy.refuse(true)
      await delay(chance.between(500, 4000))
      await proxy.refuse(false)
    })
  })

  await t.test('connections cut', async (t) => {
    const report = { fault: 'the network between server and database cut', rounds: form(2, 60) }
    await survive(t, scene, report, async () => proxy.reset())
  })

  await t.test('everything swallowed', async (t) => {
    const report = { fault: 'a network that swallows what is sent, and tells nobody', rounds: form(1, 10) }
    await survive(t, scene, report, async ({ chance }) => {
      proxy.swallow(true)
      await delay(chance.between(1000, 4000))
      proxy.swallow(false)
    })
  })

  await t.test('cut in the middle of a commit', async (t) => {
    const report = { fault: 'cut in the middle of a commit', rounds: form(8, 300) }
    await survive(t, scene, report, async ({ round, chance }) => {
      const when = chance.oneOf(['before', 'middle', 'after'] as const)
      // Guesses come in the beginning.
      await proxy.cutAt(round === 0 ? 'failures.add' : chance.oneOf(commits), when)
    })
  })
})
