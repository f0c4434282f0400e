import { existsSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { givenMasterKeys, masterKey, openMasterKeyFiles } from '../../src/platform/crypto/master-key.js'
import { systemRandom } from '../../src/platform/random.js'
import { testMasterKey } from '../support/command.js'
import { issueCode } from '../support/grants.js'
import { makeFolder, type RunningProcess, startProcess, waitFor, waitUntilReady } from '../support/process.js'
import { freePort } from '../support/running-server.js'
import { createTestServer, type TestServer } from '../support/server.js'
import { withClient } from '../support/test-postgres.js'

const api = 'https://api.example.com'
const nextKey = Buffer.alloc(32, 9).toString('base64')

/** Rows wrapped under each master key. */
async function wrappedUnder(url: string): Promise<readonly string[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      'SELECT master_key_id AS id FROM secret_key UNION SELECT master_key_id FROM signing_key ORDER BY 1',
    )
    return rows.map(({ id }) => id)
  })
}

/** Asks without a pause until it is stopped: each answer must be the right one. */
function startLoad(address: string, parties: Parties) {
  const failures: string[] = []
  let answers = 0
  let stopped = false
  const post = async (path: string, form: Record<string, string>, authorization: string): Promise<unknown> => {
    const reply = await fetch(`${address}${path}`, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams(form),
    })
    const text = await reply.text()
    answers++
    if (reply.status !== 200) failures.push(`${path} ${reply.status} ${text}`)
    return JSON.parse(text)
  }
  const field = (value: unknown, name: string): string =>
    String(typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined)

  const loop = async (turn: () => Promise<void>): Promise<void> => {
    while (!stopped && failures.length === 0) {
      await turn().catch((error) => failures.push(String(error)))
      await delay(5)
    }
  }
  const { client, resource, service } = parties
  let refreshToken = parties.refreshToken
  const loops = [
    loop(async () => {
      const made = await post('/token', { grant_type: 'client_credentials' }, service.basic)
      const token = field(made, 'access_token')
      const answer = await post('/introspect', { token }, resource.basic)
      if (field(answer, 'active') !== 'true') failures.push('a token that was just made is not active')
    }),
    loop(async () => {
      const form = { grant_type: 'refresh_token', refresh_token: refreshToken }
      refreshToken = field(await post('/token', form, client.basic), 'refresh_token')
    }),
  ]
  return {
    answers: () => answers,
    async stop() {
      stopped = true
      await Promise.all(loops)
      return failures
    },
  }
}

type Parties = Awaited<ReturnType<typeof createParties>>

async function createParties(here: TestServer) {
  const resource = await here.createResource(api, 'read')
  const service = await here.createService('read')
  const client = await here.createClient({ grant_types: ['authorization_code', 'refresh_token'], scope: 'read' })
  const user = await here.createUser()
  const code = await issueCode(here, client, user.id, { scope: ['read'], resources: [api] })
  const tokens = (await here.post('/token', code.form, { authorization: client.basic })).json()
  return { resource, service, client, refreshToken: String(tokens.refresh_token) }
}

async function start(t: Test, cwd: string, port: number, env: Record<string, string>): Promise<RunningProcess> {
  const server = startProcess(t, { cwd, env: { PORT: String(port), PROCESSES: '2', ...env } })
  await waitUntilReady(`http://localhost:${port}`, server)
  await waitFor(() => server.stdout().includes('"msg":"ready"'), 60, 'the second process was not ready in time')
  return server
}

async function stop(server: RunningProcess): Promise<void> {
  server.child.kill('SIGTERM')
  await server.ended
}

function rotateIn(t: Test, cwd: string, env: Record<string, string>): RunningProcess {
  return startProcess(t, { cwd, args: ['master-key', 'rotate', '--json'], env })
}

/** Holds a row that a rotation writes, so that it stands still between the new file and the commit. */
async function whileHeld(url: string, work: () => Promise<void>): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('BEGIN')
    await client.query('SELECT FROM signing_key FOR UPDATE')
    await work()
    await client.query('ROLLBACK')
  })
}

