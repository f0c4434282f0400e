import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openDatabaseScene, survive } from './support/database-scene.js'
import { cannotRun, form } from './support/form.js'
import { installedPrograms } from './support/postgres-programs.js'
import { createPostgres, createStandby, promote } from './support/postgres-server.js'

t.test('a failover to a standby with synchronous replication', async (t) => {
  const programs = await installedPrograms()
  if (!programs)
    return cannotRun(t, 'failover', 'a standby needs pg_basebackup, which the embedded PostgreSQL does not bring')
  const scene = await openDatabaseScene(t, await createPostgres(t, { programs }))
  const report = { fault: 'failover to a synchronous standby', rounds: form(1, 10) }
  await survive(t, scene, report, async ({ round, chance, scene, goOnAt }) => {
    const { postgres, installation, proxy } = scene
    const standby = await createStandby(t, postgres, programs)
    await delay(chance.between(300, 1000))
    // It is lost at once, or is stopped for maintenance.
    if (round % 2 === 0) await postgres.kill()
    else await postgres.stop('fast')
    await delay(chance.between(0, 500))
    await promote(standby)
    proxy.leadTo(standby.url)
    goOnAt({ ...scene, postgres: standby, installation: { ...installation, databaseUrl: standby.url } })
  })
})
