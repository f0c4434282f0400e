import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => unknown): unknown
}

/** Where the connection that sends a statement is cut. */
export type CutPoint =
  /** Before it arrives. */
  | 'before'
  /** When half of its bytes have arrived. */
  | 'middle'
  /** After the database has run and committed it, and before the answer is passed on. */
  | 'after'

/** Stands between a server and its database, and fails as networks and machines do. */
export interface DatabaseProxy {
  /** The database's address by way of the proxy. */
  readonly url: string
  /** Cuts the connection that next sends the statement. Resolves when that happened. */
  readonly cutAt: (statement: string, when: CutPoint) => Promise<void>
  /** All connections break, and new ones are closed at once. */
  readonly down: () => void
  readonly up: () => void
  /** While it refuses, all connections break, and nobody listens: what a machine does on which no database runs. */
  readonly refuse: (on: boolean) => Promise<void>
  /** All connections break; new ones are made at once. */
  readonly reset: () => void
  /**
   * While it swallows, connections that stand or are made carry nothing more, in either direction, ever, and nobody is
   * told: what a network does that has lost a machine, or its memory of who talked to whom.
   */
  readonly swallow: (on: boolean) => void
  /** While it loses them, what others notify of does not arrive, and nobody is told: all else does. */
  readonly loseNotifications: (on: boolean) => void
  /** Everything that is sent to the database on a connection that is ready arrives so many milliseconds later. */
  readonly delayStatements: (milliseconds: number) => void
  /** Everything arrives so many milliseconds later, in either direction. */
  readonly delayPackets: (milliseconds: number) => void
  /** New connections lead to another server, and those that stand break: what an operator's address does in a failover. */
  readonly leadTo: (databaseUrl: string) => void
  /** How many connections stand. */
  readonly connections: () => number
}

/** ReadyForQuery, which PostgreSQL sends once everything of a message is done: the commit too. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

/** The bytes without the notifications that they begin with: NotificationResponse, which comes between other messages. */
function withoutNotifications(bytes: Buffer): Buffer {
  let rest = bytes
  while (rest.length >= 5 && rest[0] === 0x41 && rest.readInt32BE(1) < rest.length) {
    rest = rest.subarray(rest.readInt32BE(1) + 1)
  }
  return rest
}

interface Target {
  readonly folder: string | undefined
  readonly host: string
  readonly port: number
}

function targetOf(databaseUrl: string): Target {
  const url = new URL(databaseUrl)
  const folder = url.searchParams.get('host')
  return {
    folder: folder?.startsWith('/') ? folder : undefined,
    host: url.hostname,
    port: Number(url.port || 5432),
  }
}

export async function createDatabaseProxy(t: Test, databaseUrl: string): Promise<DatabaseProxy> {
  let target = targetOf(databaseUrl)
  const pairs = new Set<readonly [Socket, Socket]>()
  let isDown = false
  let isSwallowing = false
  let isLosing = false
  const lost = new WeakSet<Socket>()
  const delay = { statements: 0, packets: 0 }
  let cut: { readonly statement: string; readonly when: CutPoint; readonly done: () => void } | undefined

  const proxy = createServer((near) => {
    if (isDown) {
      near.destroy()
      return
    }
    const { folder, host, port } = target
    const far = folder === undefined ? connect(port, host) : connect(`${folder}/.s.PGSQL.${port}`)
    const pair = [near, far] as const
    pairs.add(pair)
    if (isSwallowing) lost.add(near)
    let isReady = false
    let listens = false
    let swallowing: Buffer | undefined
    let done = (): void => undefined
    const close = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of pair) socket.setNoDelay(true).on('error', close).on('close', close)

    /** In order: what was sent before a delay ended is not overtaken. */
    const passOn = { near: inOrder(), far: inOrder() }
    const send = (way: 'near' | 'far', chunk: Buffer, milliseconds: number): void => {
      if (lost.has(near)) return
      const to = way === 'near' ? near : far
      passOn[way](milliseconds, () => {
        if (!to.destroyed && !lost.has(near)) to.write(chunk)
      })
    }

    near.on('data', (chunk) => {
      if (chunk.includes('LISTEN ')) listens = true
      if (cut && chunk.includes(cut.statement)) {
        const { when } = cut
        done = cut.done
        cut = undefined
        if (when === 'middle') far.write(chunk.subarray(0, chunk.length >> 1))
        if (when !== 'after') {
          if (when === 'middle') far.end()
          setImmediate(close)
          done()
          return
        }
        swallowing = Buffer.alloc(0)
      }
      send('far', chunk, delay.packets + (isReady ? delay.statements : 0))
    })
    far.on('data', (chunk) => {
      if (!isReady && chunk.includes(readyForQuery)) isReady = true
      if (swallowing === undefined) {
        const passed = isLosing && listens ? withoutNotifications(chunk) : chunk
        if (passed.length > 0) send('near', passed, delay.packets)
        return
      }
      swallowing = Buffer.concat([swallowing, chunk])
      if (!swallowing.includes(readyForQuery)) return
      close()
      done()
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const breakAll = (): void => {
    for (const sockets of pairs) for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    breakAll()
    proxy.close()
  })

  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  const url = new URL(databaseUrl)
  url.searchParams.delete('host')
  url.hostname = '127.0.0.1'
  url.port = String(address.port)
  return {
    url: url.href,
    cutAt: (statement, when) =>
      new Promise((resolve) => {
        cut = { statement, when, done: resolve }
      }),
    down() {
      isDown = true
      breakAll()
    },
    up() {
      isDown = false
    },
    async refuse(on) {
      if (on) {
        proxy.close()
        breakAll()
        return
      }
      proxy.listen(address.port, '127.0.0.1')
      await once(proxy, 'listening')
    },
    reset: breakAll,
    swallow(on) {
      isSwallowing = on
      if (on) for (const [near] of pairs) lost.add(near)
    },
    loseNotifications(on) {
      isLosing = on
    },
    delayStatements(milliseconds) {
      delay.statements = milliseconds
    },
    delayPackets(milliseconds) {
      delay.packets = milliseconds
    },
    leadTo(databaseUrl) {
      target = targetOf(databaseUrl)
      breakAll()
    },
    connections: () => pairs.size,
  }
}

/** Runs each after its delay, and never before the one before it. */
export function inOrder(): (milliseconds: number, work: () => void) => void {
  let waiting = 0
  let last = Promise.resolve()
  return (milliseconds, work) => {
    if (milliseconds === 0 && waiting === 0) {
      work()
      return
    }
    waiting++
    const due = new Promise<void>((resolve) => setTimeout(resolve, milliseconds))
    last = last
      .then(() => due)
      .then(() => {
        waiting--
        work()
      })
  }
}
