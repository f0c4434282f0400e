import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => unknown): unknown
}

/** Stands between a server and its database, and fails as networks and machines do. */
export interface DatabaseProxy {
  /** The database's address by way of the proxy. */
  readonly url: string
  /**
   * Cuts the connection that next sends the statement: before it arrives, or after the database has run and committed it
   * and before the answer is passed on. Resolves when that happened.
   */
  readonly cutAt: (statement: string, when: 'before' | 'after') => Promise<void>
  /** All connections break, and no new one is made. */
  readonly down: () => void
  readonly up: () => void
}

/** ReadyForQuery, which PostgreSQL sends once everything of a message is done: the commit too. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

export async function createDatabaseProxy(t: Test, databaseUrl: string): Promise<DatabaseProxy> {
  const target = new URL(databaseUrl)
  const folder = target.searchParams.get('host')
  const port = Number(target.port || 5432)
  const pairs = new Set<readonly [Socket, Socket]>()
  let isDown = false
  let cut: { readonly statement: string; readonly when: 'before' | 'after'; readonly done: () => void } | undefined

  const proxy = createServer((near) => {
    if (isDown) {
      near.destroy()
      return
    }
    const far = folder?.startsWith('/') ? connect(`${folder}/.s.PGSQL.${port}`) : connect(port, target.hostname)
    const pair = [near, far] as const
    pairs.add(pair)
    let swallowing: Buffer | undefined
    let done = (): void => undefined
    const close = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of pair) socket.on('error', close).on('close', close)

    near.on('data', (chunk) => {
      if (cut && chunk.includes(cut.statement)) {
        const { when } = cut
        done = cut.done
        cut = undefined
        if (when === 'before') {
          close()
          done()
          return
        }
        swallowing = Buffer.alloc(0)
      }
      far.write(chunk)
    })
    far.on('data', (chunk) => {
      if (swallowing === undefined) {
        near.write(chunk)
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
  }
}
