import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { makeFolder } from '../../support/process.js'

const preload = new URL('clock-offset.mjs', import.meta.url)

/** Between two times, in milliseconds since 1970: what a clock said while something happened. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** How far the clock of each process is ahead. The times that are asked for are monotonic milliseconds, as in the ledger. */
export interface Clocks {
  /** Hours, as each was while something happened at this process: two of them where its clock jumped meanwhile. */
  readonly offsets: (process: string, from: number, to: number) => readonly number[]
}

/** Those of processes that have the machine's own. */
export const steadyClocks: Clocks = { offsets: () => [0] }

/** What the clock of the process may have said in this time. */
export function readings(clocks: Clocks, process: string, from: number, to: number): Span {
  const offsets = clocks.offsets(process, from, to).map((hours) => hours * 3_600_000)
  return {
    from: performance.timeOrigin + from + Math.min(...offsets),
    to: performance.timeOrigin + to + Math.max(...offsets),
  }
}

/** Milliseconds by which the clocks of two processes may differ on one machine, and claims that have whole seconds. */
const margin = 2_000

/** Whether what ends in `ends` was over, by a clock that said `read`. */
export function lateness(ends: Span, read: Span): 'certainly' | 'perhaps' | undefined {
  if (read.from > ends.to + margin) return 'certainly'
  return read.to >= ends.from - margin ? 'perhaps' : undefined
}

export interface MovableClocks extends Clocks {
  /** For the environment of the process of this name. */
  readonly env: (process: string) => Readonly<Record<string, string>>
  /** Sets these clocks so many hours ahead of the machine's, or behind. */
  readonly set: (processes: readonly string[], hours: number) => void
}

interface Setting {
  readonly hours: number
  /** Before it was written, when some may have read the one before. */
  readonly from: number
  /** When it was written. */
  readonly since: number
}

/** Clocks of processes that a test moves. Production has no such setting: a module of the test's own stands in their `Date`. */
export async function createClocks(t: Test, processes: readonly string[]): Promise<MovableClocks> {
  const folder = await makeFolder(t)
  const settings = new Map<string, Setting[]>()
  const settingsOf = (process: string): Setting[] => {
    const found = settings.get(process)
    if (!found) throw new Error(`${process} has no clock of its own`)
    return found
  }
  const set: MovableClocks['set'] = (names, hours) => {
    for (const name of names) {
      const from = performance.now()
      const all = settingsOf(name)
      writeFileSync(join(folder, name), Int8Array.of(hours), { flag: all.length === 0 ? 'w' : 'r+' })
      all.push({ hours, from, since: performance.now() })
    }
  }
  for (const name of processes) settings.set(name, [])
  set(processes, 0)
  return {
    set,
    env: (process) => ({
      NODE_OPTIONS: `--import=${preload.href}`,
      OSTIARY_FAULT_CLOCK: join(folder, process),
    }),
    offsets: (process, from, to) =>
      settingsOf(process)
        .filter((each, index, all) => each.from <= to && (all[index + 1]?.since ?? Number.POSITIVE_INFINITY) >= from)
        .map(({ hours }) => hours),
  }
}
