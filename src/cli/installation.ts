import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Context } from '../context.js'
import { openContext } from '../open-context.js'
import { systemClock } from '../platform/clock.js'
import { type Config, loadConfig } from '../platform/config/index.js'
import { openEmbeddedPostgres } from '../platform/embedded-postgres/index.js'
import { createLogger, type Logger } from '../platform/log.js'
import { type Database, openDatabase, partitions } from '../store/index.js'
import { migrateDatabase, migrationStatus, migrationsFolder } from '../store/migrations.js'
import type { CommandIo } from './command.js'

/** The configuration and the database of the working directory, beside a running server or without one. */
export interface Installation {
  readonly config: Config
  readonly log: Logger
  readonly databaseUrl: string
  /** It runs for this command alone. */
  readonly startedHere: boolean
  readonly close: () => Promise<void>
}

/** The database is not what this release needs. */
export class NotMigratedError extends Error {
  override readonly name = 'NotMigratedError'
}

/** @throws {ConfigError} {EmbeddedPostgresError} */
export async function openInstallation(io: CommandIo): Promise<Installation> {
  const { config, log } = readConfiguration(io)
  const { url } = config.database
  if (url !== undefined) return { config, log, databaseUrl: url, startedHere: false, close: async () => undefined }

  const embedded = await openEmbeddedPostgres({ dataDir: config.database.dataDir, log, holder: 'command' })
  return {
    config,
    log,
    databaseUrl: embedded.url,
    startedHere: embedded.startedHere,
    close: () => embedded.stop(),
  }
}

/**
 * A context of an up-to-date database. The embedded one is brought up to date where no server runs; else that is for the
 * server, or for `migrate`, to do.
 *
 * @throws {NotMigratedError}
 */
export async function openCommandContext(io: CommandIo): Promise<Context> {
  const installation = await openInstallation(io)
  try {
    const ctx = await openMigratedContext(installation)
    return {
      ...ctx,
      async close() {
        try {
          await ctx.close()
        } finally {
          await installation.close()
        }
      },
    }
  } catch (error) {
    await installation.close().catch(() => undefined)
    throw error
  }
}

/** The same of an installation that is open. @throws {NotMigratedError} */
export async function openMigratedContext(installation: Installation): Promise<Context> {
  const { config, log, databaseUrl } = installation
  await withDatabase(installation, async (db) => {
    const { pending } = await migrationStatus(db.pool, migrationsFolder)
    if (pending.length === 0) return
    if (!installation.startedHere) throw notMigrated(pending.length, config)
    await migrate(installation, db)
  })
  return openContext({ config, log, databaseUrl })
}

/**
 * Applies what is pending, and makes the partitions that the next rows go into. Not on a connection of the pool, which waits
 * for a statement no longer than a request does.
 *
 * @returns the names of what was applied
 */
export async function migrate(
  { config, databaseUrl }: Pick<Installation, 'config' | 'databaseUrl'>,
  db: Database,
): Promise<readonly string[]> {
  const now = systemClock.now()
  const applied = await migrateDatabase(databaseUrl, now)
  await partitions.ensurePartitions(db.pool, await partitions.horizonOf(db, config), now)
  return applied
}

export async function withDatabase<Result>(
  { databaseUrl, log }: Installation,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  const onError = (error: Error): void => log.warn({ err: error }, 'a database connection was lost')
  const db = openDatabase({ url: databaseUrl, poolSize: 2, onError })
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

function readConfiguration(io: CommandIo): { config: Config; log: Logger } {
  const folder = io.folder ?? process.cwd()
  const { config: loaded, warnings } = loadConfig({ env: io.env, envFile: readEnvFile(join(folder, '.env')) })
  for (const warning of warnings) io.stderr.write(`ostiary: warning: ${warning}\n`)
  const config = { ...loaded, database: { ...loaded.database, dataDir: resolve(folder, loaded.database.dataDir) } }
  // What a command does, it says itself: the log has what went wrong beside it.
  const level = ['silent', 'fatal', 'error', 'debug', 'trace'].includes(config.log.level) ? config.log.level : 'warn'
  const destination = { write: (line: string) => void io.stderr.write(line) }
  return { config, log: createLogger({ level, pretty: io.stdout.isTTY === true, destination }) }
}

function readEnvFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

function notMigrated(pending: number, config: Config): NotMigratedError {
  const what = `The database lacks ${pending === 1 ? 'a migration' : `${pending} migrations`} of this release.`
  return new NotMigratedError(
    config.database.url === undefined
      ? `${what} A server is starting on it, or an older one runs: try again when this release has started.`
      : `${what} Run \`ostiary migrate\` first.`,
  )
}
