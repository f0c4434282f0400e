import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Binaries } from './binaries.js'
import { EmbeddedPostgresError } from './errors.js'
import type { Hold } from './holders.js'
import type { Home } from './home.js'
import type { EmbeddedPostgresOptions, Started } from './open.js'
import { findPostmaster } from './postmaster.js'
import { childOptions, isAlive, run } from './processes.js'

/*
 * Windows has neither FIFOs with names in a folder nor signals between processes. There PostgreSQL is on a loopback port,
 * belongs to the process that started it, and is stopped by pg_ctl; what a killed server leaves, the next start stops.
 */

interface Starter {
  readonly pid: number
  readonly holder: string
}

/** A command may share what a server runs. A server that meets a command waits for its end, to start its own. */
export async function shareOnWindows(home: Home, options: EmbeddedPostgresOptions): Promise<Hold | undefined> {
  const starter = await readStarter(home)
  if (!starter || !isAlive(starter.pid)) return undefined
  if (starter.holder === 'server') return { release: () => undefined }
  options.log.info({ pid: starter.pid }, 'waiting for a command that uses the database')
  while (isAlive(starter.pid)) await setTimeout(50)
  return undefined
}

/** By pg_ctl, which gives up an administrator's rights. */
export async function startOnWindows(
  home: Home,
  binaries: Binaries,
  options: EmbeddedPostgresOptions,
  settingsOf: (where: Readonly<Record<string, string>>, options: EmbeddedPostgresOptions) => readonly string[],
): Promise<Started | Error> {
  const where = { listen_addresses: '127.0.0.1', unix_socket_directories: '', port: String(await freePort()) }
  const settings = settingsOf(where, options).map((word) => (word.includes('=') ? `"${word}"` : word))
  const log = join(home.folder, 'postgres.log')
  const args = ['start', '-D', home.data, '-l', log, '-w', '-t', '300', '-o', settings.join(' ')]
  const status = await new Promise<number | null>((resolve, reject) => {
    const child = spawn(binaries.pgCtl, args, { ...childOptions(undefined), stdio: 'ignore', detached: true })
    child.once('error', reject)
    child.once('exit', resolve)
  })
  const postmaster = status === 0 ? await findPostmaster(home) : undefined
  if (!postmaster) return new EmbeddedPostgresError(`The embedded PostgreSQL does not start. See ${log}.`)
  const starter: Starter = { pid: process.pid, holder: options.holder }
  await writeFile(join(home.folder, 'starter.json'), JSON.stringify(starter))
  return {
    postmaster,
    async stop() {
      await run(binaries.pgCtl, ['stop', '-D', home.data, '-m', 'fast', '-w'])
    },
  }
}

async function readStarter(home: Home): Promise<Starter | undefined> {
  try {
    return JSON.parse(await readFile(join(home.folder, 'starter.json'), 'utf8')) as Starter
  } catch {
    return undefined
  }
}

/** Another program may take it before PostgreSQL does; the caller tries again. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
