import { type SpawnOptions, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Account } from './account.js'

export const isWindows = process.platform === 'win32'

export interface Outcome {
  readonly status: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** The little that our child processes need. Variables such as PGPORT or LC_ALL would change what PostgreSQL does. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'Path', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR']
  const entries = kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  return { ...Object.fromEntries(entries), LC_ALL: 'C', TZ: 'UTC' }
}

/** As whom and where a child runs. The working directory of ours may be one that the account cannot pass. */
export function childOptions(account: Account | undefined): SpawnOptions {
  return {
    ...(account && { uid: account.uid, gid: account.gid }),
    cwd: isWindows ? undefined : '/',
    env: cleanEnvironment(),
    windowsHide: true,
  }
}

/** Runs a program to its end. Rejects only where it cannot be started at all. */
export function run(
  file: string,
  args: readonly string[],
  options: { readonly account?: Account; readonly input?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...childOptions(options.account), stdio: 'pipe' })
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (chunk) => (stdout += chunk))
    child.stderr?.on('data', (chunk) => (stderr += chunk))
    child.once('error', reject)
    child.once('close', (code) => resolve({ status: code ?? undefined, stdout, stderr }))
    // A program that ends before it has read everything is judged by its status.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
  })
}

/** Whether a process runs under this number. A zombie does not run. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return !['Z', 'X'].includes(stat(pid)?.[0] ?? '')
}

/**
 * What tells this process from a later one of the same number: when it started. Undefined where the system does not
 * say, or no such process runs.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const ticks = stat(pid)?.[19]
    return ticks && `${readOr('/proc/sys/kernel/random/boot_id', '').trim()}/${ticks}`
  }
  if (isWindows) return undefined
  const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)])
  return stdout.trim() || undefined
}

/** The command line of a process, or undefined where it cannot be read. */
export async function commandLine(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return readOr(`/proc/${pid}/cmdline`, '').replaceAll('\0', ' ').trim() || undefined
  if (isWindows) return undefined
  const { stdout } = await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])
  return stdout.trim() || undefined
}

/** The fields of /proc/PID/stat from the state on. The name before it may hold spaces and parentheses. proc(5). */
function stat(pid: number): readonly string[] | undefined {
  const text = readOr(`/proc/${pid}/stat`, '')
  return text ? text.slice(text.lastIndexOf(')') + 2).split(' ') : undefined
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}
