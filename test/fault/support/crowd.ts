// Clients that keep a server busy by what they do not do: they hold connections.

import { connect, type Socket } from 'node:net'

/** A connection and what came of it. Times are monotonic milliseconds. */
export interface Held {
  readonly kind: Kind
  readonly since: number
  /** The server ended it. */
  readonly ended: () => number | undefined
  /** Everything that came. */
  readonly received: () => string
}

/**
 * `idle` was served once, and says nothing more. Slow are: `silent`, which sends nothing; `header` and `body`, which send a
 * byte now and then; `stuck`, which stops in the middle of the body. `deaf` asks now and then and reads no answer; `greedy` asks
 * as fast as it can, and reads none.
 */
export type Kind = 'idle' | 'silent' | 'header' | 'body' | 'stuck' | 'deaf' | 'greedy'

export const slowKinds = ['silent', 'header', 'body', 'stuck'] as const satisfies readonly Kind[]

export interface Crowd {
  /** Opens as many connections of this kind, some at a time. */
  readonly join: (kind: Kind, count: number) => Promise<readonly Held[]>
  /** How many the server has left. */
  readonly open: () => number
  readonly leave: () => void
}

/** Milliseconds between two bytes of a slow one. */
const pace = 500
/** Connections that are made at once: fewer than a server lets wait to be accepted. */
const atOnce = 100

const form = 'grant_type=client_credentials&scope='.padEnd(400, 'x')
const head = `Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n`
const ask = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
/** Milliseconds between two requests of a deaf one: it sends no more at once than a server takes for honest. */
const deafPace = 40

/** @param port where the server listens */
export function openCrowd(port: number): Crowd {
  const sockets = new Set<Socket>()
  let opened = 0

  /** Several of loopback's addresses, where all of 127.0.0.0/8 is this machine's: one has 28,000 ports. */
  const address = (): string | undefined => (process.platform === 'linux' ? `127.0.0.${2 + (opened++ % 8)}` : undefined)

  function hold(kind: Kind): Promise<Held> {
    return new Promise((resolve, reject) => {
      const localAddress = address()
      const socket = connect({ port, host: '127.0.0.1', ...(localAddress === undefined ? {} : { localAddress }) })
      let ended: number | undefined
      let received = ''
      let timer: NodeJS.Timeout | undefined
      sockets.add(socket)
      socket.on('error', reject)
      socket.on('close', () => {
        ended = performance.now()
        clearInterval(timer)
        sockets.delete(socket)
        reject(new Error(`a connection (${kind}) was not accepted`))
      })
      const held: Held = { kind, since: performance.now(), ended: () => ended, received: () => received }
      const ready = (): void => resolve(held)
      if (kind !== 'deaf' && kind !== 'greedy') {
        socket.on('data', (chunk) => {
          received += chunk.toString('latin1')
          if (kind === 'idle') ready()
        })
      }
      const dribble = (bytes: string): void => {
        let sent = 0
        timer = setInterval(() => {
          if (sent < bytes.length && socket.writable) socket.write(bytes[sent++]!)
        }, pace)
      }
      socket.on('connect', () => {
        if (kind === 'idle') socket.write(ask)
        else ready()
        if (kind === 'header') dribble(`POST /token HTTP/1.1\r\n${head}\r\n`)
        if (kind === 'body' || kind === 'stuck') socket.write(`POST /token HTTP/1.1\r\n${head}\r\n${form.slice(0, 20)}`)
        if (kind === 'body') dribble(form.slice(20))
        if (kind === 'deaf') timer = setInterval(() => socket.write(ask), deafPace)
        if (kind === 'greedy') pour(socket)
      })
    })
  }

  return {
    async join(kind, count) {
      const all: Held[] = []
      while (all.length < count) {
        const next = Math.min(atOnce, count - all.length)
        all.push(...(await Promise.all(Array.from({ length: next }, () => hold(kind)))))
      }
      return all
    },
    open: () => sockets.size,
    leave() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Asks as long as anything goes into the connection. */
function pour(socket: Socket): void {
  const many = ask.repeat(200)
  const more = (): void => {
    while (socket.writable && socket.write(many)) {}
  }
  socket.on('drain', more)
  more()
}
