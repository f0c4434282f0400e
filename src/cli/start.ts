import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { createApp, type DemoMode } from '../app.js'
import type { Context } from '../context.js'
import { setUpDemo } from '../demo/index.js'
import { listen, tryPort } from '../http/index.js'
import { maintainPartitions, startWorker } from '../jobs/index.js'
import { requireNamedTiers } from '../limits/index.js'
import { nameDestinations } from '../notices/index.js'
import { openContext } from '../open-context.js'
import { followCertificate } from '../platform/certificate.js'
import { type Clock, systemClock } from '../platform/clock.js'
import { type Config, ConfigError, loadConfig } from '../platform/config/index.js'
import { masterKeyFileWarning } from '../platform/crypto/master-key.js'
import { openEmbeddedPostgres } from '../platform/embedded-postgres/index.js'
import { createLogger, type Logger } from '../platform/log.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { isLoopbackHost } from '../platform/network.js'
import { nameReceivers } from '../protocol/revocation/index.js'
import { isDatabaseAway, settings } from '../store/index.js'
import { migrateDatabase } from '../store/migrations.js'
import { databaseAwayText } from './database-away.js'
import { printWelcome } from './welcome.js'

/** What one process does. `npm start` does all. */
export interface Role {
  readonly serve: boolean
  readonly work: boolean
  readonly demo: boolean
}

/** Seconds to finish what runs after SIGTERM. */
const grace = 10

/** What a serving process is told by the one that started it: not by environment, which others may read. */
interface Assignment {
  readonly databaseUrl: string
  readonly demo: DemoMode | undefined
}

/**
 * Runs until it is told to stop.
 *
 * @param clock an argument for tests, which let it jump; nothing outside can set it
 */
export async function start(role: Role, clock: Clock = systemClock): Promise<void> {
  const { config, warnings } = readConfig()
  const log = createLogger({ level: config.log.level, pretty: process.stdout.isTTY === true })
  failLoudly(log)
  if (cluster.isWorker) return serveAsChild(config, log, clock)
  for (const warning of warnings) log.warn(warning)

  const stopping: (() => Promise<void>)[] = []
  onStop(log, stopping)
  const databaseUrl = await openDatabase(config, log, clock, stopping)
  const ctx = await openContext({ config, log, databaseUrl, clock, follow: true })
  stopping.unshift(() => ctx.close())
  const warning = config.secrets.masterKey ? undefined : masterKeyFileWarning(config.database.dataDir)
  if (warning !== undefined) log.warn(warning)
  await maintainPartitions(ctx)
  if (role.serve) requireNamedTiers(ctx)
  // Before the demo is set up: a start that failed later would have shown nobody the passwords that it made.
  if (role.serve) await tryPort(config).catch((error) => throwListenError(error, config))
  const demo = role.serve ? await prepareDemo(ctx, role) : undefined

  if (role.work) {
    await nameReceivers(ctx)
    await nameDestinations(ctx)
    const worker = startWorker(ctx)
    stopping.unshift(() => worker.stop())
  }
  if (!role.serve) return log.info('background jobs run')
  const assignment = { databaseUrl, demo: demo?.mode }
  if (config.server.processes > 1) {
    stopping.unshift(await fork(config, log, assignment))
    stopping.unshift(warnOfExpiry(ctx))
  } else stopping.unshift(await serveHere(ctx, assignment.demo))
  log.info({ issuer: config.server.issuer, processes: config.server.processes }, 'ready')
  if (demo) printWelcome(config, demo)
}

function readConfig(): ReturnType<typeof loadConfig> {
  try {
    return loadConfig({ env: process.env, envFile: readEnvFile() })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(1)
  }
}

