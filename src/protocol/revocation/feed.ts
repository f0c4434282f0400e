import type { Context } from '../../context.js'
import type { ListedRevocation } from '../../revocation/index.js'
import { hasEnded } from '../bearer.js'
import { liveEntries, toWire } from './entries.js'
import { type EventStream, type StreamEvent, streamEvent } from './event-stream.js'
import type { ResourceServer } from './resource-server.js'

/** Everybody who listens at this process. */
export interface Feed {
  /** How many streams the client has. */
  readonly count: (clientId: string) => number
  /** Sends what lies behind the position, then what comes, until the token or the server ends. */
  readonly open: (listener: NewListener) => void
  /** Sends everybody elsewhere. */
  readonly stop: () => void
  readonly isStopped: () => boolean
}

export interface NewListener extends ResourceServer {
  readonly stream: EventStream
  readonly after: bigint
  /** Milliseconds between two heartbeats. */
  readonly heartbeat: number
  /** Calls back when the connection is gone. */
  readonly onClose: (gone: () => void) => void
}

interface Listener extends NewListener {
  /** It has all that was listed until now. Else it is brought there, and hears what comes on the way. */
  live: boolean
  /** Up to where it has everything. */
  sent: bigint
  gone: boolean
}

/** Entries of one event: a millisecond of work. */
const eventSize = 500

/** Entries that are written to everybody at once. More would be more than a listener could take in time. */
const atOnce = 4 * eventSize

/** Milliseconds in which a listener must take something of what waits for it. */
const patience = 10_000

/** Milliseconds over which the return of the listeners is spread when the server stops. */
const spread = 2_000

export function createFeed(ctx: Context): Feed {
  const listeners = new Set<Listener>()
  let stopped = false

  /** All that was read by one look into the database: who wants it again gets the same bytes. */
  function onNews(entries: readonly ListedRevocation[], position: bigint): void {
    const made = new Map<string, readonly StreamEvent[]>()
    if (entries.length > atOnce) {
      for (const listener of listeners) if (listener.live) bringUp(listener)
      return
    }
    for (const listener of listeners) {
      if (!listener.live) continue
      const { audience, stream } = listener
      let events = made.get(audience)
      if (!events) {
        const concerned = entries.filter(({ audiences }) => audiences.length === 0 || audiences.includes(audience))
        events = toEvents(concerned, position)
        made.set(audience, events)
      }
      for (const event of events) stream.write(event)
      listener.sent = position
      // Whoever ends by this news still hears it: of a key that ended, or of its API's client.
      endsWithToken(listener)
    }
  }

  ctx.revocations.follow({
    onNews,
    onReset() {
      for (const { stream } of listeners) stream.end(resetEvent)
    },
  })

  function endsWithToken({ token, stream }: Listener): boolean {
    if (!hasEnded(ctx, token)) return false
    stream.end()
    return true
  }

  function bringUp(listener: Listener): void {
    listener.live = false
    catchUp(listener).catch((error) => {
      ctx.log.error({ err: error }, 'a listener of the revocation feed could not be served')
      listener.stream.cut()
    })
  }

  async function catchUp(listener: Listener): Promise<void> {
    const { audience, sent, stream } = listener
    let some: string[] = []
    for (const entry of liveEntries(ctx.revocations.behind(audience, sent), ctx.clock.now())) {
      some.push(toWire(entry))
      if (some.length < eventSize) continue
      const fits = stream.write(revocationsEvent(some, BigInt(entry.position)))
      some = []
      if (!fits) await takes(stream)
      // Others have their turn, too.
      else await new Promise(setImmediate)
      if (listener.gone || endsWithToken(listener)) return
    }
    // In the same turn in which the last was read, so that nothing comes between.
    const position = ctx.revocations.position()
    if (some.length > 0) stream.write(revocationsEvent(some, position))
    listener.sent = position
    listener.live = true
    beat(listener)
  }

  function beat({ stream }: Listener): void {
    const data = {
      position: String(ctx.revocations.position()),
      age: Math.round(ctx.revocations.age()),
      time: ctx.clock.now().getTime(),
    }
    stream.write(streamEvent({ event: 'heartbeat', data: JSON.stringify(data) }))
  }

  function keepBeating(listener: Listener): void {
    const { stream, heartbeat } = listener
    let stuck = 0
    let before = 0
    const timer = setInterval(() => {
      if (listener.gone) return clearInterval(timer)
      if (endsWithToken(listener)) return
      const waiting = stream.waiting()
      stuck = waiting > 0 && waiting >= before ? stuck + heartbeat : 0
      before = waiting
      if (stuck > patience) stream.cut()
      // A heartbeat says that all up to its position was sent.
      else if (listener.live) beat(listener)
    }, heartbeat)
    timer.unref()
    listener.onClose(() => clearInterval(timer))
  }

  return {
    count: (clientId) => {
      let count = 0
      for (const listener of listeners) if (listener.clientId === clientId) count++
      return count
    },
    open(added) {
      const listener: Listener = { ...added, sent: added.after, live: false, gone: false }
      listeners.add(listener)
      listener.onClose(() => {
        listener.gone = true
        listeners.delete(listener)
      })
      bringUp(listener)
      keepBeating(listener)
    },
    stop() {
      stopped = true
      for (const { stream } of listeners) {
        const retry = 100 + (ctx.random.bytes(2).readUInt16BE() % spread)
        stream.end(streamEvent({ event: 'moved', retry: String(retry), data: '{}' }))
      }
    },
    isStopped: () => stopped,
  }
}

/** A position of another database, or of another order. */
export const resetEvent: StreamEvent = streamEvent({ event: 'reset', data: '{}' })

/** @param entries in JSON */
function revocationsEvent(entries: readonly string[], position: bigint): StreamEvent {
  return streamEvent({ id: String(position), event: 'revocations', data: `[${entries.join(',')}]` })
}

/** Each says up to where its listener has everything: who is cut between two of them resumes there. */
function toEvents(entries: readonly ListedRevocation[], position: bigint): readonly StreamEvent[] {
  return Array.from({ length: Math.ceil(entries.length / eventSize) }, (_, index) => {
    const some = entries.slice(index * eventSize, (index + 1) * eventSize)
    const isLast = (index + 1) * eventSize >= entries.length
    return revocationsEvent(some.map(toWire), isLast ? position : BigInt(some.at(-1)?.position ?? 0))
  })
}

/** Whoever does not read is cut. */
async function takes(stream: EventStream): Promise<void> {
  const timer = setTimeout(stream.cut, patience)
  timer.unref()
  await stream.drained()
  clearTimeout(timer)
}
