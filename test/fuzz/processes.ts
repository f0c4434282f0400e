import { type ChildProcess, fork } from 'node:child_process'
import type { FuzzOptions } from './fuzz.js'
import { type FuzzResult, sum } from './result.js'

/** Seeds of processes are that far from each other: more rounds than one of them ever plays. */
export const processDistance = 100_000

/** Milliseconds without a sign of life, which every process gives each second, after which it is taken for one that hangs. */
const silence = 120_000

export interface ProcessesOptions extends Pick<FuzzOptions, 'requests' | 'seed' | 'minutes' | 'signal'> {
  readonly processes: number
  /** After each round of any of them. */
  readonly onRound?: (result: FuzzResult) => void
  /** For tests. */
  readonly worker?: URL
  readonly silence?: number
  readonly quiet?: boolean
}

/**
 * The fuzz in several processes, each with a server, a database and seeds of its own. One that fails, dies or hangs ends
 * the run of all, and its failure says how that process is run again by itself.
 */
export async function fuzzInProcesses({
  processes,
  onRound,
  signal,
  worker = new URL('./worker.ts', import.meta.url),
  ...options
}: ProcessesOptions): Promise<FuzzResult> {
  const requests = Math.ceil(options.requests / processes)
  const seeds = Array.from({ length: processes }, (_, index) => options.seed + index * processDistance)
  const latest = new Map(seeds.map((seed) => [seed, nothing(seed)]))
  const children: ChildProcess[] = []
  signal?.addEventListener('abort', () => stopAll(children))
  const summed = (): FuzzResult => {
    const [first = nothing(options.seed), ...others] = latest.values()
    return sum([first, ...others])
  }
  await Promise.all(
    seeds.map(async (seed) => {
      const child = fork(worker, {
        // Most of what a request makes is not needed after it: so much room spares a tenth of the time.
        execArgv: ['--import=tsx', '--max-semi-space-size=32'],
        stdio: ['ignore', 'ignore', options.quiet ? 'ignore' : 'inherit', 'ipc'],
      })
      children.push(child)
      child.send({ requests, seed, minutes: options.minutes }, ignore)
      const ending = await follow(child, options.silence ?? silence, (result) => {
        latest.set(seed, result)
        if (result.failures.length > 0) stopAll(children)
        onRound?.(summed())
      })
      if (ending === undefined) return
      stopAll(children)
      const known = latest.get(seed) ?? nothing(seed)
      const failure = [
        `the process of seed ${seed} ${ending} in or after round ${known.rounds}, whose seed is ${seed + known.rounds}`,
        `  again: npm run fuzz -- --seed ${seed} --requests ${requests} --processes 1`,
      ]
      latest.set(seed, { ...known, failures: [...known.failures, failure.join('\n')] })
    }),
  )
  return summed()
}

/**
 * @param patience milliseconds between two signs of life; the first one may take longer
 * @returns how it ended, where it did not by saying what all of it came to
 */
async function follow(
  child: ChildProcess,
  patience: number,
  onResult: (result: FuzzResult) => void,
): Promise<string | undefined> {
  let isOver = false
  let hangs = false
  const kill = (): void => {
    hangs = true
    child.kill('SIGKILL')
  }
  let timer = setTimeout(kill, silence)
  child.on('message', (message: Message) => {
    clearTimeout(timer)
    timer = setTimeout(kill, patience)
    if (message.kind === 'alive') return
    isOver ||= message.kind === 'over'
    onResult(message.result)
  })
  const how = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started (${error.message})`))
    child.once('close', (code, signal) => resolve(signal === null ? `ended with ${code}` : `was killed by ${signal}`))
  })
  clearTimeout(timer)
  if (hangs) return `gave no sign of life for ${patience / 1000} s`
  // What it says last comes before its end; one that fails at that has not failed at its work, but fails.
  return isOver && how === 'ended with 0' ? undefined : how
}

/** One that cannot be told anything has ended, and is heard of by that. */
const ignore = (): void => undefined

type Message = { readonly kind: 'alive' } | { readonly kind: 'round' | 'over'; readonly result: FuzzResult }

function stopAll(children: readonly ChildProcess[]): void {
  for (const child of children) if (child.connected) child.send('stop', ignore)
}

function nothing(seed: number): FuzzResult {
  const memory = { heap: 0, resident: 0 }
  const counts = { parts: {}, recipes: {}, mutations: {}, answers: {} }
  const times = { seconds: 0, rounds: 0, longest: 0, late: 0, latest: 0 }
  return { requests: 0, seed, processes: 1, ...times, ...counts, before: memory, after: memory, failures: [] }
}
