import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Test } from 'tap'
import { childOptions, run } from '../../../src/platform/embedded-postgres/processes.js'
import { makeFolder } from '../../support/process.js'
import { freePort } from '../../support/running-server.js'
import { withClient } from '../../support/test-postgres.js'
import type { Programs } from './postgres-programs.js'

/** A PostgreSQL of the test's own, on loopback, which can fail in every way that one fails. */
export interface PostgresServer {
  /** What DATABASE_URL says: a database of its own, and the user who owns it. */
  readonly url: string
  /** Where its data lies. */
  readonly data: string
  /** Starts it and waits until it takes connections. */
  readonly start: () => Promise<void>
  /** `fast` ends its sessions; `immediate` ends it as a crash would, but tidily. */
  readonly stop: (how: 'fast' | 'immediate') => Promise<void>
  /** `kill -9` of the process that all others belong to. */
  readonly kill: () => Promise<void>
  readonly isRunning: () => boolean
  /** As the superuser, who gets in where nobody else does, and may write where nobody else may. */
  readonly sql: (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>
  /** Changes settings that need no restart. @param settings `undefined` takes one back */
  readonly configure: (settings: Readonly<Record<string, string | undefined>>) => Promise<void>
  /** Ends every session of the servers. @returns how many there were */
  readonly terminateSessions: () => Promise<number>
  /** What it has said so far. */
  readonly log: () => Promise<string>
}

export interface PostgresOptions {
  readonly programs: Programs
  readonly settings?: Readonly<Record<string, string>>
  /** An existing folder for the data; default: a new one. */
  readonly folder?: string
  /** Of initdb, such as where the log of transactions goes. */
  readonly initdb?: readonly string[]
}

/** As production would have it: what was committed is on the disk. Nothing is asked of the machine's memory. */
const defaults = { shared_buffers: '32MB', max_connections: '60', fsync: 'on', synchronous_commit: 'on', jit: 'off' }

/** Seconds until one that crashed has recovered, on a machine that is busy. */
const patience = 60

/** Makes one and starts it. It ends with the test, and with this process, however that ends. */
export async function createPostgres(t: Test, options: PostgresOptions): Promise<PostgresServer> {
  const { programs } = options
  const folder = options.folder ?? (await makeFolder(t))
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password)
  await give(passwordFile, programs, 0o600)
  const data = join(folder, 'data')
  await mkdir(data)
  await give(data, programs, 0o700)
  await succeed(programs, 'initdb', [
    ...['-D', data, '-U', 'postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--data-checksums', '--no-sync', ...(options.initdb ?? [])],
  ])
  const server = await runPostgres(t, { ...options, data, password })
  await server.start()
  await server.sql(`CREATE ROLE ostiary LOGIN PASSWORD '${password}'`)
  await server.sql('CREATE DATABASE ostiary OWNER ostiary')
  return server
}

/** A standby of the primary by streaming replication, on which every commit of the primary waits. */
export async function createStandby(t: Test, primary: PostgresServer, programs: Programs): Promise<PostgresServer> {
  const folder = await makeFolder(t)
  const { port, password } = new URL(primary.url)
  const data = join(folder, 'data')
  await mkdir(data)
  await give(data, programs, 0o700)
  const name = `standby_${randomBytes(4).toString('hex')}`
  await succeed(programs, 'pg_basebackup', [
    ...['-D', data, '-X', 'stream', '-c', 'fast', '-R', '--no-sync'],
    ...['-d', `host=127.0.0.1 port=${port} user=postgres password=${password} application_name=${name}`],
  ])
  const standby = await runPostgres(t, { programs, data, password })
  await standby.start()
  await primary.configure({ synchronous_standby_names: name })
  await until('the standby is synchronous', async () => {
    const rows = await primary.sql(
      'SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND sync_state = $2',
      [name, 'sync'],
    )
    return rows.length === 1
  })
  return standby
}

