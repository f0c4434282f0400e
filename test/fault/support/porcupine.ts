import { execFile, execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { History } from './history.js'

const folder = fileURLToPath(new URL('../porcupine', import.meta.url))
const cache = fileURLToPath(new URL('../../../node_modules/.cache/ostiary-porcupine', import.meta.url))

export type SecondOpinion =
  | { readonly skipped: string; readonly failed?: undefined }
  /** The things whose histories are not linearizable, or could not be decided. */
  | { readonly skipped?: undefined; readonly failed: readonly string[] }

/** What porcupine (github.com/anishathalye/porcupine) says of the histories: a checker that is not ours. It needs Go. */
export async function askPorcupine(histories: readonly History[]): Promise<SecondOpinion> {
  built ??= build()
  const { program, reason } = await built
  if (program === undefined) return { skipped: reason }
  const work = await mkdtemp(join(tmpdir(), 'ostiary-history-'))
  try {
    const file = join(work, 'histories.json')
    await writeFile(file, JSON.stringify(histories))
    const { stdout } = await promisify(execFile)(program, [file], { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 })
    return { failed: JSON.parse(stdout) }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

type Built =
  | { readonly program: string; readonly reason?: undefined }
  | { readonly program?: undefined; readonly reason: string }
let built: Promise<Built> | undefined

/** Go keeps what it compiled: the second time costs little. */
async function build(): Promise<Built> {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
  } catch {
    return { reason: 'Go is not installed' }
  }
  await mkdir(cache, { recursive: true })
  const program = join(cache, `check-${process.pid}${process.platform === 'win32' ? '.exe' : ''}`)
  try {
    await promisify(execFile)('go', ['build', '-o', program, '.'], {
      cwd: folder,
      env: { ...process.env, GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' },
      timeout: 120_000,
    })
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    // Its modules come from Go's proxy. A mistake of our own must not pass for a missing network.
    if (/dial tcp|no such host|proxyconnect|i\/o timeout|connection refused|requires go/.test(text)) {
      return { reason: 'Go could not get porcupine' }
    }
    throw new Error(`go build failed: ${text}`)
  }
  process.once('exit', () => {
    try {
      rmSync(program, { force: true })
    } catch {
      // Left in the cache.
    }
  })
  return { program }
}
