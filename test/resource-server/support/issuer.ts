import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGzip, deflateSync } from 'node:zlib'
import type { Test } from 'tap'
import { type ProtectOptions, protect } from '../../../packages/resource-server/src/index.js'
import { TestPlatform } from './platform.js'
import { type Json, makeKey, signWith, type TestKey } from './signing.js'

export const audience = 'https://orders.example'
export const credentials = { clientId: 'orders', clientSecret: 'a secret: of the API' }

interface Stream {
  readonly write: (text: string) => void
  readonly end: () => void
  readonly lastEventId: string | undefined
  readonly heartbeat: number
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

/**
 * An authorization server of the test's own: metadata, keys, feed, snapshot, status lists and introspection over real HTTP,
 * with real signatures. What it answers can be changed at any moment, also to what no server should.
 */
export class TestIssuer {
  readonly issuer: string
  readonly platform = new TestPlatform()
  keys: TestKey[] = [makeKey()]
  /** Further or other members of the metadata. */
  metadata: Record<string, unknown> = {}
  jwksHeaders: Record<string, string> = { 'cache-control': 'public, max-age=300' }
  /** In place of what a path would answer. */
  readonly handlers = new Map<string, Handler>()
  readonly asked: string[] = []
  /** What is revoked, in commit order: the position is the index and one. */
  readonly log: Json[] = []
  /** Entries of one page of the snapshot. */
  pageSize = 50_000
  streams: Stream[] = []
  statuses = new Uint8Array(128)
  /** Answers of introspection, by token. */
  readonly opaque = new Map<string, Json>()
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(t: Test, port = 0): Promise<TestIssuer> {
    const server = createServer((request, response) => {
      let body = ''
      request.on('data', (piece) => (body += piece))
      request.on('end', () => issuer.#answer(request, response, body))
    })
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    const issuer = new TestIssuer(server)
    t.teardown(() => issuer.stop())
    return issuer
  }

  /** Everything that is connected is cut off. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async startAgain(): Promise<void> {
    const port = Number(new URL(this.issuer).port)
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
  }

  get key(): TestKey {
    return this.keys[0]!
  }

  claims(more: Json = {}): Json {
    const iat = this.platform.seconds
    return {
      iss: this.issuer,
      aud: audience,
      sub: 'user-1',
      client_id: 'app-1',
      jti: randomUUID(),
      grant_id: 'grant-1',
      sid: 'session-1',
      scope: 'orders:read orders:write',
      iat,
      exp: iat + 600,
      ...more,
    }
  }

  header(more: Json = {}): Json {
    return { alg: this.key.alg, typ: 'at+jwt', kid: this.key.kid, ...more }
  }

  /** An access token: good, but for what is said. */
  token(claims: Json = {}, header: Json = {}, key: TestKey = this.key): string {
    return signWith(key, this.header(header), this.claims(claims))
  }

  /** Lists it, and tells who listens. */
  revoke(...entries: readonly Json[]): void {
    this.log.push(...entries)
    for (const stream of this.streams) {
      stream.write(`id: ${this.log.length}\nevent: revocations\ndata: ${JSON.stringify(entries)}\n\n`)
    }
  }

  heartbeat({ age = 0, time = this.platform.now(), position = String(this.log.length) } = {}): void {
    const data = JSON.stringify({ position, age, time })
    for (const stream of this.streams) stream.write(`event: heartbeat\ndata: ${data}\n\n`)
  }

  send(text: string): void {
    for (const stream of this.streams) stream.write(text)
  }

  endStreams(): void {
    for (const stream of this.streams) stream.end()
  }

  statusUri = (): string => `${this.issuer}/status-lists/1`

  statusList(more: Json = {}, key: TestKey = this.key, typ = 'statuslist+jwt'): string {
    const iat = this.platform.seconds
    const status_list = { bits: 1, lst: deflateSync(this.statuses).toString('base64url') }
    const claims = { iss: this.issuer, sub: this.statusUri(), iat, exp: iat + 3600, ttl: 60, status_list, ...more }
    return signWith(key, { alg: key.alg, typ, kid: key.kid }, claims)
  }

  snapshot(after: number, more: Json = {}, key: TestKey = this.key, typ = 'revocation-snapshot+jwt'): string {
    const iat = this.platform.seconds
    const end = Math.min(after + this.pageSize, this.log.length)
    const page = { position: String(end), more: end < this.log.length, revocations: this.log.slice(after, end) }
    const claims = { iss: this.issuer, aud: audience, iat, exp: iat + 60, ...page, ...more }
    return signWith(key, { alg: key.alg, typ, kid: key.kid }, claims)
  }

  /** The verifier that is tested, of this server, at this server's time. */
  async protect(t: Test, options: Partial<ProtectOptions> = {}) {
    const warnings: string[] = []
    const api = await protect({
      issuer: this.issuer,
      audience,
      platform: this.platform,
      warn: (message) => warnings.push(message),
      ...options,
    })
    t.teardown(() => api.close())
    const check = (token: string) => api.check({ headers: { authorization: `Bearer ${token}` } })
    /** `ok`, or why not. */
    const outcome = async (token: string): Promise<string> => {
      const decision = await check(token)
      return decision.ok ? 'ok' : decision.reason
    }
    return { api, check, outcome, warnings }
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const url = new URL(request.url ?? '/', this.issuer)
    this.asked.push(url.pathname)
    const handler = this.handlers.get(url.pathname) ?? this.#handlerOf(url)
    handler(request, response, body)
  }

  #handlerOf(url: URL): Handler {
    const json = (value: unknown, headers: Record<string, string> = {}): Handler => {
      return (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
      }
    }
    switch (url.pathname) {
      case '/.well-known/oauth-authorization-server':
        return json({
          issuer: this.issuer,
          jwks_uri: `${this.issuer}/jwks`,
          token_endpoint: `${this.issuer}/token`,
          introspection_endpoint: `${this.issuer}/introspect`,
          revocation_feed_endpoint: `${this.issuer}/revocations`,
          revocation_snapshot_endpoint: `${this.issuer}/revocations/snapshot`,
          ...this.metadata,
        })
      case '/jwks':
        return json({ keys: this.keys.map(({ jwk }) => jwk) }, this.jwksHeaders)
      case '/token':
        return (request, response, body) => {
          const given = Buffer.from(request.headers.authorization?.split(' ')[1] ?? '', 'base64').toString()
          // RFC 6749 §2.3.1: form-encoded.
          const right = given === 'orders:a+secret%3A+of+the+API'
          if (!right || body !== 'grant_type=client_credentials&scope=revocations') {
            response.writeHead(401).end()
            return
          }
          const answer = { access_token: `feed-${this.asked.length}`, token_type: 'Bearer', expires_in: 600 }
          response.writeHead(200).end(JSON.stringify(answer))
        }
      case '/introspect':
        return (_, response, body) => {
          const token = new URLSearchParams(body).get('token') ?? ''
          response.writeHead(200).end(JSON.stringify(this.opaque.get(token) ?? { active: false }))
        }
      case '/revocations/snapshot':
        return (_, response) => {
          const after = Number(url.searchParams.get('after'))
          response.writeHead(200, { 'content-type': 'application/jwt' }).end(this.snapshot(after))
        }
      case '/revocations':
        return (request, response) => this.#stream(request, response, url)
      case '/status-lists/1':
        return (_, response) => {
          response.writeHead(200, { 'content-type': 'application/statuslist+jwt' }).end(this.statusList())
        }
      default:
        return (_, response) => response.writeHead(404).end()
    }
  }