/** The standby becomes the primary. What the old one had acknowledged, it has. */
export async function promote(standby: PostgresServer): Promise<void> {
  await standby.sql('SELECT pg_promote(true, 60)')
  await until('it is the primary', async () => {
    const [row] = await standby.sql('SELECT pg_is_in_recovery() AS standby')
    return row?.['standby'] === false
  })
}

interface Running {
  readonly programs: Programs
  readonly data: string
  readonly password: string
  readonly settings?: Readonly<Record<string, string>>
}

/** PostgreSQL, and beside it a shell that stops it when whoever started it has gone: its end of the pipe is closed then. */
const keeper = `"$@" 3<&- < /dev/null & pid=$!
{ cat > /dev/null; kill -INT "$pid"; } <&3 2> /dev/null &
wait "$pid"`

async function runPostgres(t: Test, { programs, data, password, settings }: Running): Promise<PostgresServer> {
  const port = await freePort()
  // Not beside the data: what it says of a full disk must not lie on that disk.
  const logFile = join(await makeFolder(t), 'log')
  const log = await open(logFile, 'a')
  const addressOf = (user: string, database: string): string =>
    `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`
  const administrator = addressOf('postgres', 'postgres')
  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()

  const isRunning = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null
  const listening = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' }
  const args = Object.entries({ ...defaults, ...listening, ...settings }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])

  function launch(): void {
    const started = spawn('/bin/sh', ['-c', keeper, 'sh', programs.path('postgres'), '-D', data, ...args], {
      ...childOptions(programs.account),
      stdio: ['ignore', log.fd, log.fd, 'pipe'],
    })
    child = started
    ended = new Promise((resolve) => {
      started.once('exit', () => {
        started.stdio[3]?.destroy()
        resolve()
      })
    })
  }

  const sql: PostgresServer['sql'] = (text, values = []) =>
    withClient(administrator, async (client) => {
      await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE')
      return (await client.query(text, [...values])).rows
    })

  async function signal(name: NodeJS.Signals): Promise<void> {
    const [line] = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
    process.kill(Number(line), name)
    await ended
  }

  const server: PostgresServer = {
    url: addressOf('ostiary', 'ostiary'),
    data,
    isRunning,
    sql,
    async start() {
      await until('PostgreSQL takes connections', async () => {
        // The first attempt after a kill may find processes that have not noticed yet.
        if (!isRunning()) launch()
        const answered = await Promise.race([sql('SELECT 1'), ended.then(() => undefined)]).catch(() => undefined)
        return answered !== undefined
      })
    },
    stop: (how) => signal(how === 'fast' ? 'SIGINT' : 'SIGQUIT'),
    kill: () => signal('SIGKILL'),
    async configure(changes) {
      for (const [name, value] of Object.entries(changes)) {
        await sql(value === undefined ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`)
      }
      await sql('SELECT pg_reload_conf()')
    },
    async terminateSessions() {
      const rows = await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ostiary'`)
      return rows.length
    },
    log: () => readFile(logFile, 'utf8'),
  }
  t.teardown(async () => {
    if (isRunning()) await signal('SIGQUIT').catch(() => undefined)
    await log.close()
  })
  return server
}

/** Sessions of somebody else, who takes all that there are. @returns gives them back */
export async function takeAllConnections(postgres: PostgresServer): Promise<() => Promise<void>> {
  const taken: pg.Client[] = []
  for (;;) {
    const client = new pg.Client({ connectionString: postgres.url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      taken.push(client)
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== '53300') throw error
      return async () => {
        await Promise.all(taken.map((each) => each.end().catch(() => undefined)))
      }
    }
  }
}

/** Asks until it holds. @throws after the patience of this file */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + patience * 1000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`)
    await delay(50)
  }
}

/** The account under which PostgreSQL runs must own what it writes. */
async function give(path: string, { account }: Programs, mode: number): Promise<void> {
  if (account) await chown(path, account.uid, account.gid)
  await chmod(path, mode)
}

async function succeed(programs: Programs, name: string, args: readonly string[]): Promise<void> {
  const { account } = programs
  const { status, stderr } = await run(programs.path(name), args, account ? { account } : {})
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`)
}