export function readEnvFile(): string | undefined {
  try {
    return readFileSync('.env', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The database, migrated. The embedded one starts here and stops with us. */
async function openDatabase(
  config: Config,
  log: Logger,
  clock: Clock,
  stopping: (() => Promise<void>)[],
): Promise<string> {
  let { url } = config.database
  if (url === undefined) {
    const embedded = await openEmbeddedPostgres({ dataDir: config.database.dataDir, log, holder: 'server' })
    stopping.unshift(() => embedded.stop())
    url = embedded.url
  }
  const applied = await migrateDatabase(url, clock.now()).catch((error) => {
    throw isDatabaseAway(error) ? new Error(databaseAwayText(error), { cause: error }) : error
  })
  if (applied.length > 0) log.info({ migrations: applied }, 'migrations applied')
  return url
}

/** The demo is for a person who tries the server on his own machine: never with an https issuer or a database of one's own. */
async function prepareDemo(ctx: Context, role: Role) {
  const { server, database } = ctx.config
  const isLoopback = server.issuer.startsWith('http://') && isLoopbackHost(server.host)
  const wanted = isLoopback && database.url === undefined && (role.demo || process.stdout.isTTY === true)
  if (!wanted) {
    if (role.demo) ctx.log.warn('no demo: it needs the embedded database and a plain http issuer')
    if (!isLoopback && (await settings.find(ctx.db, 'demo')) !== undefined) {
      ctx.log.warn(
        'this database holds the accounts of the demo: disable demo@localhost.example, demo-app and demo-service, and give admin@localhost.example another password',
      )
    }
    return undefined
  }
  const accounts = await setUpDemo(ctx)
  return { accounts, mode: { url: `${server.issuer}/demo` } }
}

/** Serves in this process. @returns how to stop */
async function serveHere(ctx: Context, demo: DemoMode | undefined): Promise<() => Promise<void>> {
  const app = await createApp(ctx, { demo })
  try {
    return await listen(app, ctx, { warnsOfExpiry: !cluster.isWorker })
  } catch (error) {
    return throwListenError(error, ctx.config)
  }
}

/** The serving processes exchange their certificates by themselves; that one is about to expire is said once, here. */
function warnOfExpiry(ctx: Context): () => Promise<void> {
  const { tls } = ctx.config.server
  const follower = tls && followCertificate({ ...ctx, files: tls, servers: [], warns: true })
  return async () => follower?.stop()
}

function throwListenError(error: unknown, { server: { host, port } }: Config): never {
  const advice: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} is in use. Stop what listens there, or choose another by PORT.`,
    EACCES: `Port ${port} needs rights that this account lacks. Choose one above 1023 by PORT.`,
    EADDRNOTAVAIL: `HOST is ${JSON.stringify(host)}, which is no address of this machine.`,
    ENOTFOUND: `HOST is ${JSON.stringify(host)}, which is not the name of any machine.`,
  }
  const message = advice[(error as NodeJS.ErrnoException).code ?? '']
  throw message === undefined ? error : new Error(message, { cause: error })
}

async function serveAsChild(config: Config, log: Logger, clock: Clock): Promise<void> {
  const stopping: (() => Promise<void>)[] = []
  onStop(log, stopping)
  // Without the process that started us there is no database: whoever restarts it starts us, too.
  process.once('disconnect', () => process.exit(0))
  const assignment = new Promise<Assignment>((resolve) => process.once('message', resolve))
  process.send?.('listening to you')
  const { databaseUrl, demo } = await assignment
  const ctx = await openContext({ config, log, databaseUrl, clock, follow: true })
  stopping.unshift(() => ctx.close())
  stopping.unshift(await serveHere(ctx, demo))
  process.send?.('ready')
}

/** Starts the serving processes and one in place of each that dies. @returns how to stop */
async function fork(config: Config, log: Logger, assignment: Assignment): Promise<() => Promise<void>> {
  let stopping = false
  const startOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const startedAt = monotonicMilliseconds()
      const worker = cluster.fork()
      worker.on('message', (message) => {
        if (message === 'ready') resolve()
        else worker.send(assignment)
      })
      worker.once('exit', (code, signal) => {
        // At the first start the server does not say that it is ready; later nobody waits for this.
        reject(new Error(`A serving process ended before it was ready (${signal ?? `exit status ${code}`}).`))
        if (stopping) return
        log.error({ child: worker.process.pid, exitCode: code, signal }, 'a serving process died: another one starts')
        // One that dies at once is not started in a loop.
        setTimeout(
          () => void startOne().catch(() => undefined),
          monotonicMilliseconds() - startedAt < 5_000 ? 1_000 : 0,
        )
      })
    })
  await Promise.all(Array.from({ length: config.server.processes }, startOne))
  return async () => {
    stopping = true
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
    await Promise.all(
      workers.map(
        (worker) =>
          new Promise<void>((resolve) => {
            worker.once('exit', () => resolve())
            worker.process.kill('SIGTERM')
          }),
      ),
    )
  }
}

/** SIGTERM and SIGINT: stop accepting, finish what runs, let go of the database, within ten seconds. */
function onStop(log: Logger, steps: readonly (() => Promise<void>)[]): void {
  let stopping = false
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.error('what runs did not finish in time')
      process.exit(1)
    }, grace * 1000).unref()
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        log.error({ err: error }, 'a part did not stop')
      }
    }
    log.info('stopped')
    log.flush(() => process.exit(0))
  }
  process.on('SIGTERM', (signal) => void stop(signal))
  process.on('SIGINT', (signal) => void stop(signal))
}

/** What nobody expected leaves a line in the log, and a process that is started anew rather than one that limps. */
function failLoudly(log: Logger): void {
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, 'the process ends: an error was not handled')
    log.flush(() => process.exit(1))
  }
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
}
