import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Totals } from './ledger.js'

/** What one fault came to: a row of docs/reliability.md. */
export interface Row extends Totals {
  readonly fault: string
  readonly rounds: number
  readonly seed: string
  /** Acknowledged, and not there afterwards. */
  readonly lost: number
  /** Spent, or counted, twice. */
  readonly doubled: number
  /** Histories that were checked for linearizability, and how many are not. */
  readonly histories: number
  readonly failed: number
  /** Whether porcupine checked them, too. */
  readonly porcupine: boolean
  /** The version of PostgreSQL. */
  readonly database: string
  /** What the table has no column for. */
  readonly remark?: string
}

/** Keeps the row where `npm run test:fault` asked for it. */
export async function record(row: Row): Promise<void> {
  const folder = process.env['OSTIARY_FAULT_RESULTS']
  if (folder === undefined) return
  await mkdir(folder, { recursive: true })
  const name = `${Date.now()}-${randomBytes(4).toString('hex')}.json`
  await writeFile(join(folder, name), `${JSON.stringify(row)}\n`)
}
