import { setMaxListeners } from 'node:events'
import { newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { deliverNotice } from '../notices/index.js'
import type { Call, Outcome } from '../platform/delivery.js'
import { oneAtATime } from '../platform/one-at-a-time.js'
import { pushLogout } from '../protocol/logout/index.js'
import { pushRevocation } from '../protocol/revocation/index.js'
import { auditEvents, type Lane, type Message, outbox } from '../store/index.js'

type Deliver = (ctx: Context, message: Message, call: Call) => Promise<Outcome>
type Failure = Exclude<Outcome, { readonly kind: 'delivered' }>

interface Deliverer {
  readonly deliver: Deliver
  /** Messages of one lane that are under way at once, and lanes: a destination that hangs holds up its own lane and no other. */
  readonly messages: number
  readonly lanes: number
  /** Of these, lanes that nothing got through the last time: so that however many hang, one that does not finds a place. */
  readonly troubled: number
  /** What log and audit call a destination: a path or query may be a secret. */
  readonly nameOf: (destination: string) => string
}

/**
 * By the kind of the message. Clients are many, and some are strangers: of their lanes there are fewer than of all, so that
 * however many hang, the others are delivered; and of a lane as much as two of one host may have (`platform/outbound`, whose
 * share `logouts` has a place for each).
 */
const deliverers: Readonly<Record<string, Deliverer>> = {
  revocation: { deliver: pushRevocation, messages: 8, lanes: 32, troubled: 32, nameOf: originOf },
  notice: { deliver: deliverNotice, messages: 8, lanes: 32, troubled: 32, nameOf: originOf },
  logout: { deliver: pushLogout, messages: 2, lanes: 24, troubled: 8, nameOf: (clientId) => clientId },
}

/** Of all kinds together. */
const lanesAtOnce = 32

/** Milliseconds that one call may take. */
const timeout = 5_000

/** Milliseconds after which what a process has claimed is another's: a call, and time to write down what came of it. */
const lease = 30_000

/** Milliseconds that calls may go on after the process was told to stop. */
const farewell = 2_000

/**
 * When a message is given up: after days, and so many attempts of its own or rounds of its lane, which are an hour at least;
 * not because a clock jumped or nobody was there to deliver.
 */
const patience = { milliseconds: 7 * 86_400_000, attempts: 20, rounds: 720 }

/** Seconds that a lane is left alone at most, unless it asks for more: what is new waits too, and may be better than the last. */
const longestRest = 10

/** Messages that one statement gives up. */
const mostGivenUp = 10_000

export interface Delivery {
  /** Begins with what is due, in every lane that is not under way. It goes on behind the promise. */
  readonly look: () => Promise<void>
  /** From the next look on no lane is left alone, whatever came of it before and whatever it asked for. */
  readonly endRests: () => void
  /** Waits for what is under way. */
  readonly idle: () => Promise<void>
  /** Begins nothing more. What is under way may end, but not for long; what did not end is anybody's. */
  readonly stop: () => Promise<void>
}

/** Messages of one lane that are tried together. */
interface Round {
  /** With this one, how many in a row of which nothing got through. */
  readonly rounds: number
  /** Seconds until the next, if nothing gets through. */
  readonly rest: number
  /** Seconds that the destination has asked for. */
  wait: number
}

interface RunningLane {
  readonly kind: string
  /** There may be more than was claimed. */
  again: boolean
  ended: Promise<void>
}

/**
 * Of a lane that nothing gets through: it is probed by one message at a time, however many wait, and by the youngest, since
 * the older ones may be what is wrong. Each process finds out by itself.
 */
interface Trouble {
  /** How many in a row of which nothing got through. */
  readonly rounds: number
  /** The message that failed last. */
  readonly message: string
  /** Milliseconds since 1970 between which the lane is left alone, also because it asked for that. */
  readonly since: number
  readonly until: number
}

/**
 * Delivers what waits in the outbox, at least once. Several processes share the work: a message is claimed by one of them at a
 * time. There is no order: a message that failed comes after later ones.
 */
export function createDelivery(ctx: Context): Delivery {
  const { db, clock, log } = ctx
  const lanes = new Map<string, RunningLane>()
  const troubles = new Map<string, Trouble>()
  const breakOff = new AbortController()
  // One for each call that is under way.
  setMaxListeners(0, breakOff.signal)
  let stopped = false
  let looking = Promise.resolve()

  const look = oneAtATime(async () => {
    if (stopped) return
    const due = await outbox.listDue(db, Object.keys(deliverers), clock.now())
    forgetOldTroubles(new Set(due.map(keyOf)))
    for (const lane of due) {
      const key = keyOf(lane)
      const running = lanes.get(key)
      // What is due may have come after that lane has claimed.
      if (running) running.again = true
      else if (hasRoom(key, lane) && !isLeftAlone(key) && !stopped) start(key, lane)
    }
  })

  function hasRoom(key: string, { kind }: Lane): boolean {
    const ofKind = [...lanes].filter(([, running]) => running.kind === kind)
    const most = deliverers[kind]!
    if (lanes.size >= lanesAtOnce || ofKind.length >= most.lanes) return false
    return !troubles.has(key) || ofKind.filter(([other]) => troubles.has(other)).length < most.troubled
  }

  /**
   * Between two clocks that differ by a jump there is no row of rounds (attack 133), and after a long silence neither. A lane that
   * waits for its turn since is no better for it: else many of them together would take the places of those that work.
   */
  function forgetOldTroubles(due: ReadonlySet<string>): void {
    const now = clock.now().getTime()
    for (const [key, trouble] of troubles) {
      if (Math.abs(trouble.until - now) <= (outbox.longestPause + 60) * 1000) continue
      if (due.has(key)) troubles.set(key, { ...trouble, rounds: 0, since: now, until: now })
      else troubles.delete(key)
    }
  }

  function isLeftAlone(key: string): boolean {
    const trouble = troubles.get(key)
    const now = clock.now().getTime()
    return trouble !== undefined && trouble.since <= now && now < trouble.until
  }

  function start(key: string, lane: Lane): void {
    const running: RunningLane = { kind: lane.kind, again: true, ended: Promise.resolve() }
    lanes.set(key, running)
    running.ended = drive(key, lane, running)
      .catch((error) => log.warn({ err: error, kind: lane.kind }, 'messages could not be claimed'))
      .finally(() => lanes.delete(key))
  }

  /** Until nothing is due there, or nothing gets through. */
  async function drive(key: string, lane: Lane, running: RunningLane): Promise<void> {
    while (running.again && !stopped && !isLeftAlone(key)) {
      running.again = false
      const trouble = troubles.get(key)
      const now = clock.now()
      const until = new Date(now.getTime() + lease)
      const limit = trouble ? 1 : deliverers[lane.kind]!.messages
      const messages = await outbox.claim(db, { ...lane, now, until, limit, youngest: trouble !== undefined })
      if (messages.length === 0) continue
      // The same one again says nothing about the others, and has its own pauses.
      const isNews = messages.length > 1 || messages[0]?.id !== trouble?.message
      const rounds = (trouble?.rounds ?? 0) + (isNews ? 1 : 0)
      const round = { rounds, rest: isNews ? pause(rounds, longestRest) : 0, wait: 0 }
      const outcomes = await Promise.all(messages.map((message) => attempt(message, round)))
      const rests = { message: messages[0]!.id, seconds: Math.max(round.rest, round.wait) }
      if (outcomes.every((outcome) => outcome === 'failed')) {
        leaveAlone(key, { ...rests, rounds })
        if (rounds >= patience.rounds) await giveUpOverdue(lane)
        return
      }
      if (round.wait > 0) leaveAlone(key, { ...rests, rounds: 0, seconds: round.wait })
      else troubles.delete(key)
      if (messages.length === limit && outcomes.includes('delivered')) running.again = true
    }
  }

  function leaveAlone(
    key: string,
    { seconds, ...rest }: { readonly rounds: number; readonly message: string; readonly seconds: number },
  ): void {
    const since = clock.now().getTime()
    // Whole milliseconds, as the messages have them that wait for it.
    troubles.set(key, { ...rest, since, until: Math.floor(since + seconds * 1000) })
  }

  async function attempt(message: Message, round: Round): Promise<Outcome['kind']> {
    const about = { message: message.id, kind: message.kind }
    const outcome = await deliverers[message.kind]!.deliver(ctx, message, { signal: breakOff.signal, timeout }).catch(
      (error) => {
        log.error({ err: error, ...about }, 'a message could not be made')
        return { kind: 'failed', reason: 'unexpected' } as const
      },
    )
    try {
      if (outcome.kind === 'delivered') await outbox.remove(db, message)
      // Whatever it was: the next process that tries shall find out.
      else if (outcome.kind === 'failed' && breakOff.signal.aborted) await outbox.release(db, message)
      else if (outcome.kind === 'refused' || isHopeless(message, round)) await giveUp(message, outcome.reason)
      else await tryLater(message, outcome, round)
      return outcome.kind
    } catch (error) {
      // The database is away: another attempt follows when the claim is over.
      log.warn({ err: error, ...about }, 'what came of a message could not be written')
      return 'failed'
    }
  }

  function isHopeless({ createdAt, attempts }: Message, { rounds }: Round): boolean {
    const age = clock.now().getTime() - createdAt.getTime()
    return age > patience.milliseconds && (attempts >= patience.attempts || rounds >= patience.rounds)
  }

  async function tryLater(message: Message, failure: Failure, round: Round): Promise<void> {
    const wait = 'wait' in failure && failure.wait ? Math.min(failure.wait, outbox.longestPause) : 0
    round.wait = Math.max(round.wait, wait)
    const { kind, attempts } = message
    const { reason } = failure
    const about = { kind, destination: nameOf(message) }
    // Once for each, however often it is tried.
    if (attempts === 1) ctx.audit.count({ type: 'outbox.failed', actor: 'system', reason, detail: about })
    log.warn({ ...about, message: message.id, attempts, reason }, 'a message waits for its next attempt')
    const seconds = Math.max(pause(attempts, outbox.longestPause), round.rest, wait)
    await outbox.postpone(db, message, new Date(clock.now().getTime() + seconds * 1000), reason)
  }

  /** Seconds. Half of it is chance: else all that a destination has missed would come back to it at once. */
  function pause(attempts: number, most: number): number {
    const longest = Math.min(2 ** Math.min(attempts - 1, 30), most)
    const chance = ctx.random.bytes(4).readUInt32BE() / 2 ** 32
    return (longest * (1 + chance)) / 2
  }

  async function giveUp(message: Message, reason: string): Promise<void> {
    const { id, kind, attempts } = message
    const detail = { message: id, kind, destination: nameOf(message), attempts }
    const gone = await db.transaction(async (tx) => {
      if (!(await outbox.giveUp(tx, message))) return false
      await auditEvents.create(tx, newEvent(ctx, { type: 'outbox.given_up', actor: 'system', reason, detail }))
      return true
    })
    if (gone) log.error({ ...detail, reason }, 'a message was given up')
  }

  /** What waits behind them for as long: it has no better chance. */
  async function giveUpOverdue(lane: Lane): Promise<void> {
    const now = clock.now()
    const before = new Date(now.getTime() - patience.milliseconds)
    for (let count = mostGivenUp; count === mostGivenUp && !stopped; ) {
      const detail = { kind: lane.kind, destination: nameOf(lane) }
      count = await db.transaction(async (tx) => {
        const messages = await outbox.giveUpOverdue(tx, { ...lane, before, now, limit: mostGivenUp })
        if (messages === 0) return 0
        const event = { type: 'outbox.given_up', actor: 'system', reason: 'overdue', detail: { ...detail, messages } }
        await auditEvents.create(tx, newEvent(ctx, event))
        return messages
      })
      if (count > 0) log.error({ ...detail, messages: count }, 'messages were given up')
    }
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
    endRests() {
      const now = clock.now().getTime()
      for (const [key, trouble] of troubles) troubles.set(key, { ...trouble, until: now })
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

function keyOf({ kind, destination }: Lane): string {
  return `${kind} ${destination}`
}

function nameOf({ kind, destination }: Lane): string {
  return deliverers[kind]!.nameOf(destination)
}

function originOf(destination: string): string {
  return URL.canParse(destination) ? new URL(destination).origin : 'elsewhere'
}
