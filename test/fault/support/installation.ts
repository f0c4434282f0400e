import { join } from 'node:path'
import type { Test } from 'tap'
import { testMasterKey } from '../../support/command.js'
import { createTestDatabase } from '../../support/database.js'
import { makeFolder, type RunningProcess, startProcess, waitFor, waitUntilReady } from '../../support/process.js'
import { freePort } from '../../support/running-server.js'
import { type Clocks, steadyClocks } from './clocks.js'

/** Which command a process runs. */
export type Role = 'start' | 'serve' | 'work'

export interface ProcessOptions {
  readonly name: string
  readonly role: Role
  /** Over that of the installation. */
  readonly env?: Readonly<Record<string, string>>
  /** The program of another release. */
  readonly main?: string
}

/** One process of an installation, which can be ended and started again as often as a test likes. */
export interface ManagedProcess {
  readonly name: string
  readonly role: Role
  /** Where it serves, if it does. */
  readonly port: number | undefined
  readonly pid: () => number
  readonly isRunning: () => boolean
  /** Starts it and waits until it is ready. */
  readonly start: () => Promise<void>
  /** Sends the signal and waits until it has ended. @returns how it ended */
  readonly end: (signal: NodeJS.Signals) => Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** What all of its lives have written. */
  readonly output: () => string
}

/** Real processes on one database, as `npm start`, `serve` and `work` run them. */
export interface Installation {
  /** What all of them call themselves. A client reaches each at its port, as through a load balancer. */
  readonly issuer: string
  /** For the test's own statements: past whatever stands between the servers and their database. */
  readonly databaseUrl: string
  /** Where the embedded database lies, if that is what it runs on. */
  readonly dataDir?: string
  /** Of all processes. */
  readonly env: Readonly<Record<string, string>>
  /** Of its processes. */
  readonly clocks: Clocks
  readonly processes: readonly ManagedProcess[]
  /** Those with a port. */
  readonly servers: readonly ManagedProcess[]
  /** @throws where there is none of that name */
  readonly process: (name: string) => ManagedProcess
}

export interface InstallationOptions {
  /** Default: two serving processes and a worker. */
  readonly processes?: readonly ProcessOptions[]
  /** A database of the test's own, migrated or empty; default: one of the test support's. */
  readonly databaseUrl?: string
  /** By what address the processes reach it: through a proxy that fails, say. */
  readonly through?: (databaseUrl: string) => Promise<string>
  /** By what address everybody knows them, where that is not the first one's: a load balancer's. */
  readonly issuer?: string
  /** For all processes, over the defaults of these tests. */
  readonly env?: Readonly<Record<string, string>>
  /** Where they have others than the machine's. */
  readonly clocks?: Clocks
}

export const twoServersAndWorker: readonly ProcessOptions[] = [
  { name: 'one', role: 'serve' },
  { name: 'two', role: 'serve' },
  { name: 'worker', role: 'work' },
]

/**
 * What these tests set differently from production. Everybody comes from one address, so the count per network must not
 * be reached; a window of guesses must not end in the middle of a test (see people.ts); and a token must outlive it.
 */
const settings = {
  FAILURES_PER_NETWORK: '100000',
  INTERACTIONS_PER_NETWORK: '100000',
  FAILURE_WINDOW: '21600',
  ACCESS_TOKEN_LIFETIME: '3600',
  DATABASE_POOL_SIZE: '6',
} as const

/** Starts the processes, one after the other, and waits until all are ready. They end with the test. */
export async function createInstallation(t: Test, options: InstallationOptions = {}): Promise<Installation> {
  const { processes = twoServersAndWorker, through = async (url) => url, clocks = steadyClocks } = options
  const databaseUrl = options.databaseUrl ?? (await createTestDatabase(t)).url
  const port = await freePort()
  const issuer = options.issuer ?? `http://localhost:${port}`
  const env = {
    ISSUER: issuer,
    MASTER_KEY: testMasterKey,
    ...settings,
    DATABASE_URL: await through(databaseUrl),
    ...options.env,
  }
  const managed: ManagedProcess[] = []
  for (const each of processes) {
    const first = managed.every((other) => other.port === undefined)
    const own = each.role === 'work' ? undefined : first ? port : await freePort()
    const process = await manageProcess(t, each, env, own)
    await process.start()
    managed.push(process)
  }
  return assemble(issuer, databaseUrl, env, managed, clocks)
}

/** One process with everything in its folder: the embedded database, too. */
export async function createEmbeddedInstallation(
  t: Test,
  more: Readonly<Record<string, string>> = {},
): Promise<Installation> {
  const folder = await makeFolder(t)
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const env = { ISSUER: issuer, MASTER_KEY: testMasterKey, ...settings, ...more }
  const process = await manageProcess(t, { name: 'embedded', role: 'start' }, env, port, folder)
  await process.start()
  return { ...assemble(issuer, '', env, [process]), dataDir: join(folder, '.data') }
}

function assemble(
  issuer: string,
  databaseUrl: string,
  env: Readonly<Record<string, string>>,
  processes: readonly ManagedProcess[],
  clocks: Clocks = steadyClocks,
): Installation {
  return {
    clocks,
    issuer,
    databaseUrl,
    env,
    processes,
    servers: processes.filter(({ port }) => port !== undefined),
    process(name) {
      const found = processes.find((each) => each.name === name)
      if (!found) throw new Error(`no process is called ${name}`)
      return found
    },
  }
}

async function manageProcess(
  t: Test,
  { name, role, env: own, main }: ProcessOptions,
  env: Readonly<Record<string, string>>,
  port: number | undefined,
  folder?: string,
): Promise<ManagedProcess> {
  const cwd = folder ?? (await makeFolder(t))
  const environment = { ...env, ...(port === undefined ? {} : { PORT: String(port) }), ...own }
  let running: RunningProcess | undefined
  let earlier = ''
  const isRunning = (): boolean =>
    running !== undefined && running.child.exitCode === null && running.child.signalCode === null
  return {
    name,
    role,
    port,
    isRunning,
    pid() {
      const pid = running?.child.pid
      if (pid === undefined) throw new Error(`${name} was never started`)
      return pid
    },
    async start() {
      if (isRunning()) throw new Error(`${name} runs already`)
      earlier += running ? running.stdout() + running.stderr() : ''
      const started = startProcess(t, { cwd, args: [role], env: environment, ...(main === undefined ? {} : { main }) })
      running = started
      // The address, not the name: with `localhost` each request would be tried at both families.
      if (port !== undefined) await waitUntilReady(`http://127.0.0.1:${port}`, started)
      const said = role === 'work' ? '"msg":"background jobs run"' : '"msg":"ready"'
      await waitFor(
        () => {
          if (!isRunning()) throw new Error(`${name} ended: ${started.stderr()}${started.stdout().slice(-2000)}`)
          return started.stdout().includes(said)
        },
        60,
        `${name} was not ready in time`,
      )
    },
    async end(signal) {
      if (!running) throw new Error(`${name} was never started`)
      running.child.kill(signal)
      return running.ended
    },
    output: () => earlier + (running ? running.stdout() + running.stderr() : ''),
  }
}
