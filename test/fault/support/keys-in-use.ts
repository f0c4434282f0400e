import { drawApiKey, drawApiKeyId } from '../../../src/api-keys/format.js'
import { hashApiKey } from '../../../src/api-keys/secret.js'
import type { ApiKeyOwner } from '../../../src/store/index.js'
import { apiKeyType, exchangeGrant } from '../../support/exchange.js'
import type { BackOffice } from './back-office.js'
import type { Chance } from './chance.js'
import type { Installation } from './installation.js'
import { insist } from './promise-load.js'
import type { Verifiers } from './verifiers.js'
import { openWire, type Wire } from './wire.js'

export type Way = 'package' | 'introspection' | 'exchange'

/**
 * Milliseconds from an end, once it was answered, until a request is not accepted any more. The server looks the key up each
 * time; an API has one second to hear of the end.
 */
export const bounds: Readonly<Record<Way, number>> = { package: 1_000, introspection: 0, exchange: 0 }

/** The longest of them. */
export const bound = bounds.package

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
  return { id, text, goodUntil: Number.POSITIVE_INFINITY, endedAt: Number.POSITIVE_INFINITY }
}

/** When the clock of all processes of this machine says this time, as monotonic milliseconds of this one; never before. */
export function monotonic(time: Date): number {
  return time.getTime() - Date.now() + performance.now() + rounding
}

/** What came of requests with keys that live, or have ended. */
export interface KeyTotals {
  requests: number
  goodAccepted: number
  endedRefused: number
  unavailable: number
  /** Milliseconds after an end at which a request was sent that was still accepted. */
  longest: number
  readonly ways: Record<Way, number>
  readonly breaches: string[]
}

export interface KeyLoad {
  readonly totals: KeyTotals
  /** Which keys are shown from now on. */
  readonly use: (keys: readonly HeldKey[]) => void
  /** Asks about each of them once, at a process, from the last to the first. @returns how many were refused */
  readonly askAll: (keys: readonly HeldKey[]) => Promise<number>
  /** What each process says about a key. */
  readonly askEverywhere: (key: HeldKey) => Promise<readonly KeyRequest['verdict'][]>
  /** @throws what a sender could not get over */
  readonly stop: () => Promise<void>
}

interface KeyScene {
  readonly installation: Installation
  readonly verifiers: Verifiers
  /** What the API identifies itself by when it asks about a key. */
  readonly basic: string
  readonly chance: Chance
}

/** Shows keys to APIs, exchanges them and asks about them, at any process, until it is stopped. */
export function startKeyLoad(scene: KeyScene, senders: number): KeyLoad {
  const { chance, installation } = scene
  const ways = { package: 0, introspection: 0, exchange: 0 }
  const totals: KeyTotals = {
    requests: 0,
    goodAccepted: 0,
    endedRefused: 0,
    unavailable: 0,
    longest: 0,
    ways,
    breaches: [],
  }
  const wire = openWire(new URL(installation.issuer).host)
  let keys: readonly HeldKey[] = []
  let stopped = false

  const send = async (luck: Chance): Promise<void> => {
    while (!stopped) {
      const key = luck.oneOf(keys)
      judge(key, await show(scene, wire, luck, key.text), totals)
    }
  }
  const introspect = (port: number | undefined, { text }: HeldKey): Promise<KeyRequest> =>
    insist(async () => {
      const request = await ask(wire, { way: 'introspection', port: port!, text, basic: scene.basic })
      if (request.verdict === 'unavailable') throw new Error('it was put off')
      return request
    })
  const run = Array.from({ length: senders }, (_, n) => n)
  let senderRuns: Promise<unknown> | undefined
  return {
    totals,
    use(those) {
      keys = those
      senderRuns ??= Promise.all(run.map((n) => send(chance.fork(`sender ${n}`))))
    },
    async askAll(those) {
      const waiting = [...those]
      let refused = 0
      const one = async (): Promise<void> => {
        for (let key = waiting.pop(); key; key = waiting.pop()) {
          const request = await introspect(
            installation.servers[waiting.length % installation.servers.length]?.port,
            key,
          )
          judge(key, request, totals)
          if (request.verdict === 'refused') refused++
        }
      }
      await Promise.all(Array.from({ length: 8 }, one))
      return refused
    },
    askEverywhere: (key) =>
      Promise.all(installation.servers.map(async ({ port }) => (await introspect(port, key)).verdict)),
    async stop() {
      stopped = true
      await senderRuns
      wire.close()
    },
  }
}

async function show(
  { installation, verifiers, basic }: KeyScene,
  wire: Wire,
  luck: Chance,
  text: string,
): Promise<KeyRequest> {
  const drawn = luck.number()
  if (drawn < 0.6) {
    const { sent, answered, status, retryAfter } = await verifiers.show(luck.between(0, verifiers.count - 1), text)
    const verdict = verdictOf(status, { accepted: status === 200, refused: status === 401, retryAfter })
    return { way: 'package', sent, answered, status, verdict }
  }
  const { port } = luck.oneOf(installation.servers)
  return ask(wire, { way: drawn < 0.8 ? 'introspection' : 'exchange', port: port!, text, basic })
}

interface Asked {
  readonly way: 'introspection' | 'exchange'
  readonly port: number
  readonly text: string
  readonly basic: string
}

async function ask(wire: Wire, { way, port, text, basic }: Asked): Promise<KeyRequest> {
  const sent = performance.now()
  const outcome =
    way === 'introspection'
      ? await wire.send(port, {
          method: 'POST',
          path: '/introspect',
          form: { token: text },
          headers: { authorization: basic },
        })
      : await wire.send(port, {
          method: 'POST',
          path: '/token',
          form: { grant_type: exchangeGrant, subject_token_type: apiKeyType, subject_token: text },
        })
  if (outcome.kind !== 'answer') throw new Error(`${way} was not answered: ${JSON.stringify(outcome)}`)
  const { status, headers } = outcome
  const body = status === 200 || status === 400 ? JSON.parse(outcome.body) : {}
  const verdict = verdictOf(status, {
    accepted: status === 200 && (way === 'exchange' ? typeof body.access_token === 'string' : body.active === true),
    refused:
      way === 'exchange' ? status === 400 && body.error === 'invalid_request' : status === 200 && body.active === false,
    retryAfter: headers['retry-after'],
  })
  return { way, sent, answered: performance.now(), status, verdict }
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
      return
    case 'unexpected':
      totals.breaches.push(`${about}, which no key is answered`)
      return
    case 'accepted':
      if (since > 0) totals.longest = Math.max(totals.longest, since)
      if (since > bounds[way]) totals.breaches.push(`${about}, ${Math.round(since)} ms after its end`)
      if (answered < key.goodUntil) totals.goodAccepted++
      return
    case 'refused':
      if (answered < key.goodUntil) totals.breaches.push(`${about}, which lives`)
      if (since > bounds[way]) totals.endedRefused++
  }
}
