import type { Stats } from 'node:fs'
import {
  access,
  chmod,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { systemRandom } from '../random.js'
import { type Account, isRoot, mayPass, unprivilegedAccount } from './account.js'
import { EmbeddedPostgresError } from './errors.js'
import { isAlive, run } from './processes.js'

/** Where an embedded database lies, and under which account it runs. */
export interface Home {
  /** What the operator calls DATA_DIR. The password and the note about a database elsewhere are here. */
  readonly dataDir: string
  /** Ours: holds the database, its log, its sockets. What the account owns in it are only subfolders. */
  readonly folder: string
  /** PostgreSQL's own data directory. It exists as soon as it is complete. */
  readonly data: string
  /** Undefined where PostgreSQL runs as whoever we are. */
  readonly account: Account | undefined
}

/** The only place outside of DATA_DIR that is ever written to, and only by root. */
const elsewhere = '/var/lib/ostiary'

/** In DATA_DIR, where the database is elsewhere. */
const noteName = 'postgres.json'

interface Note {
  readonly database: string
  readonly reason: string
}

/**
 * Finds, or chooses and creates, the home of the database of this data directory. As root that is DATA_DIR where the
 * unprivileged account can pass all folders up to it, else a folder of `/var/lib/ostiary`, and DATA_DIR says which.
 * A database that exists is never moved.
 *
 * @throws {EmbeddedPostgresError} where a database exists that cannot be used
 */
export async function findHome(dataDir: string): Promise<Home> {
  const path = await makeDataDir(resolve(dataDir))
  const direct = join(path, 'postgres')
  if (!isRoot()) {
    const existing = await statOr(join(direct, 'data'))
    if (existing && process.geteuid && existing.uid !== process.geteuid()) {
      throw new EmbeddedPostgresError(
        `The database in ${direct} belongs to another user (uid ${existing.uid}). Start the server as that user or as ` +
          'root, or give it another DATA_DIR.',
      )
    }
    await makeFolder(direct, 0o700)
    return home(path, direct, undefined)
  }

  const note = await readNote(path)
  if (note) return homeElsewhere(path, note.database)

  const existing = await statOr(join(direct, 'data'))
  if (existing) {
    const account = await ownerOf(existing)
    if (await mayPass(account, [direct])) return home(path, direct, account)
    throw new EmbeddedPostgresError(
      `The account ${account.name}, to which the database in ${direct} belongs, cannot reach it any more. Let it pass ` +
        `${await firstClosed(direct, account)} again (chmod o+x).`,
    )
  }

  const account = await unprivilegedAccount()
  await makeFolder(direct, 0o711)
  if (await mayPass(account, [direct])) return home(path, direct, account)
  await rmdir(direct).catch(() => undefined)
  return homeElsewhere(path, await chooseElsewhere(path, account))
}

/** Removes what processes that are gone have left in the home. What the account owns is removed by the account. */
export async function clean({ folder, account }: Home): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = Number(/^(?:run|init|copy)-(\d+)-[0-9a-f]+$/.exec(name)?.[1])
    if (pid && !isAlive(pid)) await removeFolder(join(folder, name), account)
  }
}

/** Root follows no name in a folder that another account may change: that account empties it. */
export async function removeFolder(path: string, account: Account | undefined): Promise<void> {
  // A start that was killed early has not given it to the account yet: it is root's own, and nobody else was in it.
  if (!account || (await isOwn(path))) return rm(path, { recursive: true, force: true })
  await run('/bin/sh', ['-c', 'cd -P -- "$1" && rm -rf -- ./* ./.[!.]*', 'sh', path], { account })
  await rmdir(path).catch(() => undefined)
}

async function isOwn(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found?.uid === process.geteuid?.()
}

