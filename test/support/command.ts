import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { runCommand } from '../../src/cli/run.js'
import type { TestDatabase } from './database.js'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => unknown): unknown
}

export interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** Standard output as the one JSON document that `--json` promises. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for
  readonly json: () => any
}

export interface CommandOptions {
  readonly stdin?: string
  readonly signal?: AbortSignal
  /** A terminal of this width. */
  readonly columns?: number
  /** Hears what is printed as it is. */
  readonly onOutput?: (text: string) => void
  /** Whoever reads is gone before the output that it says this of, as at the end of a pipe. */
  readonly isGone?: (text: string) => boolean
}

/** A master key for tests; its database has no other. */
export const testMasterKey = Buffer.alloc(32, 7).toString('base64')

/** A folder without `.env`, in which commands find the database by the environment. */
export function createCommandLine(t: Test, database: TestDatabase | undefined, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-command-'))
  // The account that runs an embedded database must be able to pass.
  chmodSync(folder, 0o755)
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const environment = {
    ...(database ? { DATABASE_URL: database.url } : {}),
    MASTER_KEY: testMasterKey,
    ...env,
  }

  async function run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    let stdout = ''
    let stderr = ''
    let isGone = false
    const status = await runCommand(args, {
      stdout: {
        write(text, done) {
          isGone ||= options.isGone?.(text) ?? false
          if (isGone) return done?.(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
          stdout += text
          options.onOutput?.(text)
          done?.()
        },
        isTTY: options.columns !== undefined,
        columns: options.columns,
      },
      stderr: { write: (text) => (stderr += text) },
      stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
      env: environment,
      folder,
      signal: options.signal,
    })
    return { status, stdout, stderr, json: () => JSON.parse(stdout) }
  }

  return { run, folder }
}