t.test('the master key of the data directory is rotated under load, killed in the middle, and finished', async (t) => {
  const cwd = await makeFolder(t)
  const dataDir = join(cwd, '.data')
  const first = openMasterKeyFiles(dataDir, systemRandom)
  const here = await createTestServer(t, {
    now: new Date(),
    env: { MASTER_KEY: first.current.key.toString('base64') },
  })
  const parties = await createParties(here)
  const port = await freePort()
  const env = { DATABASE_URL: here.databaseUrl }
  const server = await start(t, cwd, port, env)
  const load = startLoad(`http://localhost:${port}`, parties)

  const whole = rotateIn(t, cwd, env)
  t.match(await whole.ended, { code: 0 }, whole.stderr())
  const { from, to, kept } = JSON.parse(whole.stdout())
  t.same(from, [first.current.id])
  t.same(kept, [join(dataDir, `master.key.old-${first.current.id}`)])
  t.same(await wrappedUnder(here.databaseUrl), [to])

  await whileHeld(here.databaseUrl, async () => {
    const killed = rotateIn(t, cwd, env)
    await waitFor(() => existsSync(join(dataDir, `master.key.old-${to}`)), 60, 'the file was not replaced')
    killed.child.kill('SIGKILL')
    t.match(await killed.ended, { signal: 'SIGKILL' })
  })
  t.same(await wrappedUnder(here.databaseUrl), [to], 'nothing was wrapped anew')
  const beside = await start(t, cwd, await freePort(), env)
  await stop(beside)

  const again = rotateIn(t, cwd, env)
  t.match(await again.ended, { code: 0 }, again.stderr())
  const last = masterKey(Buffer.from(readFileSync(join(dataDir, 'master.key'), 'utf8'), 'base64'))
  t.match(JSON.parse(again.stdout()), { from: [to], to: last.id })
  t.same(await wrappedUnder(here.databaseUrl), [last.id])

  const answered = load.answers()
  await waitFor(() => load.answers() > answered + 20, 30, 'the server answers no more')
  t.same(await load.stop(), [])
  t.comment(`${load.answers()} answers`)
  await stop(server)

  for (const name of readdirSync(dataDir)) if (name !== 'master.key') unlinkSync(join(dataDir, name))
  const alone = await start(t, cwd, port, env)
  const after = startLoad(`http://localhost:${port}`, { ...parties, refreshToken: await refreshTokenOf(here, parties) })
  await waitFor(() => after.answers() > 20, 30, 'the server does not answer')
  t.same(await after.stop(), [], 'the new key alone is enough')
  await stop(alone)
})

t.test('a master key of the settings is rotated under load', async (t) => {
  const cwd = await makeFolder(t)
  const here = await createTestServer(t, { now: new Date() })
  const parties = await createParties(here)
  const port = await freePort()
  const address = `http://localhost:${port}`
  const env = { DATABASE_URL: here.databaseUrl, MASTER_KEY: nextKey, MASTER_KEY_PREVIOUS: testMasterKey }
  // The old one alone: it is not restarted before the rotation, which is not advised, and harms no request.
  const server = await start(t, cwd, port, { DATABASE_URL: here.databaseUrl, MASTER_KEY: testMasterKey })
  const load = startLoad(address, parties)

  await whileHeld(here.databaseUrl, async () => {
    const killed = rotateIn(t, cwd, env)
    await waitFor(async () => (await waitingForRows(here.databaseUrl)) > 0, 60, 'the rotation did not begin')
    killed.child.kill('SIGKILL')
    await killed.ended
  })
  t.same(await wrappedUnder(here.databaseUrl), [masterKey(Buffer.from(testMasterKey, 'base64')).id])
  const rotated = rotateIn(t, cwd, env)
  t.match(await rotated.ended, { code: 0 }, rotated.stderr())
  t.same(await wrappedUnder(here.databaseUrl), [givenMasterKeys(masterKey(Buffer.from(nextKey, 'base64'))).current.id])

  const answered = load.answers()
  await waitFor(() => load.answers() > answered + 20, 30, 'the server answers no more')
  t.same(await load.stop(), [])
  await stop(server)
  const alone = await start(t, cwd, port, { DATABASE_URL: here.databaseUrl, MASTER_KEY: nextKey })
  const after = startLoad(address, { ...parties, refreshToken: await refreshTokenOf(here, parties) })
  await waitFor(() => after.answers() > 20, 30, 'the server does not answer')
  t.same(await after.stop(), [])
  await stop(alone)
})

/** Of a new grant. */
async function refreshTokenOf(here: TestServer, { client }: Parties): Promise<string> {
  const user = await here.createUser(`${here.ctx.random.uuid()}@example.com`)
  const code = await issueCode(here, client, user.id, { scope: ['read'], resources: [api] })
  return (await here.post('/token', code.form, { authorization: client.basic })).json().refresh_token
}

async function waitingForRows(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rowCount } = await client.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'UPDATE s%_key%'`,
    )
    return rowCount ?? 0
  })
}
