import { setTimeout as delay } from 'node:timers/promises'
import { drawApiKey, drawApiKeyId } from '../../../src/api-keys/format.js'
import { hashApiKey } from '../../../src/api-keys/secret.js'
import type { ApiKeyOwner } from '../../../src/store/index.js'
import { apiKeyType, exchangeGrant } from '../../support/exchange.js'
import type { BackOffice } from './back-office.js'
import type { Chance } from './chance.js'
import type { Installation } from './installation.js'
import { insist } from './promise-load.js'
import type { Verifiers } from './verifiers.js'
import { openWire, type Sent, type Wire } from './wire.js'

export type Way = 'package' | 'gateway' | 'introspection' | 'exchange'

/** Where a key is shown: to one of the APIs, or to one of the processes. */
export interface Place {
  readonly way: Way
  readonly at: number
}

/**
 * Milliseconds from an end, once it was answered, until a request is not accepted any more. By introspection and exchange the
 * server looks the key up each time; an API, and the server for a gateway, remember it, and have one second to hear of the end.
 */
export const bounds: Readonly<Record<Way, number>> = { package: 1_000, gateway: 1_000, introspection: 0, exchange: 0 }

/** The longest of them. */
export const bound = Math.max(...Object.values(bounds))

/** Milliseconds by which what this process takes for the time of an end by the clock can be wrong: both are rounded. */
const rounding = 5

/** A key as its holder knows it. Times are monotonic milliseconds. */
export interface HeldKey {
  readonly id: string
  readonly text: string
  /** Up to here it is good: its overlap ends, or somebody is about to end it. */
  goodUntil: number
  /** Behind this plus the bound of the way it is not. */
  endedAt: number
  /** Where its holder shows it mostly, so that it is remembered there. */
  home?: Place
  /** How often it was accepted while it lived, and refused once its end was to be known. */
  accepted: number
  refused: number
}

export interface KeyRequest {
  readonly way: Way
  readonly sent: number
  readonly answered: number
  readonly status: number
  /** `refused`: as a key that is none; `unavailable`: 503 with Retry-After; `unexpected`: whatever else. */
  readonly verdict: 'accepted' | 'refused' | 'unavailable' | 'unexpected'
}

/** Many keys in one statement: to make each by its own would take as long as the test. */
export async function makeKeys(
  { ctx, sql }: BackOffice,
  { owner, resource, count }: { readonly owner: ApiKeyOwner; readonly resource: string; readonly count: number },
): Promise<readonly HeldKey[]> {
  const drawn = Array.from({ length: count }, () => {
    const id = drawApiKeyId(ctx.random)
    const text = drawApiKey(ctx.random, { prefix: 'sk', environment: 'live', id })
    return { id, text, ...hashApiKey(ctx, text) }
  })
  const now = ctx.clock.now()
  await sql(
    `INSERT INTO api_key (id, hash, key_id, prefix, environment, kind, owner_kind, owner, name, scope, resources, networks,
                          origins, created_at, updated_at, expires_at, position)
     SELECT i.id, i.hash, $3, 'sk', 'live', 'secret', $4, $5, 'Load', ARRAY['read'], ARRAY[$6], '{}', '{}', $7, $7, $8,
            nextval('revocation_position')
       FROM unnest($1::text[], $2::bytea[]) AS i (id, hash)`,
    [
      drawn.map(({ id }) => id),
      drawn.map(({ hash }) => hash),
      ctx.secrets.current.id,
      ...[owner.kind, owner.id, resource, now, new Date(now.getTime() + 86_400_000)],
    ],
  )
  return drawn.map(({ id, text }) => newKey(id, text))
}

export function newKey(id: string, text: string): HeldKey {
  const never = Number.POSITIVE_INFINITY
  return { id, text, goodUntil: never, endedAt: never, accepted: 0, refused: 0 }
}

/** When the clock of all processes of this machine says this time, as monotonic milliseconds of this one; never before. */
export function monotonic(time: Date): number {
  return time.getTime() - Date.now() + performance.now() + rounding
}

/** The same the other way round, never later: with this the key is good. What says its end says it in whole seconds. */
export function goodUntil(end: Date): number {
  return monotonic(new Date(Math.floor(end.getTime() / 1_000) * 1_000)) - 2 * rounding
}

/** What came of requests with keys that live, or have ended. */
export interface KeyTotals {
  requests: number
  goodAccepted: number
  endedRefused: number
  unavailable: number
  /** The same by way. */
  readonly putOff: Record<Way, number>
  /** Milliseconds after an end at which a request was sent that was still accepted: by who remembers keys. */
  readonly longest: Record<'package' | 'gateway', number>
  readonly ways: Record<Way, number>
  readonly breaches: string[]
}

