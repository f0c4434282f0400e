import type { Logger } from '../platform/log.js'
import {
  type CountedUse,
  type CredentialUse,
  type Database,
  isDatabaseAway,
  type NetworkUse,
  sqlState,
  usage,
} from '../store/index.js'
import { addTo, newTally, rowsOf } from './tally.js'

/** A use, or several that are alike. */
export interface Use extends Omit<CredentialUse, 'superseded'> {
  readonly superseded?: boolean
  /** Names, each separated by a space: what it was for. */
  readonly scope: string
  readonly outcome: string
  readonly at: Date
  /** The network, a /24 or /64; undefined where it is not known. */
  readonly from?: string | undefined
  /** Default 1. */
  readonly count?: number
}

/** How often credentials are used: counted in memory, written behind in batches. */
export interface UsageTrail {
  readonly record: (use: Use) => void
  readonly flush: () => Promise<void>
}

/** Lines that are told apart in memory. Past it they are written early; then what is new is counted together. */
const capacity = 10_000

/** Rows of one statement. */
const together = 1_000

export function createUsageTrail(db: Database, log: Logger): UsageTrail {
  let tally = newTally()
  let waiting: { counts: readonly CountedUse[]; networks: readonly NetworkUse[] } = { counts: [], networks: [] }
  let writing: Promise<void> = Promise.resolve()
  let early: Promise<void> | undefined

  async function write(): Promise<void> {
    const { counts, networks } = tally
    if (counts.size === 0 && networks.size === 0 && waiting.counts.length === 0 && waiting.networks.length === 0) return
    const rows = rowsOf(tally, waiting, 2 * capacity)
    tally = newTally()
    waiting = { counts: [], networks: [] }
    const unwritten = {
      counts: await writeAll(rows.counts, (chunk) => usage.add(db, chunk)),
      networks: await writeAll(rows.networks, (chunk) => usage.addNetworks(db, chunk)),
    }
    waiting = unwritten
  }

  /** @returns what waits for the next run. After a lost connection it may have been written: then it is counted twice. */
  async function writeAll<Row>(rows: readonly Row[], send: (chunk: readonly Row[]) => Promise<void>): Promise<Row[]> {
    for (let start = 0; start < rows.length; start += together) {
      const chunk = rows.slice(start, start + together)
      try {
        await send(chunk)
      } catch (error) {
        if (isWorthWaiting(error)) {
          log.warn({ err: error, rows: rows.length - start }, 'counts of usage wait for the database')
          return rows.slice(start)
        }
        log.error({ err: error, rows: chunk.length }, 'counts of usage cannot be written')
      }
    }
    return []
  }

  function flush(): Promise<void> {
    writing = writing.then(write)
    return writing
  }

  return {
    record(use) {
      addTo(tally, use, capacity)
      if ((tally.counts.size >= capacity || tally.networks.size >= capacity) && !early) {
        early = flush().finally(() => (early = undefined))
      }
    },
    flush,
  }
}

/** Away, or held up by whoever writes the same rows: 55P03 and 40P01. */
function isWorthWaiting(error: unknown): boolean {
  const state = sqlState(error)
  return isDatabaseAway(error) || state === '55P03' || state === '40P01'
}
