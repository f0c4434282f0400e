import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leftTables, movedSequences, movedTables } from '../../src/store/dump.js'
import { contents, createFullServer, rowsOf, serverOn, withoutOwnEvents } from '../support/archive.js'
import { createCommandLine } from '../support/command.js'
import { createEmptyDatabase, createTestDatabase } from '../support/database.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'
import { withClient } from '../support/test-postgres.js'

const otherKey = Buffer.alloc(32, 8).toString('base64')

t.test('no table and no sequence of the schema is left behind', async (t) => {
  const { url } = await createTestDatabase(t)
  const { rows } = await withClient(url, (client) =>
    client.query(`SELECT relname AS name, relkind AS kind FROM pg_class
                   WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S')
                     AND NOT relispartition AND relname <> '_prisma_migrations' ORDER BY 1`),
  )
  const named = (kinds: string) => rows.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name)
  const known = [...movedTables.map(({ name }) => name), ...Object.keys(leftTables)]
  t.same(named('rp'), known.sort())
  t.same(named('S'), [...movedSequences].sort())
})

t.test('a backup, and what is restored from it', async (t) => {
  const { server, client, user, second, resource } = await createFullServer(t)
  const source = createCommandLine(t, { url: server.databaseUrl })
  const before = withoutOwnEvents(await contents(server.databaseUrl))
  for (const { name } of movedTables) t.ok(before[name]!.length > 0, `something lies in ${name}`)

  const path = join(source.folder, 'one.backup')
  const made = await source.run(['backup', 'one.backup', '--json'])
  t.match(made, { status: 0, stderr: '' })
  t.equal(made.json().bytes, statSync(path).size)
  t.equal(made.json().rows.refresh_token, 2)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(readdirSync(source.folder), ['one.backup'], 'no draft is left')
  const bytes = readFileSync(path).toString('latin1')
  for (const secret of [user.email, client.clientId, second.refresh_token]) t.notOk(bytes.includes(secret))

  t.test('an existing file is replaced only when told', async (t) => {
    t.match(await source.run(['backup', 'one.backup']), { status: 1, stderr: /--overwrite/ })
    t.match(await source.run(['backup', '--overwrite', 'one.backup']), { status: 0 })
    t.match((await source.run(['audit', 'list', '--type', 'database', '--json'])).json(), [
      { type: 'database.backed_up', actor: 'operator' },
      { type: 'database.backed_up' },
    ])
  })

  t.test('a file is checked without a database being touched', async (t) => {
    const target = await createEmptyDatabase(t)
    const { run } = createCommandLine(t, target)
    const checked = await run(['restore', path, '--check', '--json'])
    t.match(checked, { status: 0, stderr: '' })
    t.match(checked.json(), { kind: 'backup', rows: { client: 5, refresh_token: 2 } })
    t.same(
      (await withClient(target.url, (c) => c.query('SELECT FROM pg_tables WHERE schemaname = current_schema()')))
        .rowCount,
      0,
    )
  })

  t.test('--keep-sessions: every row of every table is as it was, and tokens go on', async (t) => {
    const target = await createEmptyDatabase(t)
    const { run } = createCommandLine(t, target)
    const restored = await run(['restore', path, '--keep-sessions', '--json'])
    t.match(restored, { status: 0, stderr: /live again/ })
    const { json } = restored
    t.same(json().ended, {})
    t.same(withoutOwnEvents(await contents(target.url)), before)
    t.same(await lastPosition(target.url), await lastPosition(server.databaseUrl))
    const restoredServer = await serverOn(t, server, target.url)
    const form = { grant_type: 'refresh_token', refresh_token: second.refresh_token }
    t.equal((await restoredServer.post('/token', form, { authorization: client.basic })).statusCode, 200)
    t.match((await run(['audit', 'list', '--type', 'database.restored', '--json'])).json(), [
      { detail: { ended: false } },
    ])
  })

  t.test('attack: a refresh token spent and a token revoked after the backup are worth nothing after it', async (t) => {
    const target = await createEmptyDatabase(t)
    const { run } = createCommandLine(t, target)
    const restored = await run(['restore', path, '--json'])
    t.match(restored, { status: 0, stderr: /is as it was before/ })
    t.same(
      Object.keys(restored.json().ended).sort(),
      movedTables
        .filter(({ live }) => live)
        .map(({ name }) => name)
        .sort(),
    )
    const lasting = movedTables.filter(({ live }) => !live).map(({ name }) => name)
    const found = withoutOwnEvents(await contents(target.url))
    for (const name of lasting) t.same(found[name], before[name], name)

    const restoredServer = await serverOn(t, server, target.url)
    const form = { grant_type: 'refresh_token', refresh_token: second.refresh_token }
    t.match((await restoredServer.post('/token', form, { authorization: client.basic })).json(), {
      error: 'invalid_grant',
    })
    const introspect = { token: second.access_token }
    t.same((await restoredServer.post('/introspect', introspect, { authorization: resource.basic })).json(), {
      active: false,
    })
    const kids = (of: TestServer) => of.ctx.keys.list().map(({ kid }) => kid)
    t.ok(kids(restoredServer).length > 0)
    t.notOk(
      kids(restoredServer).some((kid) => kids(server).includes(kid)),
      'other keys sign',
    )
    const user = await restoredServer.ctx.db.prisma.user.count()
    t.equal(user, 1)
  })

  t.test('only into an empty database, unless told', async (t) => {
    const target = await createTestServer(t)
    const { clientId } = await target.createClient()
    await withClient(target.databaseUrl, (c) => c.query('CREATE TABLE of_somebody_else (a int)'))
    const { run } = createCommandLine(t, { url: target.databaseUrl })
    t.match(await run(['restore', path]), { status: 1, stderr: /has clients.*--replace/s })
    t.equal((await run(['client', 'show', clientId])).status, 0, 'nothing was changed')
    t.match(await run(['restore', path, '--replace']), { status: 0, stdout: /Left out \d+ rows/ })
    t.equal((await run(['client', 'show', clientId])).status, 1)
    t.equal((await run(['client', 'show', client.clientId])).status, 0)
    await rowsOf(target.databaseUrl, 'of_somebody_else')
  })

  t.test('not under a server', async (t) => {
    const target = await createTestDatabase(t)
    await withClient(target.url, async (listening) => {
      await listening.query(`SET application_name = 'ostiary listener'`)
      const { run } = createCommandLine(t, target)
      t.match(await run(['restore', path, '--replace']), { status: 1, stderr: /Stop all of them/ })
    })
  })

  t.test('with another master key it is refused; with that as the previous one it is wrapped anew', async (t) => {
    const target = await createEmptyDatabase(t)
    const wrong = createCommandLine(t, target, { MASTER_KEY: otherKey })
    t.match(await wrong.run(['restore', path]), { status: 1, stderr: /another master key.*MASTER_KEY_PREVIOUS_FILE/ })
    const right = createCommandLine(t, target, {
      MASTER_KEY: otherKey,
      MASTER_KEY_PREVIOUS: Buffer.alloc(32, 7).toString('base64'),
    })
    t.equal((await right.run(['restore', path, '--keep-sessions'])).status, 0)
    const restoredServer = await serverOn(t, server, target.url, { MASTER_KEY: otherKey })
    t.same(restoredServer.ctx.keys.jwks(), server.ctx.keys.jwks())
  })

  t.test('a file that is not whole or not ours is refused, and the database stays as it was', async (t) => {
    const target = await createEmptyDatabase(t)
    const { run, folder } = createCommandLine(t, target)
    const whole = readFileSync(path)
    const headerEnd = whole.indexOf('\n') + 1
    const frames: Buffer[] = []
    for (let at = headerEnd; at < whole.length; ) {
      const length = 4 + (whole.readUInt32BE(at) & 0x7fffffff)
      frames.push(whole.subarray(at, at + length))
      at += length
    }
    const header = whole.subarray(0, headerEnd)
    const flipped = (at: number): Buffer => {
      const copy = Buffer.from(whole)
      copy[at]! ^= 1
      return copy
    }
    const assemble = (order: readonly (Buffer | undefined)[]) =>
      Buffer.concat([header, ...order.filter((frame) => frame !== undefined)])
    const cases: Readonly<Record<string, Buffer>> = {
      empty: Buffer.alloc(0),
      'not ours': Buffer.from('PGDMP something\n'),
      'the header alone': header,
      'without its end': whole.subarray(0, whole.length - 1),
      'without its last record': assemble(frames.slice(0, -1)),
      'without a record in the middle': assemble(frames.filter((_, index) => index !== 5)),
      'two records exchanged': assemble([...frames.slice(0, 3), frames[4], frames[3], ...frames.slice(5)]),
      'a record twice': assemble([...frames.slice(0, 4), ...frames.slice(3)]),
      'something behind it': Buffer.concat([whole, Buffer.from('x')]),
      'another time in the header': Buffer.from(
        whole.toString('latin1').replace('"createdAt":"2', '"createdAt":"3'),
        'latin1',
      ),
      'a bit of the first record': flipped(headerEnd + 10),
      'a bit of a length': flipped(headerEnd + 3),
      'a bit of the last record': flipped(whole.length - 1),
      'a bit in the middle': flipped(Math.floor(whole.length / 2)),
    }
    for (const [name, content] of Object.entries(cases)) {
      writeFileSync(join(folder, 'bad.backup'), content)
      t.match(
        await run(['restore', 'bad.backup']),
        { status: 1, stdout: '', stderr: /^ostiary: bad\.backup was not used, and nothing was changed\./ },
        name,
      )
    }
    t.match(await run(['restore', 'none.backup']), { status: 1, stderr: /cannot be read \(ENOENT\)/ })
    const { rowCount } = await withClient(target.url, (c) =>
      c.query('SELECT FROM pg_tables WHERE schemaname = current_schema()'),
    )
    t.equal(rowCount, 0)
  })

  t.test('a backup is no export', async (t) => {
    const { run } = createCommandLine(t, await createEmptyDatabase(t))
    t.match(await run(['import', path, '--passphrase-stdin'], { stdin: 'correct horse battery' }), {
      status: 1,
      stderr: /ostiary restore/,
    })
  })
})

