import pg from 'pg'
import type { Db } from './database.js'

/** What other processes must hear of: their memory of it is dropped, or there is something to do. */
export type Change =
  | { readonly kind: 'client'; readonly id: string }
  | { readonly kind: 'user'; readonly id: string }
  | { readonly kind: 'resources' }
  | { readonly kind: 'tiers' }
  | { readonly kind: 'gateways' }
  | { readonly kind: 'keys' }
  | { readonly kind: 'revocation' }
  /** `retry`: also what is left alone for a while. */
  | { readonly kind: 'outbox'; readonly id: string }
  | { readonly kind: 'failures'; readonly id: string }

const channel = 'ostiary'

/** Tells every process on commit. A notification can be lost: nobody may rely on it for more than speed. */
export async function notify(db: Db, change: Change): Promise<void> {
  const payload = 'id' in change ? `${change.kind}:${change.id}` : change.kind
  await db.prisma.$executeRaw`SELECT pg_notify(${channel}, ${payload})`
}

/** For a statement that notifies by itself: the channel's name. */
export const notificationChannel = channel

export interface ChangeListener {
  /** Whether the connection stands; when it does not, memory may be out of date. */
  readonly connected: () => boolean
  close(): Promise<void>
}

export interface ChangeListenerOptions {
  readonly url: string
  readonly onChange: (change: Change) => void
  /** Runs after every (re)connect, so that whatever was missed is read. */
  readonly onConnect: () => void
  readonly onError: (error: Error) => void
  /**
   * Milliseconds: how often the connection is asked whether it still carries anything, and how long it may take to say
   * so. A network that swallows packets tells neither end, and nothing else is ever sent on it. Default 3,000.
   */
  readonly heartbeat?: number
}

/** Milliseconds between attempts to connect again. */
const retryDelay = 250

/** Listens on one connection of its own, and connects again for as long as it is open. */
export async function listenForChanges(options: ChangeListenerOptions): Promise<ChangeListener> {
  let client: pg.Client | undefined
  const { heartbeat = 3_000 } = options
  let closed = false
  let connected = false
  let timer: NodeJS.Timeout | undefined

  async function connect(): Promise<void> {
    const next = new pg.Client({
      connectionString: options.url,
      application_name: 'ostiary listener',
      connectionTimeoutMillis: 3_000,
      keepAlive: true,
      // Also for LISTEN itself: what waits for its answer for ever would never connect again.
      query_timeout: heartbeat,
    })
    client = next
    let ended = false
    const beat = (): void => {
      next.query('SELECT 1').then(() => {
        if (!ended && !closed) timer = setTimeout(beat, heartbeat).unref()
      }, lost)
    }
    const lost = (error?: Error): void => {
      if (ended) return
      ended = true
      connected = false
      clearTimeout(timer)
      if (error && !closed) options.onError(error)
      next.end().catch(() => undefined)
      if (!closed) timer = setTimeout(() => void connect().catch(() => undefined), retryDelay)
    }
    next.on('error', lost)
    next.on('end', () => lost())
    next.on('notification', ({ payload }) => {
      const change = parseChange(payload)
      if (change) options.onChange(change)
    })
    try {
      await next.connect()
      await next.query(`LISTEN ${channel}`)
      connected = true
      timer = setTimeout(beat, heartbeat).unref()
      options.onConnect()
    } catch (error) {
      lost(error as Error)
      throw error
    }
  }

  try {
    await connect()
  } catch (error) {
    // Whoever could not open it has nothing to close.
    closed = true
    clearTimeout(timer)
    throw error
  }
  return {
    connected: () => connected,
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  }
}

function parseChange(payload: string | undefined): Change | undefined {
  if (!payload) return undefined
  const colon = payload.indexOf(':')
  const kind = colon < 0 ? payload : payload.slice(0, colon)
  const id = colon < 0 ? '' : payload.slice(colon + 1)
  switch (kind) {
    case 'client':
    case 'user':
    case 'failures':
    case 'outbox':
      return { kind, id }
    case 'resources':
    case 'tiers':
    case 'gateways':
    case 'keys':
    case 'revocation':
      return { kind }
    default:
      return undefined
  }
}
