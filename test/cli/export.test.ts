import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { movedTables } from '../../src/store/dump.js'
import { contents, createFullServer, rowsOf, serverOn, withoutOwnEvents } from '../support/archive.js'
import { createCommandLine } from '../support/command.js'
import { createEmptyDatabase } from '../support/database.js'
import { withClient } from '../support/test-postgres.js'

const passphrase = 'correct horse battery staple'
const otherKey = Buffer.alloc(32, 8).toString('base64')

t.test('an export moves everything under another master key', async (t) => {
  const { server, client, second, service } = await createFullServer(t)
  const source = createCommandLine(t, { url: server.databaseUrl })
  const path = join(source.folder, 'one.export')
  t.match(await source.run(['export', 'one.export']), {
    status: 2,
    stderr: /--passphrase-file FILE or --passphrase-stdin/,
  })
  t.match(await source.run(['export', 'one.export', '--passphrase-stdin'], { stdin: 'short' }), {
    status: 1,
    stderr: /12 characters/,
  })
  t.notOk(existsSync(path))
  t.match(await source.run(['export', 'one.export', '--passphrase-stdin'], { stdin: `${passphrase}\n` }), {
    status: 0,
    stderr: '',
  })
  const before = withoutOwnEvents(await contents(server.databaseUrl))

  const target = await createEmptyDatabase(t)
  const there = createCommandLine(t, target, { MASTER_KEY: otherKey })
  writeFileSync(join(there.folder, 'passphrase'), `${passphrase}\n`)
  t.match(await there.run(['import', path, '--passphrase-stdin'], { stdin: 'another passphrase' }), {
    status: 1,
    stderr: /passphrase or key is wrong/,
  })
  t.match(await there.run(['restore', path]), { status: 1, stderr: /ostiary import/ })
  const moved = await there.run(['import', path, '--passphrase-file', 'passphrase', '--json'])
  t.match(moved, { status: 0, stderr: /Start no server on the old database again/ })
  t.same(moved.json().ended, {}, 'no server ran: nothing can have been spent')

  const wrapped = ['secret_key', 'signing_key']
  const after = withoutOwnEvents(await contents(target.url))
  for (const { name } of movedTables.filter((table) => !wrapped.includes(table.name)))
    t.same(after[name], before[name], name)
  const movedServer = await serverOn(t, server, target.url, { MASTER_KEY: otherKey })
  t.same(movedServer.ctx.keys.jwks(), server.ctx.keys.jwks())
  const form = { grant_type: 'refresh_token', refresh_token: second.refresh_token }
  t.equal(
    (await movedServer.post('/token', form, { authorization: client.basic })).statusCode,
    200,
    'client secret and token',
  )
  t.equal(movedServer.ctx.resources.find('https://api.example.com')?.acceptsBasic, true, 'Basic is on where it was')
  const disabled = await movedServer.post(
    '/token',
    { grant_type: 'client_credentials' },
    { authorization: service.basic },
  )
  t.equal(disabled.statusCode, 401)

  t.test('and back', async (t) => {
    const back = await createEmptyDatabase(t)
    t.equal((await there.run(['export', 'back.export', '--passphrase-file', 'passphrase'])).status, 0)
    const { run } = createCommandLine(t, back)
    t.equal(
      (await run(['import', join(there.folder, 'back.export'), '--passphrase-stdin'], { stdin: passphrase })).status,
      0,
    )
    const again = await serverOn(t, server, back.url)
    t.same(again.ctx.keys.jwks(), server.ctx.keys.jwks())
  })
})

t.test('an export made while a server runs is imported without what was live, unless told', async (t) => {
  const { server } = await createFullServer(t)
  const source = createCommandLine(t, { url: server.databaseUrl })
  await withClient(server.databaseUrl, async (listening) => {
    await listening.query(`SET application_name = 'ostiary listener'`)
    t.match(await source.run(['export', 'one.export', '--passphrase-stdin'], { stdin: passphrase }), {
      status: 0,
      stderr: /Servers run on this database/,
    })
  })
  const path = join(source.folder, 'one.export')
  for (const [option, live] of [
    [[], 0],
    [['--keep-sessions'], 2],
  ] as const) {
    const target = await createEmptyDatabase(t)
    const { run } = createCommandLine(t, target)
    const done = await run(['import', path, '--passphrase-stdin', ...option], { stdin: passphrase })
    t.equal(done.status, 0, done.stderr)
    t.equal((await rowsOf(target.url, 'refresh_token')).length, live)
  }
  t.match(await source.run(['import', path, '--keep-sessions', '--end-sessions']), { status: 2 })
})

t.test('from an embedded database to another one, and to an embedded one again', async (t) => {
  // Each embedded one makes a master key of its own.
  const source = createCommandLine(t, undefined, { MASTER_KEY: '' })
  await source.run(['client', 'create', '--id', 'one', '--grant-type', 'client_credentials'])
  const user = ['user', 'create', '--email', 'ada@example.com', '--password-stdin']
  t.match(await source.run(user, { stdin: 'correct horse battery' }), { status: 0 })
  const whatIsThere = async ({ run }: typeof source): Promise<readonly unknown[]> =>
    Promise.all(['client', 'user', 'key'].map(async (noun) => (await run([noun, 'list', '--json'])).json()))
  const before = await whatIsThere(source)
  t.match(before, [[{ client_id: 'one' }], [{ email: 'ada@example.com' }], [{ state: 'signs' }]])

  const external = createCommandLine(t, await createEmptyDatabase(t), { MASTER_KEY: otherKey })
  const embedded = createCommandLine(t, undefined, { MASTER_KEY: '' })
  for (const [from, to] of [
    [source, external],
    [external, embedded],
  ] as const) {
    const options = { stdin: passphrase }
    const made = await from.run(['export', 'all.export', '--passphrase-stdin'], options)
    t.match(made, { status: 0, stderr: '' })
    const taken = await to.run(['import', join(from.folder, 'all.export'), '--passphrase-stdin'], options)
    t.equal(taken.status, 0, taken.stderr)
    t.same(await whatIsThere(to), before)
  }
})
