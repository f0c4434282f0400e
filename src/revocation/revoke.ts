import { newEvent } from '../audit/index.js'
import type { Context, Origin } from '../context.js'
import { type ApiKeyOwner, type KeyEnding, type NewRevocation, revocations } from '../store/index.js'
import { type KeySet, keySetTarget } from './ended-by.js'
import { placeOf, type StatusClaim } from './status-lists/index.js'

/** Seconds after which no access token is alive, whatever was configured when it was issued. */
export const longestAccessToken = 3_600

export type RevocationTarget =
  | {
      readonly kind: 'token'
      readonly jti: string
      readonly clientId: string
      readonly audience: string
      readonly expiresAt: Date
      /** Where a user allowed it. */
      readonly grant?: { readonly id: string; readonly userId: string } | undefined
      /** Where it stands in a status list. */
      readonly status?: StatusClaim | undefined
    }
  | {
      readonly kind: 'grant'
      readonly id: string
      readonly bucket: number
      readonly clientId: string
      readonly userId: string
      readonly resources: readonly string[]
    }
  | { readonly kind: 'session'; readonly id: string; readonly bucket: number; readonly userId: string }
  | { readonly kind: 'client'; readonly clientId: string; readonly lasting?: 'disabled' | 'deleted' }
  | { readonly kind: 'user'; readonly userId: string; readonly lasting?: 'disabled' }
  | { readonly kind: 'key'; readonly kid: string }
  /** `api_key_state`: it was changed, and lives; what was exchanged for it does, too. */
  | {
      readonly kind: 'api_key' | 'api_key_state'
      readonly id: string
      readonly owner: ApiKeyOwner
      /** Of before a change as well, where it lost some. */
      readonly resources: readonly string[]
      /** The key lives, and what was exchanged for it up to now ends. */
      readonly lives?: boolean
    }
  /** Another secret took its place: whoever remembers that the one before was right asks again. @param resources none: all */
  | { readonly kind: 'client_secret'; readonly clientId: string; readonly resources: readonly string[] }
  /** Without `ending` they live, and whoever remembers one asks again. */
  | { readonly kind: 'api_keys'; readonly set: KeySet; readonly ending?: KeyEnding }

export interface RevocationCause {
  /** Who revokes: `client:…`, `user:…`, `operator`, `system`. */
  readonly actor: string
  /** Why, for the audit. */
  readonly reason: string
  readonly origin?: Origin
}

/**
 * Takes back a token, or everything under a grant, session, client, user or signing key. Resolves once it is committed; the cost does
 * not depend on how many tokens there are.
 */
export async function revoke(ctx: Context, target: RevocationTarget, cause: RevocationCause): Promise<void> {
  await commitRevocation(ctx, describeRevocation(ctx, target, cause))
}

/** The same of what was described before. */
export async function commitRevocation(ctx: Context, revocation: NewRevocation): Promise<void> {
  await revocations.add(ctx.db, revocation)
  await coverCommit(ctx, revocation)
  await ctx.revocations.refresh()
}

/**
 * A revocation takes its instant and finds whom it concerns before it is committed. Where the second has changed meanwhile,
 * a token of the new one may have been issued by somebody who could not know; and one for an API that the user had never
 * used before. So it is made once more, up to now. Before the answer, always.
 */
export async function coverCommit(ctx: Context, revocation: NewRevocation): Promise<void> {
  let { instant } = revocation
  const repeat = async (): Promise<void> => {
    const { id: _, time: __, ...about } = revocation.event
    const event = newEvent(ctx, about)
    instant = event.time
    const expiresAt = revocation.expiresAt && new Date(instant.getTime() + (longestAccessToken + 1) * 1000)
    // Keys that were made meanwhile are not among those that ended.
    await revocations.add(ctx.db, { ...revocation, instant, expiresAt, event, ending: undefined })
  }
  while (!revocation.terminal && wholeSecond(instant) < wholeSecond(ctx.clock.now())) await repeat()
  const isFound = revocation.grantsOf !== undefined || revocation.kind === 'client'
  if (isFound && !(await revocations.reachesAll(ctx.db, revocation, ctx.clock.now()))) await repeat()
}

