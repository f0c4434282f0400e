import { type ApiKeyOutcome, aboutOwner, addDeprecation, countUse } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import type { Gateway } from '../../gateways/index.js'
import { InsufficientScopeError, InvalidTokenError, TooManyRequestsError } from '../../oauth/index.js'
import { networkOf } from '../../platform/network.js'
import type { Caller } from './caller.js'
import { addressProblems } from './caller-address.js'
import { type CredentialWorth, elsewhere } from './credential-worth.js'

/** Whose use it is, and where. */
export interface Shown {
  readonly gateway: Gateway
  readonly caller: Caller
  readonly worth: Pick<CredentialWorth, 'credential' | 'clientId' | 'key'>
}

/**
 * Runs what decides last about a request, and counts what came of it: for API keys and service accounts, also where it is
 * remembered what they are worth. Uses of access tokens are counted where these are issued.
 */
export async function counted<Result>(ctx: Context, shown: Shown, decide: () => Promise<Result>): Promise<Result> {
  const result = await refusalsCounted(ctx, shown, decide)
  count(ctx, shown, 'accepted')
  return result
}

/** The same of what does not decide last. */
export async function refusalsCounted<Result>(
  ctx: Context,
  shown: Shown,
  decide: () => Promise<Result>,
): Promise<Result> {
  try {
    return await decide()
  } catch (error) {
    const outcome = outcomeOf(error)
    if (outcome) count(ctx, shown, outcome)
    if (shown.worth.key) addDeprecation(error, shown.worth.key)
    if (outcome === 'network' && error instanceof InvalidTokenError) auditNetwork(ctx, shown, error)
    throw error
  }
}

/** The key is a good one: its owner, or whoever set up the gateway, wants to know what was wrong with the address. */
function auditNetwork(ctx: Context, { gateway, caller, worth: { key } }: Shown, error: InvalidTokenError): void {
  if (!key) return
  const { reason } = error
  ctx.audit.told(error)
  const detail = { key: key.id, gateway: gateway.name }
  ctx.audit.count({
    type: 'api_key.refused',
    actor: 'system',
    ...aboutOwner(key.owner),
    reason,
    ip: caller.from.ip,
    detail,
  })
}

function count(ctx: Context, { gateway, caller, worth }: Shown, outcome: ApiKeyOutcome): void {
  const { resource: api, scope } = gateway
  const { ip } = caller.from
  if (worth.key) countUse(ctx, worth.key, { api, scope, outcome, ip })
  else if (worth.credential === 'basic') {
    const from = ip === undefined ? undefined : networkOf(ip)
    const whose = { kind: 'client', credential: worth.clientId, api } as const
    ctx.usage.record({ ...whose, scope: scope.join(' '), outcome, at: ctx.clock.now(), from })
  }
}

/** Undefined: nothing was decided about the credential. */
function outcomeOf(error: unknown): ApiKeyOutcome | undefined {
  if (error instanceof InsufficientScopeError) return 'insufficient_scope'
  if (error instanceof TooManyRequestsError) return 'rate_limited'
  if (!(error instanceof InvalidTokenError)) return undefined
  if (isOfNetwork(error.reason)) return 'network'
  return error.reason === elsewhere.page ? 'origin' : undefined
}

/** Whether it was refused for where the caller is, or because nobody knows. */
function isOfNetwork(reason: string): boolean {
  return reason === elsewhere.network || addressProblems.some((each) => each === reason)
}
