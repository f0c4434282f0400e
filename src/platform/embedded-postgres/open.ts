import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { type Binaries, findBinaries } from './binaries.js'
import { databaseName, databaseUser, ensureCluster, readPassword } from './cluster.js'
import { EmbeddedPostgresError } from './errors.js'
import { type Hold, hasReader, holdFirst, joinHolders, makeRunFolder, openReader, watchdog } from './holders.js'
import { clean, findHome, type Home, removeFolder } from './home.js'
import { openLogFile } from './log-file.js'
import { findPostmaster, type Postmaster, stopPostmaster } from './postmaster.js'
import { childOptions, isAlive, isWindows } from './processes.js'
import { lockServer, type ServerLock } from './server-lock.js'
import { shareOnWindows, startOnWindows } from './windows.js'

export interface EmbeddedPostgresOptions {
  /** Created where it is missing. */
  readonly dataDir: string
  readonly log: Log
  /** `server` excludes a second server. Anything else, such as a command's name, shares what runs. */
  readonly holder: string
  /** Of PostgreSQL, over ours: for tests, whose data need not outlive a power cut. */
  readonly settings?: Readonly<Record<string, string>>
}

interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface EmbeddedPostgres {
  readonly connection: {
    /** The folder of a Unix socket; on Windows the loopback address. */
    readonly host: string
    readonly port: number
    readonly user: string
    readonly password: string
    readonly database: string
  }
  /** The same as one string. It holds the password. */
  readonly url: string
  /** Where the data lies. */
  readonly folder: string
  /** False where it ran already, for another process. */
  readonly startedHere: boolean
  /** Gives it up. If no other process uses it, PostgreSQL has stopped when this returns. */
  stop(): Promise<void>
}

/** A PostgreSQL that this process has started. */
export interface Started {
  readonly postmaster: Postmaster
  stop(): Promise<void>
}

/** Milliseconds. Recovery after a crash is a part of a start. */
const startDeadline = 300_000

/**
 * Starts the PostgreSQL of this data directory, or shares the one that runs. It is created at its first start, stops
 * with its last user, however that ends, and is started again where it ends by itself.
 *
 * @throws {AlreadyRunningError} for a second server
 * @throws {EmbeddedPostgresError} when it cannot be had; the message says what to do
 */
export async function openEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const home = await findHome(options.dataDir)
  const lock = options.holder === 'server' ? await lockServer(home) : undefined
  try {
    return await openAt(home, lock, options)
  } catch (error) {
    await lock?.release()
    throw error
  }
}

async function openAt(
  home: Home,
  lock: ServerLock | undefined,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const password = await readPassword(home)
  const binaries = once(() => findBinaries(home.folder, home.account))
  for (let attempt = 1; ; attempt++) {
    const running = await findPostmaster(home)
    const hold = running && (await share(home, running, options))
    if (running && hold) {
      const ready = (await findPostmaster(home)) ?? running
      return describe(home, ready, password, false, async () => {
        hold.release()
        await lock?.release()
      })
    }
    if (running) {
      options.log.info({ pid: running.pid }, 'stopping the database that an earlier process left')
      await stopPostmaster(running, home, binaries)
    }
    await ensureCluster(home, await binaries(), password)
    await clean(home)
    const started = await start(home, await binaries(), options)
    if (started instanceof Error) {
      // Another process may have been faster, or what a killed PostgreSQL left is about to go.
      if (attempt === 10) throw started
      await setTimeout(50 * attempt)
      continue
    }
    return describe(home, started.postmaster, password, true, async () => {
      await started.stop()
      await lock?.release()
    })
  }
}

/** Undefined where it stops, or is an orphan. */
async function share(home: Home, found: Postmaster, options: EmbeddedPostgresOptions): Promise<Hold | undefined> {
  if (isWindows) return shareOnWindows(home, options)
  // It says where its socket is a moment after it has said who it is.
  let running: Postmaster | undefined = found
  for (let waited = 0; running && !running.socketFolder && waited < 5_000; waited += 5) {
    await setTimeout(5)
    running = await findPostmaster(home)
  }
  const hold = running?.socketFolder ? await joinHolders(running.socketFolder) : undefined
  if (hold && (await isReady(home, () => isAlive(found.pid)))) return hold
  hold?.release()
  return undefined
}

