import { createHash } from 'node:crypto'
import type { Span } from './clocks.js'
import type { History, ModelName, Operation } from './history.js'
import type { Outcome } from './wire.js'

/** What clients ask for. */
export type Kind = 'login' | 'client_credentials' | 'redeem' | 'refresh' | 'revoke' | 'introspect' | 'guess'

/** Seconds, longer than any fault of these tests: a retry is never late by its client's own fault. */
export const longWindow = 3600

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
  readonly allows: FaultKind
}

/**
 * What clients may suffer besides a right answer or an honest 503: `answers`: nothing; `breaks`: broken connections;
 * `refuses`: connections that are not made, or are cut at the moment at which something is sent after a long silence.
 */
export type FaultKind = 'answers' | 'breaks' | 'refuses'

/** A client whose connection died with a process may learn of it this much later; so may one that was told to wait. */
const aftermath = 5_000

/** What clients wrote down: every request, and the answer or that none came. */
export class Ledger {
  readonly #retryWindow: number
  readonly entries: Entry[] = []
  readonly #histories = new Map<string, { model: ModelName; key: string; operations: Operation[] }>()
  readonly #excuses: Excuse[] = []
  /** What the clocks have read, up to now, where each refresh token was presented. */
  readonly #presented = new Map<string, (() => Span)[]>()
  /** Answers that no request of its kind may get, as the clients saw them. */
  readonly surprises: string[] = []

  /** @param retryWindow seconds that a retry of a refresh gets the stored answer */
  constructor(retryWindow = longWindow) {
    this.#retryWindow = retryWindow
  }

  write(entry: Entry): void {
    this.entries.push(entry)
  }

  operation(model: ModelName, key: string, operation: Operation): void {
    const id = `${model} ${key}`
    const history = this.#histories.get(id) ?? { model, key, operations: [] }
    history.operations.push(operation)
    this.#histories.set(id, history)
  }

  /** A refresh token is about to be sent: the clock may jump before the process reads it. @returns to be called at the end */
  presented(token: string, read: () => Span): () => void {
    const all = this.#presented.get(token) ?? []
    this.#presented.set(token, all)
    const index = all.push(read) - 1
    return () => {
      const last = read()
      all[index] = () => last
    }
  }

  /** When the window for a retry may be over at the earliest: it began when one of those processes spent the token. */
  windowOf(token: string): Span {
    const first = Math.min(...(this.#presented.get(token) ?? []).map((read) => read().from))
    return { from: first + this.#retryWindow * 1000, to: Number.POSITIVE_INFINITY }
  }

  histories(): readonly History[] {
    return [...this.#histories.values()]
  }

  /**
   * A fault begins, in the process of this name or in all of them.
   *
   * @returns ends it: what happens from then on has no excuse
   */
  fault(target: string | undefined, allows: FaultKind): () => void {
    const excuse: Excuse = { target, from: performance.now(), until: Number.POSITIVE_INFINITY, allows }
    this.#excuses.push(excuse)
    return () => {
      excuse.until = performance.now()
    }
  }

  /** Requests that were left without an answer while no fault explains it, or got a 503 that says nothing of a retry. */
  unexplained(): readonly string[] {
    return this.entries.flatMap((entry) => {
      const { kind, target, invoked, returned, outcome } = entry
      const about = `${kind} at ${target}, ${Math.round(returned - invoked)} ms`
      if (outcome.kind === 'hung') return [`${about}: hung`]
      if (outcome.kind === 'answer') {
        const honest = outcome.status !== 503 || /^[1-9]\d*$/.test(outcome.headers['retry-after'] ?? '')
        return honest ? [] : [`${about}: 503 without Retry-After`]
      }
      const excused = this.#excuses.some(
        (excuse) =>
          (excuse.target === undefined || excuse.target === target) &&
          covers(excuse.allows, outcome) &&
          excuse.from <= returned &&
          excuse.until + aftermath >= invoked,
      )
      if (excused) return []
      return [`${about}: ${outcome.kind === 'lost' ? outcome.reason : outcome.kind} without a fault`]
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

/** A server that stops waits this long for one more request on an open connection. Milliseconds, less what a clock is off. */
const lull = 900

/**
 * The connection was reset, and nothing had come over it before, or not for long: the request met the close. No server can
 * prevent that, and whoever sent it may send it again.
 */
export function metTheClose(outcome: Outcome): boolean {
  return outcome.kind === 'lost' && outcome.idle >= lull && ['ECONNRESET', 'EPIPE'].includes(outcome.reason)
}

function covers(allowed: FaultKind, outcome: Outcome): boolean {
  if (allowed === 'refuses') return outcome.kind === 'unreachable' || metTheClose(outcome)
  return allowed === 'breaks' || outcome.kind === 'answer'
}

/** A name for a secret that may stand in a recorded history. */
export function nameOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 16)
}
