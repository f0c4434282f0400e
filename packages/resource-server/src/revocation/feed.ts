import { messageOf, UnavailableError } from '../errors.js'
import { fetchText } from '../http.js'
import type { Jwks } from '../jwks.js'
import { abortable, type Platform, sleep } from '../platform.js'
import type { ServiceToken } from '../service-token.js'
import type { Revocations } from './entries.js'
import { readEvents } from './event-stream.js'
import { createKnowledge, isPosition, readEntries } from './knowledge.js'
import { isCurrent, readSigned } from './signed-document.js'

/** Follows what the server revokes: a snapshot first, then the stream, again and again. */
export interface Feed {
  /** Milliseconds since what is known was the truth; infinite before the snapshot and the first heartbeat. */
  readonly age: () => number
  /** Resolves with the first heartbeat behind the snapshot. */
  readonly ready: Promise<void>
  readonly health: () => FeedHealth
  readonly close: () => Promise<void>
}

export interface FeedHealth {
  readonly connected: boolean
  /** Up to where the list is known. */
  readonly position: string | undefined
  /** Why it is not connected, or was not the last time. */
  readonly problem: string | undefined
}

export interface FeedOptions {
  readonly platform: Platform
  readonly endpoints: { readonly stream: string; readonly snapshot: string }
  readonly serviceToken: ServiceToken
  readonly jwks: Jwks
  readonly revocations: Revocations
  readonly issuer: string
  readonly audience: string
  /** Seconds. */
  readonly skew: number
  /** Milliseconds. */
  readonly tolerance: number
  readonly warn: (message: string) => void
}

/** 50,000 entries, base64url-encoded and signed. */
const snapshotLimit = 32 * 1024 * 1024

/** Milliseconds: the first pause before another attempt, doubled with each, up to the second. */
const backoff = { first: 100, most: 5_000 }

/** Why a connection ended that had begun well. */
type End = { readonly retry: number } | 'again' | 'lost'

