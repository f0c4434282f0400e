import type { Memory } from './support/watch.js'

/** What a run came to. */
export interface FuzzResult {
  readonly requests: number
  /** The first round's. In several processes, the first one's. */
  readonly seed: number
  readonly processes: number
  readonly seconds: number
  readonly rounds: number
  /** How many requests each part sent, and how often each recipe was the beginning of one and each mutation was made. */
  readonly parts: Readonly<Record<string, number>>
  readonly recipes: Readonly<Record<string, number>>
  readonly mutations: Readonly<Record<string, number>>
  /** How often each status was answered, and what became of documents and of connections without an answer. */
  readonly answers: Readonly<Record<string, number>>
  /** Milliseconds, of those that came in time. */
  readonly longest: number
  /** Answers that took longer while the machine was busy with something else, and the longest of them in milliseconds. */
  readonly late: number
  readonly latest: number
  /** After the first round, and at the end. Bytes. Of several processes the one that grew most. */
  readonly before: Memory
  readonly after: Memory
  /** What must not happen and did, with how to make it happen again. */
  readonly failures: readonly string[]
}

const growth = ({ before, after }: FuzzResult): number => after.heap - before.heap

/** Of one run, or of several that went on from each other. */
export type Runs = readonly [...FuzzResult[], FuzzResult]

/** One result of those of several runs, one after another. */
export function inTurn([first, ...others]: Runs): FuzzResult {
  const runs = [first, ...others] as const
  const seconds = runs.reduce((all, each) => all + each.seconds, 0)
  return { ...sum(runs), seconds, processes: Math.max(...runs.map(({ processes }) => processes)) }
}

/** One result of those of several processes, beside each other. */
export function sum(results: readonly [FuzzResult, ...FuzzResult[]]): FuzzResult {
  const [first] = results
  const total = (of: (result: FuzzResult) => number): number => results.reduce((all, each) => all + of(each), 0)
  const highest = (of: (result: FuzzResult) => number): number => Math.max(...results.map(of))
  const counts = (of: (result: FuzzResult) => Readonly<Record<string, number>>) => addUp(results.map(of))
  const grown = results.reduce((most, each) => (growth(each) > growth(most) ? each : most))
  return {
    requests: total(({ requests }) => requests),
    seed: first.seed,
    processes: total(({ processes }) => processes),
    seconds: highest(({ seconds }) => seconds),
    rounds: total(({ rounds }) => rounds),
    parts: counts(({ parts }) => parts),
    recipes: counts(({ recipes }) => recipes),
    mutations: counts(({ mutations }) => mutations),
    answers: counts(({ answers }) => answers),
    longest: highest(({ longest }) => longest),
    late: total(({ late }) => late),
    latest: highest(({ latest }) => latest),
    before: grown.before,
    after: grown.after,
    failures: results.flatMap(({ failures }) => failures),
  }
}

function addUp(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums = new Map<string, number>()
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count)
  }
  return sorted(sums)
}

export function sorted(counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  return Object.fromEntries([...counts].sort(([a], [b]) => a.localeCompare(b)))
}
