import { type History, type Model, models, type Operation } from './history.js'

/** What a search came to. `gave-up` is no proof of anything. */
export type Verdict = 'linearizable' | 'not linearizable' | 'gave up'

/** Steps after which a search gives up: some seconds. */
const patience = 2_000_000

/**
 * Whether there is an order in which one operation after the other had the answers that were given, each between its
 * invocation and its return: every order is tried (Wing and Gong 1993), none twice from the same point (Lowe 2017).
 *
 * An operation without a known return may be put anywhere behind its invocation, or be left out.
 */
export function check(history: History): Verdict {
  const model: Model<unknown> = models[history.model]
  const operations = [...history.operations].sort((a, b) => end(a) - end(b) || a.invoked - b.invoked)
  const certain = operations.filter(({ returned }) => returned !== undefined).length
  const seen = new Set<string>()
  const open: Point[] = [{ done: 0n, first: 0, state: model.initial }]

  for (let steps = 0; open.length > 0; steps++) {
    if (steps > patience) return 'gave up'
    const { done, first, state } = open.pop()!
    // They stand in the order of their returns: behind the first that is missing, the certain ones are in `done` or not.
    let missing = first
    while (missing < certain && done & (1n << BigInt(missing))) missing++
    if (missing === certain) return 'linearizable'
    const deadline = operations[missing]!.returned!
    const points: Point[] = []
    const tried = new Set<string>()
    for (let index = missing; index < operations.length; index++) {
      const operation = operations[index]!
      const bit = 1n << BigInt(index)
      if (done & bit || operation.invoked > deadline) continue
      if (operation.returned === undefined) {
        // Of equal ones without an answer it does not matter which it was.
        const same = signature(operation)
        if (tried.has(same)) continue
        tried.add(same)
      }
      for (const next of model.step(state, operation)) points.push({ done: done | bit, first: missing, state: next })
    }
    // Last in, first out: what returned first is tried first, and what may never have happened is tried last.
    for (const point of points.reverse()) {
      const key = `${point.done.toString(36)} ${JSON.stringify(point.state)}`
      if (seen.has(key)) continue
      seen.add(key)
      open.push(point)
    }
  }
  return 'not linearizable'
}

interface Point {
  /** A bit for each operation that has been put in its place. */
  readonly done: bigint
  /** All certain operations before this one have been. */
  readonly first: number
  readonly state: unknown
}

const end = ({ returned }: Operation): number => returned ?? Number.POSITIVE_INFINITY

const signature = ({ name, token, variant, late }: Operation): string => JSON.stringify([name, token, variant, late])