/** Writes the file unless it exists: whoever comes first decides, and nobody reads half of it. */
export async function createOnce(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.${systemRandom.bytes(4).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
}

/** A name is as durable as the folder it is in. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function home(dataDir: string, folder: string, account: Account | undefined): Home {
  return { dataDir, folder, data: join(folder, 'data'), account }
}

/**
 * As root the folder may be passed, not listed, by others: the account must get to its database. Everything in it that
 * is nobody else's business has a mode of its own.
 */
async function makeDataDir(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await makeFolder(path, isRoot() ? 0o711 : 0o700)
  return realpath(path)
}

/** With exactly this mode, whatever the umask. */
async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
    await chmod(path, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

async function homeElsewhere(dataDir: string, folder: string): Promise<Home> {
  await checkElsewhere()
  const owner = await readFile(join(folder, 'data-dir'), 'utf8').catch(() => undefined)
  if (owner === undefined) {
    throw new EmbeddedPostgresError(
      `${join(dataDir, noteName)} says that the database is in ${folder}, but it is not there. Bring it back, or remove ` +
        'that file to start with an empty database.',
    )
  }
  if (owner !== dataDir) {
    // The folder was moved, or it is a copy of one that is still in use. A database has one data directory.
    if ((await readNote(owner))?.database === folder) {
      throw new EmbeddedPostgresError(
        `The database in ${folder} belongs to ${owner}, of which ${dataDir} seems to be a copy. Remove ` +
          `${join(dataDir, noteName)} to start with an empty database.`,
      )
    }
    await writeFile(join(folder, 'data-dir'), dataDir)
  }
  const existing = await statOr(join(folder, 'data'))
  return home(dataDir, folder, existing ? await ownerOf(existing) : await unprivilegedAccount())
}

/** A new folder with an unpredictable name, which is then the one that DATA_DIR names, unless another process was faster. */
async function chooseElsewhere(dataDir: string, account: Account): Promise<string> {
  const closed = await firstClosed(dataDir, account)
  if ((await mkdir(elsewhere, { recursive: true })) !== undefined) await chmod(elsewhere, 0o755)
  await checkElsewhere()
  const folder = join(elsewhere, systemRandom.bytes(8).toString('hex'))
  await makeFolder(folder, 0o755)
  await writeFile(join(folder, 'data-dir'), dataDir)
  const note: Note = {
    database: folder,
    reason: `PostgreSQL does not run as root, and the account ${account.name} cannot pass ${closed}.`,
  }
  await createOnce(join(dataDir, noteName), `${JSON.stringify(note, undefined, 2)}\n`, 0o600)
  const chosen = await readNote(dataDir)
  if (chosen?.database !== folder) await rm(folder, { recursive: true })
  return chosen?.database ?? folder
}

/** In a folder that somebody else can write to, a database could be exchanged for another. */
async function checkElsewhere(): Promise<void> {
  const found = await lstat(elsewhere).catch(() => undefined)
  if (!found?.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0) {
    throw new EmbeddedPostgresError(
      `${elsewhere} must be a folder that belongs to root and that nobody else can write to.`,
    )
  }
}

async function readNote(dataDir: string): Promise<Note | undefined> {
  const path = join(dataDir, noteName)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const note = JSON.parse(text) as Partial<Note>
    if (typeof note.database === 'string' && dirname(note.database) === elsewhere) return note as Note
  } catch {
    // Said below.
  }
  throw new EmbeddedPostgresError(`${path} should say where the database is, in ${elsewhere}, and does not.`)
}

async function ownerOf({ uid, gid }: Stats): Promise<Account> {
  if (uid !== 0) return { name: `with uid ${uid}`, uid, gid }
  throw new EmbeddedPostgresError(
    'The files of the embedded database belong to root, under which PostgreSQL does not run.',
  )
}

/** The outermost folder that the account cannot pass, for a message. */
async function firstClosed(path: string, account: Account): Promise<string> {
  const parents = [path]
  while (dirname(parents[0]!) !== parents[0]) parents.unshift(dirname(parents[0]!))
  for (const parent of parents) if (!(await mayPass(account, [parent]))) return parent
  return path
}

async function statOr(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined)
}