/** An error is returned where another attempt makes sense, and thrown where it does not. */
async function start(home: Home, binaries: Binaries, options: EmbeddedPostgresOptions): Promise<Started | Error> {
  if (isWindows) return startOnWindows(home, binaries, options, settingsOf)
  const folder = await makeRunFolder(home)
  const hold = await holdFirst(folder, home)
  const log = await openLogFile(home)

  const launch = (): ChildProcess => {
    const settings = settingsOf({ listen_addresses: '', unix_socket_directories: folder, port: '5432' }, options)
    const reader = openReader(folder)
    const output = log.openForAppending()
    try {
      const child = spawn(
        '/bin/sh',
        ['-c', watchdog, 'sh', folder, binaries.postgres, '-D', home.data, ...settings],
        // A session of its own: the terminal's Ctrl-C is for us to hear, and we end PostgreSQL when we have finished.
        { ...childOptions(home.account), stdio: ['ignore', output, output, reader], detached: true },
      )
      // Seen as a child that does not run.
      child.on('error', () => undefined)
      child.unref()
      return child
    } finally {
      closeSync(reader)
      closeSync(output)
    }
  }

  const mark = await log.size()
  let child = launch()
  const postmaster = await isReady(home, () => runs(child), folder)
  if (!postmaster) {
    hold.release()
    const said = await log.since(mark)
    log.close()
    await removeFolder(folder, home.account)
    return new EmbeddedPostgresError(`The embedded PostgreSQL does not start. ${said}`.trim())
  }

  let stopping = false
  const revive = async () => {
    for (let attempt = 0; !stopping; attempt++) {
      options.log.error({ attempt }, 'the embedded database ended by itself; starting it again')
      await setTimeout(Math.min(100 * 2 ** attempt, 10_000), undefined, { ref: false })
      // Somebody else may have been faster; then it is theirs.
      if (stopping || (await findPostmaster(home))) return
      child = launch()
      if (await isReady(home, () => runs(child), folder)) return watch()
    }
  }
  const watch = () => {
    child.once('exit', () => {
      if (!stopping) revive().catch((error) => options.log.error({ err: error }, 'the embedded database is lost'))
    })
  }
  watch()

  return {
    postmaster,
    async stop() {
      if (stopping) return
      stopping = true
      hold.release()
      log.close()
      // Whether there are other holders shows in what the watchdog does. They are not waited for.
      for (let waited = 0; runs(child) && hasReader(folder); waited += 10) {
        if (waited >= 300) return
        await setTimeout(10)
      }
      for (let waited = 0; runs(child); waited += 10) {
        if (waited >= 30_000) throw new EmbeddedPostgresError('The embedded PostgreSQL does not stop.')
        await setTimeout(10)
      }
      await removeFolder(folder, home.account)
    },
  }
}

function runs(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

/**
 * Polls until PostgreSQL says that it takes connections; undefined when it has ended instead.
 *
 * @param folder of two that start at once only one runs: the one whose socket is here
 */
async function isReady(home: Home, lives: () => boolean, folder?: string): Promise<Postmaster | undefined> {
  for (let waited = 0; lives(); waited += 5) {
    const postmaster = await findPostmaster(home)
    if (postmaster?.status === 'stopping') return undefined
    if (postmaster?.status === 'ready' && [undefined, postmaster.socketFolder].includes(folder)) return postmaster
    if (waited >= startDeadline) throw new EmbeddedPostgresError('The embedded PostgreSQL does not become ready.')
    await setTimeout(5)
  }
  return undefined
}

/** Durable, small, and silent about the contents of statements, which hold what no log may. */
function settingsOf(where: Readonly<Record<string, string>>, options: EmbeddedPostgresOptions): readonly string[] {
  const settings = {
    ...where,
    unix_socket_permissions: '0700',
    cluster_name: 'ostiary',
    max_connections: '100',
    shared_buffers: '64MB',
    max_wal_size: '256MB',
    max_logical_replication_workers: '0',
    io_method: 'sync',
    jit: 'off',
    timezone: 'UTC',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    password_encryption: 'scram-sha-256',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_statement: 'none',
    ...options.settings,
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

function describe(
  home: Home,
  postmaster: Postmaster,
  password: string,
  startedHere: boolean,
  stop: () => Promise<void>,
): EmbeddedPostgres {
  const { port, socketFolder } = postmaster
  const host = socketFolder || '127.0.0.1'
  const address = `postgresql://${databaseUser}:${password}@localhost:${port}/${databaseName}`
  return {
    connection: { host, port, user: databaseUser, password, database: databaseName },
    // A socket's folder has no place in the authority of a URL; `pg` and Prisma read it from the query.
    url: `${address}?host=${encodeURIComponent(host)}`,
    folder: home.folder,
    startedHere,
    stop: once(stop),
  }
}

function once<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let result: Promise<Result> | undefined
  return () => {
    result ??= work()
    return result
  }
}