export function newTotals(): KeyTotals {
  return {
    ...{ requests: 0, goodAccepted: 0, endedRefused: 0, unavailable: 0, breaches: [] },
    longest: { package: 0, gateway: 0 },
    ways: { package: 0, gateway: 0, introspection: 0, exchange: 0 },
    putOff: { package: 0, gateway: 0, introspection: 0, exchange: 0 },
  }
}

/** How the load kept the pace that it was told. */
export interface Pace {
  /** Requests that it has sent. */
  readonly sent: number
  /** Milliseconds since the first. */
  readonly took: number
  /** Milliseconds that one was sent after it was due, at most. */
  readonly latest: number
}

export interface KeyLoad {
  readonly totals: KeyTotals
  /** Which keys are shown from now on: of each group as many. */
  readonly use: (...groups: readonly (readonly HeldKey[])[]) => void
  /** Shows a key at its home, at this monotonic time or as soon as it is its turn. */
  readonly showAt: (key: HeldKey, time: number) => void
  /** Asks about each of them once, at a process, from the last to the first. @returns how many were refused */
  readonly askAll: (keys: readonly HeldKey[]) => Promise<number>
  /** What each process says about a key. */
  readonly askEverywhere: (key: HeldKey) => Promise<readonly KeyRequest['verdict'][]>
  /** What there was from the first request on. */
  readonly pace: () => Pace
  /** @throws what a sender could not get over */
  readonly stop: () => Promise<void>
}

interface KeyScene {
  readonly installation: Installation
  readonly verifiers: Verifiers
  /** What the API identifies itself by when it asks about a key. */
  readonly basic: string
  readonly gateway: { readonly name: string; readonly basic: string }
  readonly chance: Chance
}

/** Requests that may be on the way at once. */
const senders = 16

/**
 * Shows keys to APIs and at a gateway, exchanges them and asks about them, at any process, until it is stopped.
 *
 * @param rate requests in a second
 */
export function startKeyLoad(scene: KeyScene, rate: number): KeyLoad {
  const { chance, installation } = scene
  const totals = newTotals()
  const wire = openWire(new URL(installation.issuer).host)
  const isDue = startPace(rate)
  let groups: readonly (readonly HeldKey[])[] = []
  const turns: HeldKey[] = []
  let stopped = false

  const send = async (luck: Chance): Promise<void> => {
    while (!stopped) {
      await isDue.next()
      const turn = turns.shift()
      const key = turn ?? luck.oneOf(luck.oneOf(groups))
      key.home ??= drawPlace(scene, luck)
      const place = turn || luck.happens(0.7) ? key.home : drawPlace(scene, luck)
      const request = await show(scene, wire, place, key.text)
      judge(key, request, totals)
      if (turn && request.verdict === 'unavailable') turns.push(turn)
    }
  }
  const introspect = (at: number, { text }: HeldKey): Promise<KeyRequest> =>
    insist(async () => {
      const request = await ask(scene, wire, { way: 'introspection', at }, text)
      if (request.verdict === 'unavailable') throw new Error('it was put off')
      return request
    })
  let senderRuns: Promise<unknown> | undefined
  return {
    totals,
    pace: isDue.kept,
    use(...those) {
      groups = those
      senderRuns ??= Promise.all(Array.from({ length: senders }, (_, n) => send(chance.fork(`sender ${n}`))))
    },
    showAt(key, time) {
      setTimeout(() => turns.push(key), time - performance.now())
    },
    async askAll(those) {
      const waiting = [...those]
      let refused = 0
      const one = async (): Promise<void> => {
        for (let key = waiting.pop(); key; key = waiting.pop()) {
          const request = await introspect(waiting.length % installation.servers.length, key)
          judge(key, request, totals)
          if (request.verdict === 'refused') refused++
        }
      }
      await Promise.all(Array.from({ length: 8 }, one))
      return refused
    },
    askEverywhere: (key) => Promise.all(installation.servers.map(async (_, at) => (await introspect(at, key)).verdict)),
    async stop() {
      stopped = true
      await senderRuns
      wire.close()
    },
  }
}

/** Milliseconds that are caught up with; what is later than that is left out, so that nothing comes in a flood. */
const longestCatchUp = 500

