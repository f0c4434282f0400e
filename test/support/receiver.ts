import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => unknown): unknown
}

export interface Received {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Answer = (response: ServerResponse, received: Received) => void

/** Somebody who takes what the server sends: RFC 8935. */
export interface Receiver {
  readonly url: string
  readonly received: readonly Received[]
  /** From now on. It begins with 202. */
  answer(how: Answer | number): void
  /** Resolves when so many have come, at once where they have. */
  arrived(count: number): Promise<void>
  /** Breaks every connection off. */
  breakOff(): void
}

/** Takes a call and does not say anything. */
export const hang: Answer = () => undefined

/** Ends the connection without a word, as a process that is killed does. */
export const reset: Answer = (response) => void response.destroy()

/** Bytes as they are, and nothing more: what follows them is up to whoever asked. */
export const say =
  (bytes: string): Answer =>
  ({ socket }) =>
    void socket?.write(bytes)

/** A protocol that nobody asked for. RFC 9110 §15.2.2. */
export const switchProtocols = say('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')

/** Bytes without an end, as fast as they are taken. */
export const flood =
  (beginning: string, piece: string): Answer =>
  ({ socket }) => {
    const more = (): void => {
      // In portions: who takes them may be in this process.
      for (let count = 0; count < 20; count++) if (!socket?.writable || !socket.write(piece)) return
      setImmediate(more)
    }
    socket?.on('drain', more).write(beginning)
    more()
  }

/** RFC 8935 §2.3. */
export const refuse =
  (err: string): Answer =>
  (response) => {
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ err, description: 'not now' }))
  }

export const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) => {
    response.writeHead(code, headers).end()
  }

export async function openReceiver(t: Test, path = '/events'): Promise<Receiver> {
  const received: Received[] = []
  const waiting: { readonly count: number; readonly resolve: () => void }[] = []
  let how: Answer = status(202)
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const { method, url, headers } = request
      const one = { method, path: url, headers, body }
      received.push(one)
      how(response, one)
      for (const { count, resolve } of waiting) if (received.length >= count) resolve()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    received,
    answer(next) {
      how = typeof next === 'number' ? status(next) : next
    },
    arrived: (count) =>
      received.length >= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve })),
    breakOff: () => server.closeAllConnections(),
  }
}
