import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder, waitFor } from '../../support/process.js'

const preload = new URL('memory-report.mjs', import.meta.url)

/** Megabytes. */
export interface Memory {
  /** What is referred to, and what belongs to it outside of the heap. */
  readonly live: number
  readonly resident: number
}

export interface MemoryProbe {
  /** For the environment of the process. */
  readonly env: Readonly<Record<string, string>>
  /** What is left after its garbage was collected, also of finished connections. */
  readonly measure: (pid: number) => Promise<Memory>
}

/** Looks into a server process, by a module of the test's own. */
export async function createMemoryProbe(t: Test): Promise<MemoryProbe> {
  const file = join(await makeFolder(t), 'memory.json')
  return {
    env: { NODE_OPTIONS: `--import=${preload.href}`, OSTIARY_FAULT_MEMORY: file },
    async measure(pid) {
      rmSync(file, { force: true })
      process.kill(pid, 'SIGUSR2')
      await waitFor(() => existsSync(file), 30, 'the server does not say what memory it has')
      const { heapUsed, external, rss } = JSON.parse(readFileSync(file, 'utf8'))
      return { live: Math.round((heapUsed + external) / 1e6), resident: Math.round(rss / 1e6) }
    },
  }
}
