import { constants } from 'node:fs'
import { link, open, rename, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemRandom } from '../random.js'
import type { Binaries } from './binaries.js'
import { EmbeddedPostgresError } from './errors.js'
import type { Home } from './home.js'
import { commandLine, isAlive, isWindows, run } from './processes.js'

/** What `postmaster.pid` says about the PostgreSQL of a data directory. */
export interface Postmaster {
  readonly pid: number
  readonly port: number
  /** The folder of its socket. Empty on Windows. */
  readonly socketFolder: string
  readonly status: 'starting' | 'stopping' | 'ready' | 'unknown'
}

/**
 * The PostgreSQL that runs on this database, or undefined. The file alone proves nothing: after a crash its number may
 * belong to any other process, which must not be harmed and must not keep us from starting.
 */
export async function findPostmaster(home: Home): Promise<Postmaster | undefined> {
  const text = await readPidFile(join(home.data, 'postmaster.pid'))
  const postmaster = text === undefined ? undefined : parse(text)
  if (text === undefined || !postmaster) return undefined
  // PostgreSQL itself knows what to do with the file of a process that is gone.
  if (!isAlive(postmaster.pid)) return undefined
  if (await isPostgresOf(postmaster.pid, home)) return postmaster
  if (isAlive(postmaster.pid)) await removeStalePidFile(home, text)
  return undefined
}

/** Whether the process is the PostgreSQL of this database and nothing else that got its number. */
async function isPostgresOf(pid: number, home: Home): Promise<boolean> {
  // No command line can be asked for there; the file is trusted as PostgreSQL trusts it.
  if (isWindows) return true
  const line = (await commandLine(pid)) ?? ''
  // Its children have other titles ("postgres: …"), and its watchdog, whose line also names the folder, is a shell.
  const program = basename(line.split(' -D ')[0] ?? '')
  return program === 'postgres' && line.includes(` -D ${home.data} `) && !line.startsWith('/bin/sh ')
}

/**
 * Asks PostgreSQL to stop, which ends its sessions and writes everything down, and waits until it is gone.
 *
 * @throws {EmbeddedPostgresError} when it is still there after half a minute
 */
export async function stopPostmaster(
  postmaster: Postmaster,
  home: Home,
  binaries: () => Promise<Binaries>,
): Promise<void> {
  if (isWindows) {
    await run((await binaries()).pgCtl, ['stop', '-D', home.data, '-m', 'fast', '-w', '-t', '30'])
  } else if (await isPostgresOf(postmaster.pid, home)) {
    signal(postmaster.pid, 'SIGINT')
  }
  if (await isGone(postmaster.pid, 20_000)) return
  // Like a crash, without loss: the next start recovers from the log.
  if (!isWindows && (await isPostgresOf(postmaster.pid, home))) signal(postmaster.pid, 'SIGQUIT')
  if (await isGone(postmaster.pid, 10_000)) return
  throw new EmbeddedPostgresError(
    `A PostgreSQL that an earlier server left on ${home.folder} (process ${postmaster.pid}) does not stop.`,
  )
}

/** Polls until the process is gone. @returns false when it is still there after that many milliseconds */
export async function isGone(pid: number, milliseconds: number): Promise<boolean> {
  for (let waited = 0; isAlive(pid); waited += 10) {
    if (waited >= milliseconds) return false
    await setTimeout(10)
  }
  return true
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The account could have put anything there; root follows no link and waits for nothing. */
async function readPidFile(path: string): Promise<string | undefined> {
  const flags = isWindows ? constants.O_RDONLY : constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    const file = await open(path, flags)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Lines: process id, data directory, start time, port, socket folder, address, shared memory, status. */
function parse(text: string): Postmaster | undefined {
  const lines = text.split('\n')
  const pid = Number(lines[0])
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined
  const status = lines[7]?.trim()
  return {
    pid,
    port: Number(lines[3]),
    socketFolder: lines[4]?.trim() ?? '',
    status: status === 'starting' || status === 'stopping' || status === 'ready' ? status : 'unknown',
  }
}

/** Takes the file away only if it is still the one that was judged: another process may have started meanwhile. */
async function removeStalePidFile(home: Home, judged: string): Promise<void> {
  const path = join(home.data, 'postmaster.pid')
  const aside = `${path}.${systemRandom.bytes(4).toString('hex')}`
  try {
    await rename(path, aside)
    if ((await readPidFile(aside)) !== judged) await link(aside, path)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await unlink(aside).catch(() => undefined)
  }
}