function startPace(rate: number): { readonly next: () => Promise<void>; readonly kept: () => Pace } {
  const since = performance.now()
  let due = since
  let [sent, latest] = [0, 0]
  return {
    async next() {
      due = Math.max(due + 1_000 / rate, performance.now() - longestCatchUp)
      const own = due
      const wait = own - performance.now()
      if (wait > 0) await delay(wait)
      latest = Math.max(latest, performance.now() - own)
      sent++
    },
    kept: () => ({ sent, took: performance.now() - since, latest }),
  }
}

function drawPlace({ installation, verifiers }: KeyScene, luck: Chance): Place {
  const drawn = luck.number()
  if (drawn < 0.4) return { way: 'package', at: luck.between(0, verifiers.count - 1) }
  const at = luck.between(0, installation.servers.length - 1)
  return { way: drawn < 0.7 ? 'gateway' : drawn < 0.85 ? 'introspection' : 'exchange', at }
}

async function show(scene: KeyScene, wire: Wire, { way, at }: Place, text: string): Promise<KeyRequest> {
  if (way !== 'package') return ask(scene, wire, { way, at }, text)
  const { sent, answered, status, retryAfter } = await scene.verifiers.show(at, text)
  const verdict = verdictOf(status, { accepted: status === 200, refused: status === 401, retryAfter })
  return { way, sent, answered, status, verdict }
}

interface Asked {
  readonly way: Exclude<Way, 'package'>
  readonly at: number
}

async function ask(scene: KeyScene, wire: Wire, { way, at }: Asked, text: string): Promise<KeyRequest> {
  const { port } = scene.installation.servers[at]!
  const sent = performance.now()
  const outcome = await wire.send(port!, requestOf(scene, way, text))
  if (outcome.kind !== 'answer') throw new Error(`${way} was not answered: ${JSON.stringify(outcome)}`)
  const answered = performance.now()
  const { status, headers } = outcome
  const body = way !== 'gateway' && (status === 200 || status === 400) ? JSON.parse(outcome.body) : {}
  const [accepted, refused] = {
    gateway: [status === 200 && headers.authorization?.startsWith('Bearer ey') === true, status === 401],
    introspection: [status === 200 && body.active === true, status === 200 && body.active === false],
    exchange: [
      status === 200 && typeof body.access_token === 'string',
      status === 400 && body.error === 'invalid_request',
    ],
  }[way] as [boolean, boolean]
  return {
    way,
    sent,
    answered,
    status,
    verdict: verdictOf(status, { accepted, refused, retryAfter: headers['retry-after'] }),
  }
}

function requestOf({ basic, gateway }: KeyScene, way: Asked['way'], text: string): Sent {
  switch (way) {
    case 'gateway':
      return {
        method: 'GET',
        path: `/forward-auth/${gateway.name}`,
        headers: { authorization: `Bearer ${text}`, 'x-gateway-authorization': `${gateway.basic}; proto=https` },
      }
    case 'introspection':
      return { method: 'POST', path: '/introspect', form: { token: text }, headers: { authorization: basic } }
    case 'exchange':
      return {
        method: 'POST',
        path: '/token',
        form: { grant_type: exchangeGrant, subject_token_type: apiKeyType, subject_token: text },
      }
  }
}

function verdictOf(
  status: number,
  {
    accepted,
    refused,
    retryAfter,
  }: { readonly accepted: boolean; readonly refused: boolean; readonly retryAfter: string | undefined },
): KeyRequest['verdict'] {
  if (accepted) return 'accepted'
  if (refused) return 'refused'
  return status === 503 && retryAfter !== undefined ? 'unavailable' : 'unexpected'
}

/** Not one request of a key that lives is refused, and none of one that has ended is accepted after the bound of its way. */
export function judge(key: HeldKey, request: KeyRequest, totals: KeyTotals): void {
  const { way, sent, answered, status, verdict } = request
  totals.requests++
  totals.ways[way]++
  const since = sent - key.endedAt
  const about = `${way}: ${status} for ${key.id}`
  switch (verdict) {
    case 'unavailable':
      totals.unavailable++
      totals.putOff[way]++
      return
    case 'unexpected':
      totals.breaches.push(`${about}, which no key is answered`)
      return
    case 'accepted':
      if (since > 0 && (way === 'package' || way === 'gateway')) {
        totals.longest[way] = Math.max(totals.longest[way], since)
      }
      if (since > bounds[way]) totals.breaches.push(`${about}, ${Math.round(since)} ms after its end`)
      if (answered < key.goodUntil) {
        totals.goodAccepted++
        key.accepted++
      }
      return
    case 'refused':
      if (answered < key.goodUntil) totals.breaches.push(`${about}, which lives`)
      if (since > bounds[way]) {
        totals.endedRefused++
        key.refused++
      }
  }
}
