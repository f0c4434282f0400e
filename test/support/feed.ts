import { once } from 'node:events'
import { type Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { createGunzip } from 'node:zlib'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { listenOnLoopback } from './http.js'
import type { TestClient, TestServer } from './server.js'
import { postAs } from './tokens.js'

export interface FeedEvent {
  readonly event: string
  readonly id?: string | undefined
  readonly retry?: string | undefined
  readonly data: unknown
}

/** An entry as it goes over the wire. */
export interface Entry {
  readonly kind: string
  readonly id: string
  readonly nbf?: number
  readonly exp?: number
}

export interface FeedListener {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Everything that came. */
  readonly events: readonly FeedEvent[]
  /** All entries that came, in their order. */
  readonly entries: () => readonly Entry[]
  /** The first event that came or comes of which this holds. @throws when the stream ends without one */
  readonly until: (holds: (event: FeedEvent) => boolean) => Promise<FeedEvent>
  /** What `until` finds that has an entry with this id. */
  readonly untilEntry: (id: string) => Promise<Entry>
  readonly untilHeartbeat: () => Promise<{ readonly position: string; readonly age: number; readonly time: number }>
  /** Resolves when the answer is over: true where it ended as it should, false where it was cut. */
  readonly ended: Promise<boolean>
  readonly close: () => void
  /** Stops reading: bytes pile up at the server. */
  readonly pause: () => void
  readonly resume: () => void
  readonly body: () => string
}

/** The access token by which the server of an API follows its revocations. */
export async function feedToken(server: TestServer, api: TestClient): Promise<string> {
  const reply = await postAs(server, api, '/token', { grant_type: 'client_credentials', scope: 'revocations' })
  if (reply.statusCode !== 200) throw new Error(`no token for the feed: ${reply.body}`)
  return reply.json<{ access_token: string }>().access_token
}

const ports = new WeakMap<TestServer, Promise<number>>()

/** Where the server listens: it begins to with the first who asks. */
export function portOf(server: TestServer): Promise<number> {
  const port = ports.get(server) ?? listenOnLoopback(server.app)
  ports.set(server, port)
  return port
}

export interface ListenOptions {
  /** Undefined: a new one of the API. */
  readonly token?: string
  readonly after?: bigint | string
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of connections; default: one of its own. */
  readonly agent?: Agent
}

/** `GET /revocations`, as a verifier does it. */
export async function listenToFeed(
  t: Test,
  server: TestServer,
  api: TestClient,
  { token, after, query = '?heartbeat=250', headers = {}, agent }: ListenOptions = {},
): Promise<FeedListener> {
  const authorization = `Bearer ${token ?? (await feedToken(server, api))}`
  const resumed = after === undefined ? {} : { 'last-event-id': String(after) }
  const asked = request({
    host: '127.0.0.1',
    port: await portOf(server),
    path: `/revocations${query}`,
    headers: { authorization, ...resumed, ...headers },
    agent: agent ?? false,
  }).end()
  const [reply] = (await once(asked, 'response')) as [IncomingMessage]
  t.teardown(() => asked.destroy())

  const events: FeedEvent[] = []
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of [...waiting]) look()
  }
  let over = false
  let text = ''
  let all = ''
  const body = reply.headers['content-encoding'] === 'gzip' ? reply.pipe(createGunzip()) : reply
  body.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    all += chunk.toString()
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      events.push(parseEvent(text.slice(0, end)))
      text = text.slice(end + 2)
    }
    wake()
  })
  const ended = new Promise<boolean>((resolve) => {
    const finish = (well: boolean) => (): void => {
      over = true
      resolve(well)
      wake()
    }
    body.on('end', finish(true))
    for (const stream of [reply, body]) stream.on('error', finish(false))
    reply.on('aborted', finish(false))
  })
  const until = (holds: (event: FeedEvent) => boolean): Promise<FeedEvent> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = events.find(holds)
        if (!found && !over) return
        waiting.delete(look)
        if (found) resolve(found)
        else reject(new Error(`the stream ended before: ${JSON.stringify(events)}`))
      }
      waiting.add(look)
      look()
    })
  const entriesOf = ({ event, data }: FeedEvent): readonly Entry[] => (event === 'revocations' ? (data as Entry[]) : [])
  return {
    status: reply.statusCode ?? 0,
    headers: reply.headers,
    events,
    entries: () => events.flatMap(entriesOf),
    until,
    async untilEntry(id) {
      const found = await until((event) => entriesOf(event).some((entry) => entry.id === id))
      return entriesOf(found).find((entry) => entry.id === id)!
    },
    async untilHeartbeat() {
      const seen = events.length
      const found = await until((event) => event.event === 'heartbeat' && events.indexOf(event) >= seen)
      return found.data as { position: string; age: number; time: number }
    },
    ended,
    close: () => asked.destroy(),
    pause: () => void reply.pause(),
    resume: () => void reply.resume(),
    body: () => all,
  }
}

function parseEvent(text: string): FeedEvent {
  const fields = Object.fromEntries(
    text.split('\n').map((line) => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)]
    }),
  )
  const { event = 'message', data = 'null', id, retry } = fields
  return { event, id, retry, data: JSON.parse(data) }
}

export interface Snapshot {
  readonly iss: string
  readonly aud: string
  readonly iat: number
  readonly exp: number
  readonly position: string
  readonly more: boolean
  readonly revocations: readonly Entry[]
}

/** `GET /revocations/snapshot`, verified by the published keys as a verifier does it. */
export async function snapshotOf(server: TestServer, api: TestClient, after?: string): Promise<Snapshot> {
  const reply = await server.get(`/revocations/snapshot${after === undefined ? '' : `?after=${after}`}`, {
    authorization: `Bearer ${await feedToken(server, api)}`,
  })
  if (reply.statusCode !== 200) throw new Error(`no snapshot: ${reply.statusCode} ${reply.body}`)
  const keys = createLocalJWKSet((await server.get('/jwks')).json())
  const { payload } = await jwtVerify(reply.body, keys, {
    typ: 'revocation-snapshot+jwt',
    currentDate: server.clock.now(),
  })
  return payload as unknown as Snapshot
}
