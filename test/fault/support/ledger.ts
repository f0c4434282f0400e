import { createHash } from 'node:crypto'
import type { History, ModelName, Operation } from './history.js'
import type { Outcome } from './wire.js'

/** What clients ask for. */
export type Kind = 'login' | 'client_credentials' | 'redeem' | 'refresh' | 'revoke' | 'introspect' | 'guess'

/** A request and what became of it. Times are monotonic milliseconds. */
export interface Entry {
  readonly client: string
  readonly kind: Kind
  /** The process that it was sent to. */
  readonly target: string
  readonly invoked: number
  readonly returned: number
  readonly outcome: Outcome
}

/** A time in which a process may fail its clients. */
interface Excuse {
  /** `undefined`: every process. */
  readonly target: string | undefined
  readonly from: number
  until: number
  /** Connections may break, too; else an answer must come, though it may be an honest 503. */
  readonly breaks: boolean
}

/** A client whose connection died with a process may learn of it this much later; so may one that was told to wait. */
const aftermath = 5_000

/** What clients wrote down: every request, and the answer or that none came. */
export class Ledger {
  readonly entries: Entry[] = []
  readonly #histories = new Map<string, { model: ModelName; key: string; operations: Operation[] }>()
  readonly #excuses: Excuse[] = []
  /** Answers that no request of its kind may get, as the clients saw them. */
  readonly surprises: string[] = []

  write(entry: Entry): void {
    this.entries.push(entry)
  }

  operation(model: ModelName, key: string, operation: Operation): void {
    const id = `${model} ${key}`
    const history = this.#histories.get(id) ?? { model, key, operations: [] }
    history.operations.push(operation)
    this.#histories.set(id, history)
  }

  histories(): readonly History[] {
    return [...this.#histories.values()]
  }

  /**
   * A fault begins: from now on the process, or all of them, may answer 503; with `breaks`, connections to it may break.
   *
   * @returns ends it: what happens from then on has no excuse
   */
  fault(target: string | undefined, { breaks }: { readonly breaks: boolean }): () => void {
    const excuse: Excuse = { target, from: performance.now(), until: Number.POSITIVE_INFINITY, breaks }
    this.#excuses.push(excuse)
    return () => {
      excuse.until = performance.now()
    }
  }

  /** Requests that were left without an answer, or got a 503, while no fault explains it. */
  unexplained(): readonly string[] {
    return this.entries.flatMap((entry) => {
      const { kind, target, invoked, returned, outcome } = entry
      const about = `${kind} at ${target}, ${Math.round(returned - invoked)} ms`
      if (outcome.kind === 'hung') return [`${about}: hung`]
      if (outcome.kind === 'answer' && outcome.status !== 503) return []
      if (outcome.kind === 'answer' && !/^[1-9]\d*$/.test(outcome.headers['retry-after'] ?? '')) {
        return [`${about}: 503 without Retry-After`]
      }
      const broke = outcome.kind !== 'answer'
      const excused = this.#excuses.some(
        (excuse) =>
          (excuse.target === undefined || excuse.target === target) &&
          (!broke || excuse.breaks) &&
          excuse.from <= returned &&
          excuse.until + aftermath >= invoked,
      )
      if (excused) return []
      return [`${about}: ${broke ? (outcome.kind === 'lost' ? outcome.reason : outcome.kind) : '503'} without a fault`]
    })
  }

  /** How many requests ended how. */
  totals(): Totals {
    const count = (holds: (entry: Entry) => boolean): number => this.entries.filter(holds).length
    const status = (wanted: (status: number) => boolean) => (entry: Entry) =>
      entry.outcome.kind === 'answer' && wanted(entry.outcome.status)
    return {
      operations: this.entries.length,
      acknowledged: count(status((code) => code < 400)),
      refused: count(status((code) => code >= 400 && code < 500)),
      unavailable: count(status((code) => code === 503)),
      unanswered: count(({ outcome }) => outcome.kind === 'lost'),
      unreachable: count(({ outcome }) => outcome.kind === 'unreachable'),
      hung: count(({ outcome }) => outcome.kind === 'hung'),
    }
  }
}

export interface Totals {
  readonly operations: number
  /** Done, and said so. */
  readonly acknowledged: number
  /** Refused as the protocol says: a spent code, a wrong secret. */
  readonly refused: number
  /** 503 with Retry-After. */
  readonly unavailable: number
  /** The connection broke before the answer. */
  readonly unanswered: number
  /** No connection was made. */
  readonly unreachable: number
  readonly hung: number
}

/** A name for a secret that may stand in a recorded history. */
export function nameOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 16)
}
