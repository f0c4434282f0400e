import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs'
import { chown, mkdir, mkdtemp, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemRandom } from '../random.js'
import { EmbeddedPostgresError } from './errors.js'
import { exists, type Home } from './home.js'
import { run } from './processes.js'

/*
 * PostgreSQL lives as long as somebody uses it: a server, a command beside it, a command alone. Whoever does holds the
 * write end of one FIFO. The kernel closes it when its holder ends, also by kill -9, and tells the reader, a watchdog,
 * when the last one was closed. So there is no count that could be wrong and no file that could be stale.
 */

/** The use of a running PostgreSQL by this process. */
export interface Hold {
  /** Gives it up. PostgreSQL stops if no other process holds it. */
  release(): void
}

/**
 * Starts PostgreSQL, waits for the last holder to go, and stops it then. A newcomer writes a name, which is confirmed by
 * a file: from then on this process counts. Without that, it could open the FIFO just after the last one has closed it.
 *
 * The signal is repeated, since PostgreSQL does not hear it in its first milliseconds. A Ctrl-C in the terminal concerns
 * neither: they have a session of their own.
 */
export const watchdog = `
folder=$1
shift
trap '' HUP INT TERM
"$@" 3<&- &
postgres=$!
(
  while read -r name <&3; do
    case $name in
      '' | *[!0-9a-f]*) ;;
      *) : > "$folder/$name" ;;
    esac
  done
  : > "$folder/stopping"
  exec 3<&-
  while kill -INT "$postgres" 2> /dev/null; do sleep 1; done
) &
watcher=$!
exec 3<&-
wait "$postgres"
status=$?
kill -KILL "$watcher" 2> /dev/null
if [ -e "$folder/stopping" ]; then
  rm -f "$folder"/* "$folder"/.s.*
  rmdir "$folder" 2> /dev/null
fi
exit "$status"
`

const fifoName = 'holders'

/** macOS takes 103 bytes, Linux 107. */
const longestSocketPath = 103

/** A private folder for the socket and the FIFO of one PostgreSQL, with a name that is short enough for a socket. */
export async function makeRunFolder(home: Home): Promise<string> {
  const inside = join(home.folder, `run-${process.pid}-${systemRandom.bytes(4).toString('hex')}`)
  const fits = (path: string) => Buffer.byteLength(join(path, '.s.PGSQL.5432')) <= longestSocketPath
  let folder = inside
  if (fits(inside)) await mkdir(inside, { mode: 0o700 })
  else folder = await mkdtemp(join(fits(join(tmpdir(), 'ostiary-XXXXXX')) ? tmpdir() : '/tmp', 'ostiary-'))
  if (home.account) await chown(folder, home.account.uid, home.account.gid)
  return folder
}

/** Creates the FIFO and becomes its first holder. */
export async function holdFirst(folder: string, home: Home): Promise<Hold> {
  const path = join(folder, fifoName)
  const { status, stderr } = await run('mkfifo', ['-m', '600', path], { account: home.account })
  if (status !== 0) throw new EmbeddedPostgresError(`A FIFO is needed in ${folder}: ${stderr.trim()}`)
  // To open one end is to wait for the other, and to open both is not.
  const both = openSync(path, constants.O_RDWR)
  try {
    return holdOf(openSync(path, constants.O_WRONLY))
  } finally {
    closeSync(both)
  }
}

/** The watchdog's end. Only for a holder: it would wait for one. Close it once the watchdog has it. */
export function openReader(folder: string): number {
  return openSync(join(folder, fifoName), constants.O_RDONLY)
}

/**
 * Becomes one more holder of a running PostgreSQL. Undefined where nobody watches over it: it is about to stop, or its
 * watchdog is gone.
 *
 * @throws {EmbeddedPostgresError} where its watchdog does not answer
 */
export async function joinHolders(folder: string): Promise<Hold | undefined> {
  const path = join(folder, fifoName)
  const fd = openWriter(path)
  if (fd === undefined) return undefined
  const name = systemRandom.bytes(8).toString('hex')
  try {
    writeSync(fd, `${name}\n`)
  } catch {
    closeSync(fd)
    return undefined
  }
  const confirmation = join(folder, name)
  for (let waited = 0; !(await exists(confirmation)); waited += 5) {
    const gone = !hasReader(folder)
    if (gone || waited >= 60_000) closeSync(fd)
    if (gone) return undefined
    if (waited >= 60_000) throw new EmbeddedPostgresError(`The watchdog of the database in ${folder} does not answer.`)
    await setTimeout(5)
  }
  await unlink(confirmation).catch(() => undefined)
  return holdOf(fd)
}

/** Whether a watchdog still waits for the last holder to go. */
export function hasReader(folder: string): boolean {
  const fd = openWriter(join(folder, fifoName))
  if (fd !== undefined) closeSync(fd)
  return fd !== undefined
}

/** Without waiting: a FIFO that nobody reads cannot be opened. Anything but a FIFO is not ours. */
function openWriter(path: string): number | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (['ENXIO', 'ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR'].includes(code ?? '')) return undefined
    throw error
  }
  if (fstatSync(fd).isFIFO()) return fd
  closeSync(fd)
  return undefined
}

function holdOf(fd: number): Hold {
  let held = true
  return {
    release() {
      if (held) closeSync(fd)
      held = false
    },
  }
}
