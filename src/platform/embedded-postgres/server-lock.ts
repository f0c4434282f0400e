import { readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemRandom } from '../random.js'
import { AlreadyRunningError } from './errors.js'
import { createOnce, type Home } from './home.js'
import { isAlive, startOf } from './processes.js'

/** One server at a time: two would run the same periodic work, and their operator meant something else. */
export interface ServerLock {
  release(): Promise<void>
}

/**
 * Takes the lock, also from a server that was killed. A process is known by its number and when it started, since
 * numbers come back.
 *
 * @throws {AlreadyRunningError} while the server that holds it runs
 */
export async function lockServer(home: Home): Promise<ServerLock> {
  const path = join(home.folder, 'server.pid')
  // Unique, so that only our own lock is ever released.
  const ours = JSON.stringify({
    pid: process.pid,
    start: await startOf(process.pid),
    id: systemRandom.bytes(8).toString('hex'),
  })
  for (;;) {
    await createOnce(path, ours, 0o600)
    const found = await readFile(path, 'utf8').catch(() => undefined)
    if (found === undefined) continue
    if (found === ours) {
      return {
        async release() {
          if ((await readFile(path, 'utf8').catch(() => undefined)) === ours) await unlink(path)
        },
      }
    }
    const holder = parse(found)
    if (holder && (await stillRuns(holder))) throw new AlreadyRunningError(home.dataDir, holder.pid)
    await takeAway(path, found)
  }
}

interface Holder {
  readonly pid: number
  readonly start?: string
}

async function stillRuns({ pid, start }: Holder): Promise<boolean> {
  return isAlive(pid) && (start === undefined || (await startOf(pid)) === start)
}

function parse(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Partial<Holder>
    return Number.isSafeInteger(holder.pid) ? (holder as Holder) : undefined
  } catch {
    return undefined
  }
}

/** Two may judge the same lock to be stale, and one of them be quick: what the other then moves is a live one. */
async function takeAway(path: string, stale: string): Promise<void> {
  const aside = `${path}.${process.pid}.${systemRandom.bytes(4).toString('hex')}`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const moved = await readFile(aside, 'utf8')
  if (moved !== stale) await createOnce(path, moved, 0o600)
  await unlink(aside)
}
