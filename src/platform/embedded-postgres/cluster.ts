import { chmod, chown, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemRandom } from '../random.js'
import type { Binaries } from './binaries.js'
import { EmbeddedPostgresError } from './errors.js'
import { createOnce, exists, type Home, removeFolder, syncFolder } from './home.js'
import { type Outcome, run } from './processes.js'

/** Owns the database, and may do nothing beyond it: a server that was tricked into other SQL reads no file. */
export const databaseUser = 'ostiary'
export const databaseName = 'ostiary'

/** Has the same password. The server never uses it. */
export const superuser = 'postgres'

/**
 * The password of the data directory, drawn at its first start. Other services may run under the same account, so
 * reaching the socket must not be enough.
 *
 * @throws {EmbeddedPostgresError} where the database exists and its password is gone
 */
export async function readPassword(home: Home): Promise<string> {
  const path = join(home.dataDir, 'postgres-password')
  if (!(await exists(path))) {
    if (await exists(home.data)) {
      throw new EmbeddedPostgresError(
        `${path} is missing: it holds the password of the database in ${home.folder}. Bring it back.`,
      )
    }
    await createOnce(path, `${systemRandom.bytes(32).toString('base64url')}\n`, 0o600)
  }
  const password = (await readFile(path, 'utf8')).trim()
  if (/^[\w-]{43}$/.test(password)) return password
  throw new EmbeddedPostgresError(
    `${path} does not hold the password that was drawn at the first start. Bring it back.`,
  )
}

/**
 * Creates the database where there is none. It is made under another name and gets its own when it is complete and on
 * disk: a process killed midway leaves nothing that looks like a database, and of two that start at once one wins.
 *
 * @throws {EmbeddedPostgresError} where PostgreSQL cannot create it, or the existing one is of another major version
 */
export async function ensureCluster(home: Home, binaries: Binaries, password: string): Promise<void> {
  if (await exists(home.data)) return checkVersion(home, binaries)

  const { account } = home
  const temporary = join(home.folder, `init-${process.pid}-${systemRandom.bytes(4).toString('hex')}`)
  const [data, passwordFile] = [join(temporary, 'data'), join(temporary, 'password')]
  await mkdir(temporary, { mode: 0o700 })
  try {
    await writeFile(passwordFile, password, { mode: 0o600 })
    if (account) {
      await chown(passwordFile, account.uid, account.gid)
      await chmod(temporary, 0o700)
      await chown(temporary, account.uid, account.gid)
    }
    await succeed(
      'initdb',
      run(
        binaries.initdb,
        // Synchronised once, below, when all is there.
        [
          ...['-D', data, '-U', superuser, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
          ...['--encoding=UTF8', '--locale=C', '--data-checksums', '--no-sync', '--no-instructions'],
        ],
        { account },
      ),
    )
    // Without a server: one less to start and to stop. The password has no character that needs quoting.
    const statements = [
      `CREATE ROLE ${databaseUser} LOGIN PASSWORD '${password}'`,
      `CREATE DATABASE ${databaseName} OWNER ${databaseUser}`,
    ]
    await succeed(
      'postgres --single',
      run(
        binaries.postgres,
        [
          ...['--single', '-D', data, '-c', 'exit_on_error=on', '-c', 'fsync=off'],
          ...['-c', 'log_min_error_statement=panic', 'postgres'],
        ],
        { account, input: `${statements.join('\n')}\n` },
      ),
    )
    await succeed('initdb --sync-only', run(binaries.initdb, ['-D', data, '--sync-only'], { account }))
    await rename(data, home.data)
    await syncFolder(home.folder)
  } catch (error) {
    // Another process was faster. Its database has the same password.
    if (!(await exists(home.data))) throw error
  } finally {
    await unlink(passwordFile).catch(() => undefined)
    await removeFolder(temporary, account)
  }
}

async function succeed(what: string, outcome: Promise<Outcome>): Promise<void> {
  const { status, stderr } = await outcome
  if (status === 0) return
  // A program that the dynamic linker refused, as on a system without glibc, says so here.
  const lines = stderr.trim().split('\n').slice(-5).join('\n')
  throw new EmbeddedPostgresError(
    `The embedded PostgreSQL could not create its database (${what} ended with ${status ?? 'a signal'}). Where it does ` +
      `not run on this machine, set DATABASE_URL.\n${lines}`,
  )
}

async function checkVersion(home: Home, binaries: Binaries): Promise<void> {
  const existing = (await readFile(join(home.data, 'PG_VERSION'), 'utf8')).trim()
  const ours = binaries.version.split('.')[0]
  if (ours === existing) return
  throw new EmbeddedPostgresError(
    `The database in ${home.folder} was made by PostgreSQL ${existing}, and this release brings ${ours}. Move its data ` +
      `with pg_dump and pg_restore of PostgreSQL ${ours}, or install the release that brings ${existing}.`,
  )
}
