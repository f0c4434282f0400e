import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { processDistance } from './processes.js'
import type { FuzzResult } from './result.js'

const path = fileURLToPath(new URL('../../.data/fuzz-runs.json', import.meta.url))

/** What the runs came to that this one goes on from. */
export async function earlierRuns(): Promise<readonly FuzzResult[]> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

export async function rememberRuns(runs: readonly FuzzResult[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `${JSON.stringify(runs, undefined, 1)}\n`)
}

/** Any number; after others, one whose rounds are none of theirs. */
export function nextSeed(earlier: readonly FuzzResult[]): number {
  const last = earlier.at(-1)
  if (!last) return Math.floor(Math.random() * 2 ** 27)
  return last.seed + last.processes * processDistance
}
