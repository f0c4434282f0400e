import { newEvent, record } from '../audit/index.js'
import type { Context, Origin } from '../context.js'
import { InvalidRequestError } from '../oauth/index.js'
import type { ApiKey } from '../store/index.js'
import { type ApiKeyProblem, mayBeUsedFrom, type ShownApiKey, showApiKey, type UsableApiKey } from './check.js'
import { aboutOwner } from './create.js'
import { parseApiKey } from './format.js'
import { countUse } from './use.js'

type Refusal = ApiKeyProblem | 'key_publishable' | 'key_network'

/**
 * The secret key that somebody proves to have who is nobody else: in whole seconds it lives on. Guesses count as those of
 * clients do, so nobody has many from one network. A key that is over is no guess, however often it is shown: it must not lock
 * out its successor, and whoever else is in that network.
 *
 * @throws {InvalidRequestError} with one text for all that may be wrong; the reason stands in the audit alone. RFC 8693 §2.2.2
 * @throws {TooManyRequestsError} for what is refused after too many failures, before anything is written
 */
export async function presentApiKey(ctx: Context, text: string, origin: Origin): Promise<UsableApiKey> {
  const id = parseApiKey(text)?.id
  if (id === undefined) {
    // No guess, since the checksum is known: it costs no statement, and is counted against nobody (attack 113).
    ctx.audit.count({ ...refused, reason: 'key_malformed', ip: origin.ip })
    throw invalid(ctx, 'key_malformed')
  }
  const subject = { kind: 'client', id: `api-key ${id}`, ip: origin.ip ?? '' } as const
  const shown = await showApiKey(ctx, text)
  const problem = problemOf(shown, origin, ctx.clock.now())
  if (problem === undefined && shown.key) {
    await ctx.failures.succeed(subject)
    return shown.key
  }
  // A key has 256 bits, so past a bound a wrong one is refused, and nobody who has a right one pays for it.
  ctx.failures.check(subject)
  const reason = problem ?? 'key_unknown'
  const event = { ...refused, ...about(shown.key), reason, ...origin }
  const writesByItself = ctx.audit.writesByItself(subject.ip, event)
  if (!shown.key) {
    await ctx.failures.fail(subject, writesByItself ? newEvent(ctx, event) : undefined)
  } else {
    countUse(ctx, shown.key, { api: '', scope: [], outcome: outcomeOf(reason), ip: origin.ip })
    if (writesByItself) await record(ctx, event)
  }
  throw invalid(ctx, reason)
}

const refused = { type: 'api_key.refused', actor: 'system' } as const

/** A key that somebody only names is whatever they typed: it is not written down. */
function about(key: ApiKey | undefined) {
  return key ? { ...aboutOwner(key.owner), detail: { key: key.id } } : {}
}

function problemOf({ problem, key }: ShownApiKey, { ip }: Origin, now: Date): Refusal | undefined {
  if (problem !== undefined || !key) return problem
  // It stands in pages, so whoever has it has proved nothing.
  if (key.kind !== 'secret') return 'key_publishable'
  if (key.expiresAt && wholeSecond(key.expiresAt) <= wholeSecond(now)) return 'key_expired'
  return mayBeUsedFrom(key, ip) ? undefined : 'key_network'
}

function outcomeOf(reason: Refusal) {
  if (reason === 'key_network') return 'network'
  return reason === 'key_publishable' ? 'refused' : 'ended'
}

function wholeSecond(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}

/** Its event is `api_key.refused`. */
function invalid(ctx: Context, reason: Refusal): InvalidRequestError {
  const error = new InvalidRequestError('The subject token is invalid.', { reason })
  ctx.audit.told(error)
  return error
}