t.test('what fails while it is loaded leaves the database as it was', async (t) => {
  const { server } = await createFullServer(t)
  const source = createCommandLine(t, { url: server.databaseUrl })
  await source.run(['backup', 'one.backup'])
  const target = await createTestServer(t)
  const kept = await contents(target.databaseUrl)
  // Somebody's view on a table of ours: the tables cannot go, and nothing is half done.
  await withClient(target.databaseUrl, (c) => c.query('CREATE VIEW clients_of_mine AS SELECT * FROM client'))
  const { run, folder } = createCommandLine(t, { url: target.databaseUrl })
  copyFileSync(join(source.folder, 'one.backup'), join(folder, 'one.backup'))
  t.match(await run(['restore', 'one.backup', '--replace']), { status: 1, stderr: /clients_of_mine|depend/ })
  t.same(await contents(target.databaseUrl), kept)
})

t.test('a backup of a newer release is refused', async (t) => {
  const { server } = await createFullServer(t)
  const { run, folder } = createCommandLine(t, { url: server.databaseUrl })
  await sql(
    server,
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ('later', 'x', '29991231000000_later', now(), now(), 1)`,
  )
  t.match(await run(['backup', 'newer.backup']), { status: 0 })
  const target = await createEmptyDatabase(t)
  t.match(await createCommandLine(t, target).run(['restore', join(folder, 'newer.backup')]), {
    status: 1,
    stderr: /newer release.*29991231000000_later/,
  })
})

async function lastPosition(url: string): Promise<unknown> {
  return withClient(url, async (client) => (await client.query('SELECT last_value FROM revocation_position')).rows)
}
