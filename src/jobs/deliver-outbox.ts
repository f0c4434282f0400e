import { newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { oneAtATime } from '../platform/one-at-a-time.js'
import { type Call, type Outcome, pushRevocation } from '../protocol/revocation/index.js'
import { auditEvents, type Lane, type Message, outbox } from '../store/index.js'

type Deliver = (ctx: Context, message: Message, call: Call) => Promise<Outcome>
type Failure = Exclude<Outcome, { readonly kind: 'delivered' }>

/** Who delivers what, by the kind of the message. */
const deliverers: Readonly<Record<string, Deliver>> = { revocation: pushRevocation }

/** Messages of one lane that are under way at once, and lanes: a destination that hangs holds up its own lane and no other. */
const atOnce = { messages: 8, lanes: 32 }

/** Milliseconds that one call may take. */
const timeout = 5_000

/** Milliseconds after which what a process has claimed is another's: a call, and time to write down what came of it. */
const lease = 30_000

/** Milliseconds that calls may go on after the process was told to stop. */
const farewell = 2_000

/** When a message is given up: after days of trying, and not because a clock jumped or nobody was there to deliver. */
const patience = { milliseconds: 7 * 86_400_000, attempts: 20 }

export interface Delivery {
  /** Begins with what is due, in every lane that is not under way. It goes on behind the promise. */
  readonly look: () => Promise<void>
  /** Waits for what is under way. */
  readonly idle: () => Promise<void>
  /** Begins nothing more. What is under way may end, but not for long; what did not end is anybody's. */
  readonly stop: () => Promise<void>
}

interface RunningLane {
  /** There may be more than was claimed. */
  again: boolean
  ended: Promise<void>
}

/**
 * Delivers what waits in the outbox, at least once. Several processes share the work: a message is claimed by one of them at a
 * time. There is no order: a message that failed comes after later ones.
 */
export function createDelivery(ctx: Context): Delivery {
  const { db, clock, log } = ctx
  const lanes = new Map<string, RunningLane>()
  /** Milliseconds since 1970 until which a destination has asked to be left alone. */
  const quiet = new Map<string, number>()
  const breakOff = new AbortController()
  let stopped = false
  let looking = Promise.resolve()

  const look = oneAtATime(async () => {
    if (stopped) return
    const now = clock.now()
    for (const [key, until] of quiet) {
      const left = until - now.getTime()
      // One that is further away is by a clock that was ahead (attack 133).
      if (left <= 0 || left > outbox.longestPause * 1000) quiet.delete(key)
    }
    for (const lane of await outbox.listDue(db, Object.keys(deliverers), now)) {
      const key = `${lane.kind} ${lane.destination}`
      const running = lanes.get(key)
      // What is due may have come after that lane has claimed.
      if (running) running.again = true
      else if (lanes.size < atOnce.lanes && !quiet.has(key) && !stopped) start(key, lane)
    }
  })

  function start(key: string, lane: Lane): void {
    const running: RunningLane = { again: true, ended: Promise.resolve() }
    lanes.set(key, running)
    running.ended = drive(key, lane, running)
      .catch((error) => log.warn({ err: error, kind: lane.kind }, 'messages could not be claimed'))
      .finally(() => lanes.delete(key))
  }

  /** Until nothing is due there, or nothing gets through: then it is the next look that tries, and not all that waits. */
  async function drive(key: string, lane: Lane, running: RunningLane): Promise<void> {
    while (running.again && !stopped && !quiet.has(key)) {
      running.again = false
      const now = clock.now()
      const until = new Date(now.getTime() + lease)
      const messages = await outbox.claim(db, { ...lane, now, until, limit: atOnce.messages })
      if (messages.length === 0) continue
      const outcomes = await Promise.all(messages.map((message) => attempt(key, message)))
      if (outcomes.every((delivered) => !delivered)) return
      if (messages.length === atOnce.messages) running.again = true
    }
  }

  /** @returns whether it was delivered */
  async function attempt(key: string, message: Message): Promise<boolean> {
    const about = { message: message.id, kind: message.kind }
    const outcome = await deliverers[message.kind]!(ctx, message, { signal: breakOff.signal, timeout }).catch(
      (error) => {
        log.error({ err: error, ...about }, 'a message could not be made')
        return { kind: 'failed', reason: 'unexpected' } as const
      },
    )
    try {
      if (outcome.kind === 'delivered') await outbox.remove(db, message)
      // Whatever it was: the next process that tries shall find out.
      else if (outcome.kind === 'failed' && breakOff.signal.aborted) await outbox.release(db, message)
      else if (outcome.kind === 'refused' || isHopeless(message)) await giveUp(message, outcome.reason)
      else await tryLater(key, message, outcome)
      return outcome.kind === 'delivered'
    } catch (error) {
      // The database is away: another attempt follows when the claim is over.
      log.warn({ err: error, ...about }, 'what came of a message could not be written')
      return false
    }
  }

  function isHopeless({ createdAt, attempts }: Message): boolean {
    return attempts >= patience.attempts && clock.now().getTime() - createdAt.getTime() > patience.milliseconds
  }

  async function tryLater(key: string, message: Message, failure: Failure): Promise<void> {
    const wait = 'wait' in failure && failure.wait ? Math.min(failure.wait, outbox.longestPause) : 0
    if (wait > 0) quiet.set(key, clock.now().getTime() + wait * 1000)
    const { kind, attempts } = message
    const { reason } = failure
    const about = { kind, destination: originOf(message.destination) }
    // Once for each, however often it is tried.
    if (attempts === 1) ctx.audit.count({ type: 'outbox.failed', actor: 'system', reason, detail: about })
    log.warn({ ...about, message: message.id, attempts, reason }, 'a message waits for its next attempt')
    await outbox.postpone(db, message, new Date(clock.now().getTime() + pause(attempts, wait) * 1000), reason)
  }

  /** Seconds. Half of it is chance: else all that a destination has missed would come back to it at once. */
  function pause(attempts: number, atLeast: number): number {
    const longest = Math.min(2 ** Math.min(attempts - 1, 30), outbox.longestPause)
    const chance = ctx.random.bytes(4).readUInt32BE() / 2 ** 32
    return Math.max(atLeast, (longest * (1 + chance)) / 2)
  }

  async function giveUp(message: Message, reason: string): Promise<void> {
    const { id, kind, attempts } = message
    const detail = { message: id, kind, destination: originOf(message.destination), attempts }
    const gone = await db.transaction(async (tx) => {
      if (!(await outbox.giveUp(tx, message))) return false
      await auditEvents.create(tx, newEvent(ctx, { type: 'outbox.given_up', actor: 'system', reason, detail }))
      return true
    })
    if (gone) log.error({ ...detail, reason }, 'a message was given up')
  }

  async function idle(): Promise<void> {
    await looking.catch(() => undefined)
    while (lanes.size > 0) await Promise.all([...lanes.values()].map(({ ended }) => ended))
  }

  return {
    look() {
      looking = look()
      return looking
    },
    idle,
    async stop() {
      stopped = true
      const late = setTimeout(() => breakOff.abort(), farewell)
      await idle()
      clearTimeout(late)
    },
  }
}

/** For log and audit: a path or query may be a secret. */
function originOf(destination: string): string {
  return URL.canParse(destination) ? new URL(destination).origin : 'elsewhere'
}
