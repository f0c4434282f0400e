import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openEmbeddedPostgres } from '../../src/platform/embedded-postgres/index.js'
import { createCommandLine } from '../support/command.js'

const log = { info: () => undefined, warn: () => undefined, error: () => undefined }

t.test('without DATABASE_URL a command works on the embedded database, with and without a server', async (t) => {
  // No master key either: the first command makes one.
  const { run, folder } = createCommandLine(t, undefined, { MASTER_KEY: '' })
  const dataDir = join(folder, '.data')

  const first = await run(['client', 'create', '--id', 'one', '--grant-type', 'client_credentials', '--json'])
  t.match(first, { status: 0, stderr: '' }, 'it is started, migrated, and stopped again')
  t.equal(statSync(join(dataDir, 'master.key')).mode & 0o777, 0o600)

  t.test('beside a command that follows the audit, a server starts; beside that, commands go on', async (t) => {
    const stop = new AbortController()
    let heard = (): void => undefined
    const started = new Promise<void>((resolve) => {
      heard = resolve
    })
    const following = run(['audit', 'list', '--follow', '--json'], { signal: stop.signal, onOutput: () => heard() })
    await started

    const server = await openEmbeddedPostgres({ dataDir, log, holder: 'server' })
    t.teardown(() => server.stop())
    t.match((await run(['client', 'list', '--json'])).json(), [{ client_id: 'one' }])
    stop.abort()
    t.match(await following, { status: 0 })
    t.match((await run(['client', 'show', 'one'])).status, 0, 'the database runs on for the server')
  })

  t.match((await run(['client', 'show', 'one', '--json'])).json(), { client_id: 'one' }, 'nothing is lost')
})
