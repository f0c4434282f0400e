import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import type { Socket } from 'node:net'
import { encodeForm } from '../../support/server.js'

/** What became of a request, as its sender sees it. */
export type Outcome =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }
  /** No connection was made, so nothing was sent. */
  | { readonly kind: 'unreachable' }
  /**
   * It was sent, wholly or in part, and no whole answer came: whether it was done is not known. `idle`: milliseconds that its
   * connection had carried nothing; infinite for a new one, which may never have been accepted.
   */
  | { readonly kind: 'lost'; readonly reason: string; readonly idle: number }
  /** Nothing came within the bound. */
  | { readonly kind: 'hung' }

export interface Sent {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly form?: Readonly<Record<string, string>>
  /** In place of a form. */
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** The longest that a server may leave a client without an answer, whatever happens behind it. Milliseconds. */
export const answerBound = 20_000

/** An HTTP client with connections of its own, kept alive as those of an application are. */
export interface Wire {
  readonly send: (port: number, sent: Sent) => Promise<Outcome>
  readonly close: () => void
}

/** @param host what the server is known by: all processes share it, as behind a load balancer */
export function openWire(host: string, { keepAlive = true }: { readonly keepAlive?: boolean } = {}): Wire {
  /** When something last came over a connection. */
  const used = new WeakMap<Socket, number>()
  const agent = new Agent({ keepAlive, maxSockets: 256 })
  return {
    send: (port, { method, path, form, json, headers }) =>
      new Promise((resolve) => {
        const body = form === undefined ? (json === undefined ? undefined : JSON.stringify(json)) : encodeForm(form)
        const sending = request({
          host: '127.0.0.1',
          port,
          path,
          method,
          agent,
          headers: {
            host,
            ...(body === undefined
              ? {}
              : {
                  'content-type': form === undefined ? 'application/json' : 'application/x-www-form-urlencoded',
                  'content-length': String(Buffer.byteLength(body)),
                }),
            ...headers,
          },
        })
        let idle = Number.POSITIVE_INFINITY
        sending.on('socket', (socket) => {
          idle = performance.now() - (used.get(socket) ?? Number.NEGATIVE_INFINITY)
        })
        const bound = setTimeout(() => {
          resolve({ kind: 'hung' })
          sending.destroy()
        }, answerBound)
        const end = (outcome: Outcome): void => {
          clearTimeout(bound)
          if (sending.socket) used.set(sending.socket, performance.now())
          resolve(outcome)
        }
        sending.on('response', (reply) => {
          let text = ''
          reply.setEncoding('utf8')
          reply.on('data', (chunk) => {
            text += chunk
          })
          reply.on('error', (error) => end({ kind: 'lost', reason: codeOf(error), idle: 0 }))
          reply.on('end', () =>
            end(
              reply.complete
                ? { kind: 'answer', status: reply.statusCode ?? 0, headers: reply.headers, body: text }
                : { kind: 'lost', reason: 'cut', idle: 0 },
            ),
          )
        })
        sending.on('error', (error) =>
          end(
            codeOf(error) === 'ECONNREFUSED' ? { kind: 'unreachable' } : { kind: 'lost', reason: codeOf(error), idle },
          ),
        )
        sending.end(body)
      }),
    close: () => agent.destroy(),
  }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message
}