export function createFeed(options: FeedOptions): Feed {
  const { platform, endpoints, serviceToken, jwks, revocations, issuer, audience, skew, tolerance, warn } = options
  const knowledge = createKnowledge(platform)
  const heartbeat = Math.round(Math.max(250, Math.min(2_000, tolerance / 4)))
  /** Of silence: then the connection is dead, whatever TCP says. A new one needs some time before it speaks. */
  const patience = { connecting: Math.max(3 * heartbeat, 2_000), connected: 3 * heartbeat }
  const closing = new AbortController()
  let position: bigint | undefined
  let connected = false
  let problem: string | undefined
  let failures = 0
  let becomeReady = (): void => undefined
  const ready = new Promise<void>((resolve) => {
    becomeReady = resolve
  })

  async function takeSnapshot(): Promise<void> {
    const pages: unknown[] = []
    let after = 0n
    for (let more = true; more; ) {
      const { text } = await fetchText(platform, `${endpoints.snapshot}?after=${after}`, {
        accept: 'application/jwt',
        headers: { authorization: `Bearer ${await serviceToken.get(closing.signal)}` },
        limit: snapshotLimit,
        signal: closing.signal,
      })
      const kind = { typ: 'revocation-snapshot+jwt', limit: snapshotLimit }
      const claims = await readSigned(text, kind, jwks, revocations)
      const { iss, aud, position: reached, revocations: entries, exp } = claims
      const isOurs = iss === issuer && aud === audience
      if (!isOurs || exp === undefined || !isCurrent(claims, platform.now() / 1000, skew) || !isPosition(reached)) {
        throw new UnavailableError('A snapshot is not for this API, or is over')
      }
      pages.push(entries)
      more = claims['more'] === true
      if (more && BigInt(reached) <= after) throw new UnavailableError('A snapshot does not advance')
      after = BigInt(reached)
    }
    revocations.beginAnew()
    for (const page of pages) apply(page)
    position = after
  }

  function apply(entries: unknown): void {
    const read = revocations.apply(entries)
    // Others have taken its place, and tokens of theirs may come at once.
    if (read.some(({ kind }) => kind === 'key')) jwks.expire()
  }

  /** One connection, from its beginning to its end. */
  async function listen(from: bigint): Promise<End> {
    const controller = new AbortController()
    const abort = (): void => controller.abort(new Error('nothing was heard for too long'))
    closing.signal.addEventListener('abort', abort)
    if (closing.signal.aborted) abort()
    let cancel = platform.setTimer(abort, patience.connecting)
    const alive = (): void => {
      cancel()
      cancel = platform.setTimer(abort, patience.connected)
    }
    try {
      const init: RequestInit = {
        headers: {
          accept: 'text/event-stream',
          authorization: `Bearer ${await serviceToken.get(controller.signal)}`,
          'last-event-id': String(from),
        },
        // Refused below, by its status: not every runtime knows a redirect that is an error.
        redirect: 'manual',
        signal: controller.signal,
      }
      const askedAt = platform.monotonic()
      const response = await abortable(
        platform.fetch(`${endpoints.stream}?heartbeat=${heartbeat}`, init),
        controller.signal,
      )
      const type = response.headers.get('content-type') ?? ''
      if (response.status !== 200 || !response.body || !type.startsWith('text/event-stream')) {
        response.body?.cancel().catch(() => undefined)
        throw new UnavailableError(`${endpoints.stream} answered ${response.status}`, { status: response.status })
      }
      knowledge.connected(askedAt)
      return await follow(response.body, alive, controller.signal)
    } finally {
      connected = false
      cancel()
      abort()
      closing.signal.removeEventListener('abort', abort)
    }
  }

  async function follow(body: ReadableStream<Uint8Array>, alive: () => void, signal: AbortSignal): Promise<End> {
    for await (const event of readEvents(body, alive, signal)) {
      switch (event.type) {
        case 'revocations':
          apply(readEntries(event.data))
          if (isPosition(event.id)) reach(BigInt(event.id))
          break
        case 'heartbeat': {
          const { position: reached, late, underWay } = knowledge.hear(event.data)
          reach(reached)
          revocations.sweep(platform.now() / 1000)
          connected = true
          becomeReady()
          // It took too long to begin, and what comes over it may be as old. Another one may be faster; a slow network is
          // asked again with longer and longer pauses.
          if (underWay > tolerance / 4) {
            problem = `the server took ${Math.round(underWay)} ms to answer`
            return 'again'
          }
          problem = undefined
          failures = 0
          // The queue is longer than we may be behind, or the server's clock was set back: a new connection tells.
          if (late > tolerance) return 'again'
          break
        }
        case 'moved':
          return { retry: event.retry ?? 0 }
        case 'reset':
          // The server's list begins before what we know: it was restored from a backup.
          position = undefined
          return 'again'
      }
    }
    return 'lost'
  }

  function reach(next: bigint): void {
    if (position === undefined || next > position) position = next
  }

  /** @returns milliseconds until the next attempt */
  async function attempt(): Promise<number> {
    try {
      if (position === undefined) await takeSnapshot()
      const end = await listen(position ?? 0n)
      if (typeof end === 'object') return end.retry
      if (end === 'lost') problem = 'the connection was closed'
    } catch (error) {
      if (closing.signal.aborted) return 0
      // Of a token that has ended, for one: the next attempt takes a new one, and at once if the last was not refused too.
      if (error instanceof UnavailableError && error.status === 401) serviceToken.drop()
      const before = problem
      problem = messageOf(error)
      if (problem !== before) warn(`The revocation feed is interrupted: ${problem}`)
    }
    // At random up to the bound, so that those who lost one server do not fall upon the next together.
    return platform.random() * Math.min(backoff.most, backoff.first * 2 ** failures++)
  }

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      const pause = await attempt()
      if (pause > 0) await sleep(platform, pause, closing.signal)
    }
  }

  const running = run()
  return {
    age: knowledge.age,
    ready,
    health: () => ({ connected, position: position === undefined ? undefined : String(position), problem }),
    async close() {
      closing.abort()
      await running
    },
  }
}
