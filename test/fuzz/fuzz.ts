import fc from 'fast-check'
import type { Owner } from '../support/server.js'
import { type FuzzResult, sorted } from './result.js'
import { plan, rawPlan } from './support/arbitraries.js'
import { sendRaw } from './support/connections.js'
import { sendDocument } from './support/documents.js'
import { build } from './support/plan.js'
import { openScene, type Scene } from './support/scene.js'
import { sequences } from './support/sequences.js'
import { document } from './support/texts.js'
import { type Memory, measureMemory, type Part, Watch } from './support/watch.js'

export interface FuzzOptions {
  readonly requests: number
  readonly seed: number
  /** Ends by then, whatever is left. */
  readonly minutes?: number | undefined
  /** Ends after the round that is under way. */
  readonly signal?: AbortSignal | undefined
  readonly onRound?: (result: FuzzResult) => void
}

/** What a run may need more of at its end, in bytes, however long it was: what the server remembers is bounded. */
export const growthBound = 48 * 1024 * 1024

/** Of each round: batches of requests that are under way at once, over connections of their own, documents, sequences. */
const round = { batches: 156, batch: 32, rawBatches: 3, documents: 60, sequences: 36 } as const

/**
 * Of each part, so many go on beside each other: while one waits for its last answer, others send. Many more would only
 * wait for each other, and every answer would come late.
 */
const lanes = { requests: 2, connections: 3, documents: 1, sequences: 3 } as const

/** About how many requests a round has. */
export const requestsARound = (round.batches + round.rawBatches) * round.batch + round.documents + round.sequences * 7

/** Seeds of lanes are that far from each other: no lane of a run begins where one of another round did. */
const laneDistance = 2 ** 28

/** Memory is measured after the first round, every so many rounds, and at the end: it stops everything for a moment. */
const roundsAMeasurement = 10

/**
 * Sends generated requests until there were so many, or something happened that must not. Each round has a seed, the next
 * number after that of the one before, and a scene of its own: what one finds is found again by its seed alone.
 */
export async function fuzz(
  owner: Owner,
  { requests, seed, minutes, signal, onRound }: FuzzOptions,
): Promise<FuzzResult> {
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
    processes: 1,
    seconds: Math.round((performance.now() - since) / 1000),
    rounds,
    parts: sorted(watch.parts),
    recipes: sorted(watch.recipes),
    mutations: sorted(watch.mutations),
    answers: sorted(watch.statuses),
    longest: Math.ceil(watch.longest),
    late: watch.late,
    latest: Math.ceil(watch.latest),
    before: before ?? after,
    after,
    failures,
  })
  const goesOn = (): boolean =>
    watch.requests < requests && performance.now() < end && failures.length === 0 && !signal?.aborted
  try {
    const scene = await openScene(owner, watch.onLog)
    watch.holdsSecret = scene.holdsSecret
    while (goesOn()) {
      const share = Math.min(1, (requests - watch.requests) / requestsARound)
      failures.push(...(await playRound(scene, watch, seed + rounds, share)))
      rounds++
      await scene.renew()
      if (rounds % roundsAMeasurement === 1 || !goesOn()) after = await measureMemory()
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

type Check = (how: fc.Parameters<unknown>) => Promise<fc.RunDetails<unknown>>

interface Lane {
  readonly part: Part
  readonly seed: number
  readonly numRuns: number
  readonly check: Check
}

/**
 * Plays the lanes at once, but first those of connections by themselves: how long one is given to answer is short. Where something happened that must not, the lane that met it is played again by itself, to find
 * the smallest input that does it.
 *
 * @returns what went wrong
 */
async function playRound(scene: Scene, watch: Watch, seed: number, share: number): Promise<readonly string[]> {
  const all = lanesOf(scene, watch, seed, share)
  const play = async (some: readonly Lane[]) =>
    Promise.all(some.map(async (lane) => ({ lane, details: await lane.check({ ...lane, endOnFailure: true }) })))
  const outcomes = await play(all.filter(({ part }) => part === 'connections'))
  outcomes.push(...(await play(all.filter(({ part }) => part !== 'connections'))))
  const failed = outcomes.filter(({ details }) => details.failed)
  const [first] = failed
  if (!first) return []
  await scene.renew()
  watch.pending.splice(0)
  const { lane } = first
  const alone = await lane.check(lane)
  const described = failed.map(({ lane, details }) => describeFailure(lane.part, details))
  if (alone.failed) described.push(`${describeFailure(lane.part, alone)}\n  alone, the smallest`)
  else described.push(`${lane.part}: played again by itself, that part failed no more`)
  return described.map(
    (text) => `${text}\n  again: npm run fuzz -- --seed ${seed} --requests ${requestsARound} --processes 1`,
  )
}

function describeFailure(part: Part, { errorInstance, counterexample }: fc.RunDetails<unknown>): string {
  const said = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  // What its seed makes again need not be printed at length.
  return `${part}: ${said}\n  input: ${fc.stringify(counterexample).slice(0, 4_000)}`
}

function lanesOf(scene: Scene, watch: Watch, seed: number, share: number): readonly Lane[] {
  // As many as there are on average. Fewer may be left when the smallest is looked for.
  const atOnce = { minLength: 1, maxLength: 2 * round.batch, size: 'max' } as const
  const checks: Readonly<Record<Part, Check>> = {
    requests: checkOf(fc.array(plan, atOnce), async (plans) => {
      for (const each of plans) watch.note(each)
      const wires = plans.map((each) => build(each, scene.references(), scene.holdsSecret))
      await settled(
        wires.map((wire, index) => watch.send(plans[index]?.strict ? scene.strict : scene.server, wire, 'requests')),
      )
      watch.settle()
    }),
    connections: checkOf(fc.array(rawPlan, atOnce), async (plans) => {
      for (const each of plans) watch.note(each.plan, each.raw)
      await settled(plans.map((each) => sendRaw(scene, watch, each)))
      watch.settle()
    }),
    documents: checkOf(document, async (each) => {
      await sendDocument(scene, watch, each)
      watch.settle()
    }),
    sequences: (how) => fc.check(sequences(scene, watch), how),
  }
  const runs = {
    requests: round.batches,
    connections: round.rawBatches,
    documents: round.documents,
    sequences: round.sequences,
  }
  let placed = 0
  return partNames.flatMap((part) => {
    const numRuns = Math.max(1, Math.round(runs[part] * share))
    const count = Math.min(lanes[part], numRuns)
    return Array.from({ length: count }, (_, index) => ({
      part,
      seed: (seed + laneDistance * placed++) | 0,
      numRuns: Math.floor(numRuns / count) + (index < numRuns % count ? 1 : 0),
      check: checks[part],
    }))
  })
}

const partNames = ['requests', 'connections', 'documents', 'sequences'] satisfies readonly Part[]

function checkOf<Input>(arbitrary: fc.Arbitrary<Input>, send: (input: Input) => Promise<void>): Check {
  const property = fc.asyncProperty(arbitrary, send)
  return (how) => fc.check(property, how)
}

/** Waits for all of them before the first error is told: none is left under way. */
async function settled(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason
}
