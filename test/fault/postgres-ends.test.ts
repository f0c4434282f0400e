import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openDatabaseScene, survive } from './support/database-scene.js'
import { form } from './support/form.js'
import { embeddedPrograms } from './support/postgres-programs.js'
import { createPostgres } from './support/postgres-server.js'

t.test('PostgreSQL ends, or ends its sessions, under load', async (t) => {
  const postgres = await createPostgres(t, { programs: await embeddedPrograms(t) })
  const scene = await openDatabaseScene(t, postgres)

  await t.test('kill -9', async (t) => {
    await survive(t, scene, { fault: 'kill -9 of PostgreSQL', rounds: form(1, 20) }, async ({ chance }) => {
      await postgres.kill()
      await delay(chance.between(0, 1000))
      await postgres.start()
    })
  })

  await t.test('restart', async (t) => {
    for (const how of form(['fast'] as const, ['fast', 'immediate'] as const)) {
      await survive(t, scene, { fault: `PostgreSQL restarted (${how})`, rounds: form(1, 10) }, async ({ chance }) => {
        await postgres.stop(how)
        await delay(chance.between(0, 1000))
        await postgres.start()
      })
    }
  })

  await t.test('every session terminated', async (t) => {
    const fault = 'pg_terminate_backend on every connection'
    await survive(t, scene, { fault, rounds: form(2, 60) }, async () => {
      t.ok((await postgres.terminateSessions()) > 0, 'there were some')
    })
  })
})