  #stream(request: IncomingMessage, response: ServerResponse, url: URL): void {
    if (!request.headers.authorization?.startsWith('Bearer feed-')) {
      response.writeHead(401).end()
      return
    }
    const zipped = (request.headers['accept-encoding'] ?? '').includes('gzip')
    response.writeHead(200, { 'content-type': 'text/event-stream', ...(zipped ? { 'content-encoding': 'gzip' } : {}) })
    const zip = zipped ? createGzip() : undefined
    zip?.pipe(response)
    const lastEventId = request.headers['last-event-id']
    const stream: Stream = {
      write(text) {
        if (!zip) response.write(text)
        else {
          zip.write(text)
          zip.flush()
        }
      },
      end: () => (zip ?? response).end(),
      lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
      heartbeat: Number(url.searchParams.get('heartbeat')),
    }
    this.streams.push(stream)
    response.on('close', () => {
      this.streams = this.streams.filter((each) => each !== stream)
    })
    const backlog = this.log.slice(Number(lastEventId ?? this.log.length))
    if (backlog.length > 0) {
      stream.write(`id: ${this.log.length}\nevent: revocations\ndata: ${JSON.stringify(backlog)}\n\n`)
    }
    const data = { position: String(this.log.length), age: 0, time: this.platform.now() }
    stream.write(`event: heartbeat\ndata: ${JSON.stringify(data)}\n\n`)
  }
}
