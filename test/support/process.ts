import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { isBuilt } from '../../scripts/is-built.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const builtMain = join(root, 'dist/main.js')

/** What `npm start` runs, in a process of its own. */
export interface RunningProcess {
  readonly child: ChildProcess
  /** Everything on standard output so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with how it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export interface StartOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd: string
  /** What it reads from standard input; default: nothing. */
  readonly stdin?: string
  readonly uid?: number
  readonly gid?: number
  /** Of another build than this one. */
  readonly main?: string
}

/** Starts the built server; it ends with the test, whatever happens. */
export function startProcess(t: Test, options: StartOptions): RunningProcess {
  const { args = ['start'], env = {}, cwd, stdin, uid, gid, main = builtMain } = options
  requireBuild()
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    uid,
    gid,
    env: { PATH: process.env['PATH'], HOME: cwd, TMPDIR: process.env['TMPDIR'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.end(stdin)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(late)
  })
  return { child, stdout: () => stdout, stderr: () => stderr, ended }
}

/** Waits until the server at this address says that it is ready. The bound is for a machine that is very busy. */
export async function waitUntilReady(address: string, server: RunningProcess, seconds = 60): Promise<void> {
  let over = false
  void server.ended.then(() => {
    over = true
  })
  await waitFor(
    async () => {
      if (over) throw new Error(`it ended: ${server.stderr()}${server.stdout().slice(-2000)}`)
      const reply = await fetch(`${address}/readyz`).catch(() => undefined)
      return reply?.status === 200
    },
    seconds,
    'it was not ready in time',
  )
}

/** Asks again and again until it holds. @throws after the bound */
export async function waitFor(
  holds: () => boolean | Promise<boolean>,
  seconds: number,
  message: string,
): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(message)
    await delay(25)
  }
}

/** A folder of its own, removed with the test. */
export async function makeFolder(t: Test, mode = 0o755): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-start-'))
  await chmod(folder, mode)
  t.teardown(async () => {
    await removeDatabaseElsewhere(join(folder, '.data'))
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return folder
}

/**
 * Of a folder that no other account can pass, root's database lies elsewhere. Removes the one that is named in this
 * DATA_DIR, if that database says that it is this folder's: no other is touched.
 */
export async function removeDatabaseElsewhere(dataDir: string): Promise<void> {
  const note = await readFile(join(dataDir, 'postgres.json'), 'utf8').catch(() => undefined)
  if (note === undefined) return
  const { database } = JSON.parse(note) as { readonly database: string }
  const owner = await readFile(join(database, 'data-dir'), 'utf8').catch(() => undefined)
  if (owner === (await realpath(dataDir))) await rm(database, { recursive: true, force: true, maxRetries: 5 })
}

/** The processes run what was built, as a user's do; `npm test` builds first where a source is newer. */
export function requireBuild(): void {
  if (!isBuilt(root)) throw new Error('dist/ is older than src/: run `npm run build`, or the tests by `npm test`')
}
