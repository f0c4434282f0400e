import { setTimeout as delay } from 'node:timers/promises'
import type { Chance } from './chance.js'
import { lateness, readings, type Span } from './clocks.js'
import type { ModelName, Operation } from './history.js'
import type { Installation, ManagedProcess } from './installation.js'
import type { Kind, Ledger } from './ledger.js'
import { type Outcome, openWire, type Sent, type Wire } from './wire.js'

export type Answer = Extract<Outcome, { readonly kind: 'answer' }> & {
  /** What the clock of the process may have said meanwhile. */
  readonly read: Span
  readonly late?: Operation['late']
}

/** What an answer says about the thing that was operated on. */
export type Reading = Pick<Operation, 'answer' | 'gives'>

export interface Asked {
  readonly kind: Kind
  readonly sent: Sent
  /** What it operates on, for the history. Not given: nothing that could be done once. */
  readonly about?: {
    readonly model: ModelName
    readonly key: string
    readonly name: Operation['name']
    readonly token?: string
    readonly variant?: string
  }
  /** When what it presents is over, by the clock of the process that issued it. Not given: later than any test. */
  readonly ends?: Span | undefined
  /** @returns undefined where the protocol allows no such answer */
  readonly read: (answer: Answer) => Reading | undefined
}

/** One client: it sends, and writes down what it sent and what came back. */
export interface Requester {
  readonly name: string
  readonly chance: Chance
  /** Sends once. @returns the answer, or undefined where there was none that says whether it was done */
  readonly ask: (asked: Asked, at?: ManagedProcess) => Promise<Answer | undefined>
  /** Sends the same request until it is answered, as an application does. @throws after the bound, in milliseconds */
  readonly insist: (asked: Asked, at?: ManagedProcess, bound?: number) => Promise<Answer>
  readonly close: () => void
}

/** Longer than any fault of these tests. */
const insistence = 90_000

export function openRequester(installation: Installation, ledger: Ledger, name: string, chance: Chance): Requester {
  const wire: Wire = openWire(new URL(installation.issuer).host)

  const ask: Requester['ask'] = async ({ kind, sent, about, ends = never, read: readAnswer }, at) => {
    const target = at ?? chance.oneOf(installation.servers)
    const invoked = performance.now()
    const read = (): Span => readings(installation.clocks, target.name, invoked, performance.now())
    const spends = about?.name === 'refresh' ? about.token : undefined
    const settled = spends === undefined ? undefined : ledger.presented(spends, read)
    const outcome = await wire.send(target.port!, sent)
    const returned = performance.now()
    ledger.write({ client: name, kind, target: target.name, invoked, returned, outcome })
    // Nothing was sent, so it is no operation.
    if (outcome.kind === 'unreachable') return undefined

    const clock = read()
    settled?.()
    const late = lateness(spends === undefined ? ends : ledger.windowOf(spends), clock)
    const answer = outcome.kind === 'answer' && outcome.status !== 503 ? { ...outcome, read: clock, late } : undefined
    const reading = answer && readAnswer(answer)
    if (answer && !reading) {
      ledger.surprises.push(`${kind} at ${target.name}: ${answer.status} ${withoutSecrets(answer.body)}`)
    }
    if (about) {
      const { model, key, ...rest } = about
      const operation = { client: name, ...rest, invoked, late }
      const done = reading && { returned, ...reading }
      if (model === 'failures') {
        // Counts are of a window of one clock. Where it jumped meanwhile, it is not known whose window it was.
        const offsets = installation.clocks.offsets(target.name, invoked, returned)
        for (const hours of offsets) {
          const known = offsets.length === 1 && done
          ledger.operation(model, windowKey(key, hours), { ...operation, returned: undefined, ...known })
        }
      } else {
        ledger.operation(model, key, { ...operation, returned: undefined, ...done })
      }
    }
    return reading && answer
  }

  return {
    name,
    chance,
    ask,
    async insist(asked, at, bound = insistence) {
      const end = performance.now() + bound
      for (;;) {
        const answer = await ask(asked, at)
        if (answer) return answer
        if (performance.now() > end) throw new Error(`${asked.kind} was not answered within ${bound} ms`)
        // Sooner than Retry-After says: a client that does not wait is the harder one.
        await delay(chance.between(20, 250))
      }
    },
    close: wire.close,
  }
}

const never: Span = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }

/** The history of one client's failures by a clock that is so many hours ahead. */
function windowKey(clientId: string, hours: number): string {
  return hours === 0 ? clientId : `${clientId} at ${hours} h`
}

function withoutSecrets(body: string): string {
  return body.replace(/[\w.~-]{30,}/g, '…').slice(0, 200)
}