function wholeSecond(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}

/** The same as data, for a revocation that belongs into another transaction. */
export function describeRevocation(
  ctx: Pick<Context, 'clock' | 'random' | 'config'>,
  target: RevocationTarget,
  cause: RevocationCause,
): NewRevocation {
  const now = ctx.clock.now()
  // Tokens for this server itself: so the list of audiences is not empty, which would be everybody.
  const self = [ctx.config.server.issuer]
  const expiresAt = new Date(now.getTime() + (longestAccessToken + 1) * 1000)
  const event = (type: string, about: { clientId?: string; subject?: string; grantId?: string }) =>
    newEvent(ctx, { type, actor: cause.actor, reason: cause.reason, ...cause.origin, ...about })
  const common = { instant: now, expiresAt, reason: cause.reason, audiences: [] as readonly string[] }
  switch (target.kind) {
    case 'token':
      return {
        ...common,
        kind: 'token',
        target: target.jti,
        terminal: true,
        // Its own end, where the clock was set back since it was issued (attack 133).
        expiresAt: new Date(Math.max(expiresAt.getTime(), target.expiresAt.getTime() + 1000)),
        audiences: [target.audience],
        status: target.status && placeOf(target.status),
        event: event('token.revoked', {
          clientId: target.clientId,
          subject: target.grant?.userId,
          grantId: target.grant?.id,
        }),
      }
    case 'grant':
      return {
        ...common,
        kind: 'grant',
        target: target.id,
        terminal: true,
        audiences: target.resources.length > 0 ? target.resources : self,
        row: { bucket: target.bucket, id: target.id },
        event: event('grant.revoked', { clientId: target.clientId, subject: target.userId, grantId: target.id }),
      }
    case 'session':
      return {
        ...common,
        kind: 'session',
        target: target.id,
        terminal: true,
        audiences: self,
        // A session's own grants are among them.
        grantsOf: target.userId,
        row: { bucket: target.bucket, id: target.id },
        event: event('session.revoked', { subject: target.userId }),
      }
    case 'client':
      return {
        ...common,
        kind: 'client',
        target: target.clientId,
        terminal: target.lasting !== undefined,
        // A deleted one cannot come back: its entry is of use only while its tokens live.
        expiresAt: target.lasting === 'disabled' ? undefined : expiresAt,
        event: event(`client.${target.lasting ?? 'revoked'}`, { clientId: target.clientId }),
      }
    case 'user':
      return {
        ...common,
        kind: 'user',
        target: target.userId,
        terminal: target.lasting !== undefined,
        expiresAt: target.lasting ? undefined : expiresAt,
        audiences: self,
        grantsOf: target.userId,
        row: { bucket: 0, id: target.userId },
        event: event(`user.${target.lasting ?? 'revoked'}`, { subject: target.userId }),
      }
    case 'key':
      return {
        ...common,
        kind: 'key',
        target: target.kid,
        terminal: true,
        // For ever: whoever stole it gives what they sign any lifetime.
        expiresAt: undefined,
        event: { ...event('key.revoked', {}), detail: { kid: target.kid } },
      }
    case 'api_key':
    case 'api_key_state': {
      const owner = target.owner.kind === 'client' ? { clientId: target.owner.id } : { subject: target.owner.id }
      const terminal = target.kind === 'api_key' && !target.lives
      const type = terminal ? 'api_key.revoked' : 'api_key.changed'
      return {
        ...common,
        kind: target.kind,
        target: target.id,
        terminal,
        audiences: [...target.resources, ...self],
        event: { ...event(type, owner), detail: { key: target.id } },
      }
    }
    case 'client_secret':
      return {
        ...common,
        kind: 'client_secret',
        target: target.clientId,
        terminal: false,
        audiences: target.resources,
        event: event('client.secret_rotated', { clientId: target.clientId }),
      }
    case 'api_keys':
      return {
        ...common,
        kind: 'api_keys',
        target: keySetTarget(target.set),
        ending: target.ending,
        terminal: false,
        // Everybody.
        audiences: [],
        event: { ...event('api_keys.revoked', {}), detail: { keys: keySetTarget(target.set) } },
      }
  }
}
