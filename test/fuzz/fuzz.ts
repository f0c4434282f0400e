import fc from 'fast-check'
import type { Test } from 'tap'
import { plan, rawPlan } from './support/arbitraries.js'
import { sendRaw } from './support/connections.js'
import { sendDocument } from './support/documents.js'
import { build } from './support/plan.js'
import { openScene, type Scene } from './support/scene.js'
import { sequences } from './support/sequences.js'
import { document } from './support/texts.js'
import { type Memory, measureMemory, Watch } from './support/watch.js'

export interface FuzzOptions {
  readonly requests: number
  readonly seed: number
  /** Ends by then, whatever is left. */
  readonly minutes?: number | undefined
  readonly onRound?: (result: FuzzResult) => void
}

/** What a run came to. */
export interface FuzzResult {
  readonly requests: number
  readonly seed: number
  readonly seconds: number
  readonly rounds: number
  /** How often each status was answered, and what became of documents and of connections without an answer. */
  readonly answers: Readonly<Record<string, number>>
  /** Milliseconds. */
  readonly longest: number
  /** Answers that took longer while the machine was busy with something else. */
  readonly late: number
  /** After the first round, and at the end. Bytes. */
  readonly before: Memory
  readonly after: Memory
  /** What must not happen and did, with how to make it happen again. */
  readonly failures: readonly string[]
}

/** What a run may need more of at its end, in bytes, however long it was: what the server remembers is bounded. */
export const growthBound = 48 * 1024 * 1024

/** Of each round: batches of requests that are under way at once, over connections of their own, documents, sequences. */
const round = { batches: 150, batch: 32, rawBatches: 3, documents: 60, sequences: 30 } as const

/** About how many requests a round has. */
const requestsARound = (round.batches + round.rawBatches) * round.batch + round.documents + round.sequences * 7

/**
 * Sends generated requests until there were so many, or something happened that must not. Each round has a seed, the next
 * number after that of the one before, and a scene of its own: what one finds is found again by its seed alone.
 */
export async function fuzz(t: Test, { requests, seed, minutes, onRound }: FuzzOptions): Promise<FuzzResult> {
  const watch = new Watch()
  const stopListening = watch.listen()
  const since = performance.now()
  const end = minutes === undefined ? Number.POSITIVE_INFINITY : since + minutes * 60_000
  const failures: string[] = []
  let rounds = 0
  let before: Memory | undefined
  let after: Memory = await measureMemory()
  const result = (): FuzzResult => ({
    requests: watch.requests,
    seed,
    seconds: Math.round((performance.now() - since) / 1000),
    rounds,
    answers: Object.fromEntries([...watch.statuses].sort(([a], [b]) => a.localeCompare(b))),
    longest: Math.ceil(watch.longest),
    late: watch.late,
    before: before ?? after,
    after,
    failures,
  })
  try {
    const scene = await openScene(t, watch.onLog)
    watch.holdsSecret = scene.holdsSecret
    while (watch.requests < requests && performance.now() < end && failures.length === 0) {
      const share = Math.min(1, (requests - watch.requests) / requestsARound)
      failures.push(...(await playRound(scene, watch, seed + rounds, share)))
      rounds++
      await scene.renew()
      after = await measureMemory()
      before ??= after
      onRound?.(result())
    }
    const grown = after.heap - (before ?? after).heap
    if (grown > growthBound) failures.push(`the heap grew by ${grown} bytes in ${rounds} rounds (seed ${seed})`)
    return result()
  } finally {
    stopListening()
  }
}

/** @returns what went wrong, with the smallest input that does it */
async function playRound(scene: Scene, watch: Watch, seed: number, share: number): Promise<readonly string[]> {
  const some = (count: number): number => Math.max(1, Math.round(count * share))
  const parts = {
    requests: () => {
      // As many as there are on average. Fewer may be left when the smallest is looked for.
      const batch = fc.array(plan, { minLength: 1, maxLength: 2 * round.batch, size: 'max' })
      const property = fc.asyncProperty(batch, async (plans) => {
        await all(
          plans.map(async (each) => {
            const wire = build(each, scene.references(), scene.holdsSecret)
            await watch.send(each.strict ? scene.strict : scene.server, wire)
          }),
        )
        watch.settle()
      })
      return fc.check(property, { seed, numRuns: some(round.batches) })
    },
    connections: () => {
      const batch = fc.array(rawPlan, { minLength: 1, maxLength: 2 * round.batch, size: 'max' })
      const property = fc.asyncProperty(batch, async (plans) => {
        await all(plans.map((each) => sendRaw(scene, watch, each)))
        watch.settle()
      })
      return fc.check(property, { seed, numRuns: some(round.rawBatches) })
    },
    documents: () => {
      const property = fc.asyncProperty(document, async (each) => {
        await sendDocument(scene, watch, each)
        watch.settle()
      })
      return fc.check(property, { seed, numRuns: some(round.documents) })
    },
    sequences: () => fc.check(sequences(scene, watch), { seed, numRuns: some(round.sequences) }),
  }
  const failures: string[] = []
  for (const [name, part] of Object.entries(parts)) {
    const details = await part()
    if (!details.failed) continue
    const { errorInstance, counterexample } = details
    const said = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
    failures.push(
      `${name}: ${said}\n  smallest: ${fc.stringify(counterexample)}\n  again: npm run fuzz -- --seed ${seed} --requests ${requestsARound}`,
    )
  }
  return failures
}

/** Waits for all of them before the first error is told: none is left under way. */
async function all(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason
}
