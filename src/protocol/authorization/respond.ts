import type { FastifyReply } from 'fastify'
import { newEvent } from '../../audit/index.js'
import { type Client, registeredRedirectUris } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import {
  alreadyOver,
  type ClientDemands,
  DeferredError,
  type Ending,
  type Granted,
  type Refused,
  startAgain,
} from '../../interaction/index.js'
import { expectationOf, findRedirectUri, type ImplicitResponseType } from '../../oauth/index.js'
import {
  type AnsweredInteraction,
  dayBucket,
  type Grant,
  grants,
  interactions,
  type Session,
  weekBucket,
} from '../../store/index.js'
import { drawOpaque, type Opaque, ownersFor } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'
import type { AuthorizationDetail } from './authorization-request.js'
import { allowedClaims, withoutImplied } from './identity-request.js'
import { implicitRefusal, redeemAtOnce } from './implicit.js'
import { type Channel, sendCode, sendError, sendTokens } from './response-channel.js'

/** Seconds that a grant outlives its code where there are no refresh tokens: the longest that its access token may live. */
const withoutRefresh = 3_600

/** How an authorization request ends: with a code, or with an error for its client. */
export const authorizationEnding: Ending = {
  async grant(ctx, reply, granted) {
    const { client, demands } = granted
    requireStillRegistered(ctx, client, demands)
    const { responseType } = demands.detail as AuthorizationDetail
    if (responseType) return grantAtOnce(ctx, reply, granted, responseType)
    const code = await createGrant(ctx, granted, 'code.issued')
    return code ? sendCode(ctx, reply, channelOf(demands), code.value) : askAgain(ctx, granted)
  },

  async refuse(ctx, reply, refused) {
    const { client, demands, interaction, error, session } = refused
    // It would be an open redirector: RFC 9700 §4.11.
    requireStillRegistered(ctx, client, demands)
    if (interaction) {
      const event = session && newEvent(ctx, refusalEvent(refused, session))
      if (!(await interactions.complete(ctx.db, interaction, ctx.clock.now(), event)))
        throw alreadyOver(ctx, demands, 'interaction_completed')
    }
    const { code, reason, field } = error
    reply.request.log.info({ error: code, reason, field, ...expectationOf(reason) }, 'authorization refused')
    // What waited for a login was written down when it was found.
    const isWritten = (interaction && session) || error instanceof DeferredError
    if (!isWritten) ctx.audit.refused(error, { clientId: client.clientId, ip: refused.origin.ip })
    return sendError(ctx, reply, channelOf(demands), error)
  },
}

/** Without a code that its client sees. OIDC Core §3.2.2.5 */
async function grantAtOnce(
  ctx: Context,
  reply: FastifyReply,
  granted: Granted,
  responseType: ImplicitResponseType,
): Promise<FastifyReply> {
  const { client, demands, interaction, origin } = granted
  const error = implicitRefusal(ctx, client, responseType)
  if (error) return authorizationEnding.refuse(ctx, reply, { client, demands, interaction, origin, error })
  const code = await createGrant(ctx, granted, 'implicit.granted')
  if (!code) return askAgain(ctx, granted)
  return sendTokens(ctx, reply, channelOf(demands), await redeemAtOnce(ctx, granted, code, responseType))
}

/** The client is described otherwise by now: what this process remembers is that of before. */
function askAgain(ctx: Context, { client, again }: Granted): FastifyReply | Promise<FastifyReply> {
  ctx.clients.drop(client.clientId)
  return again()
}

/**
 * The grant, its code and what the user decided: all of it or nothing, and once for each interaction.
 *
 * @param type of the event
 * @returns the code; undefined where its user was shown something else than describes the client by now
 * @throws {PageError} with a way on, when the interaction was answered before or the session ended meanwhile
 */
async function createGrant(
  ctx: Context,
  granted: Granted,
  type: 'code.issued' | 'implicit.granted',
): Promise<Opaque | undefined> {
  const { client, demands, session, origin } = granted
  const { redirectUri, responseType, codeChallenge, nonce, claims, implied } = demands.detail as AuthorizationDetail
  const now = ctx.clock.now()
  const codeExpiresAt = after(now, ctx.config.tokens.authorizationCodeLifetime)
  const code = drawOpaque(ctx, 'oac', dayBucket(codeExpiresAt))
  const scope = withoutImplied(granted.scope, implied)
  const offline = scope.includes('offline_access')
  const expiresAt = grantEnd(ctx, client, session, { offline, isRefreshed: responseType === undefined, now })
  const grant: Grant = {
    bucket: weekBucket(keptUntil(session, scope, expiresAt)),
    id: ctx.random.uuid(),
    clientId: client.clientId,
    userId: session.userId,
    session: { bucket: session.bucket, id: session.id },
    scope,
    resources: grantedResources(ctx, granted),
    offline,
    authTime: session.authTime,
    claims: allowedClaims(claims, granted.scope),
    createdAt: now,
    expiresAt,
  }
  const outcome = await grants.create(ctx.db, {
    grant,
    code: { bucket: code.bucket, hash: code.hash, redirectUri, codeChallenge, nonce, expiresAt: codeExpiresAt },
    event: newEvent(ctx, { type, actor: `user:${session.userId}`, ...origin }),
    shownHash: client.shownHash,
    answers: answerOf(ctx, granted),
  })
  if (outcome === 'created') return code
  if (outcome === 'changed') return undefined
  if (outcome === 'answered') throw alreadyOver(ctx, demands, 'interaction_completed')
  const { message, advice } = errorTexts.interactionExpired
  throw new PageError(message, { reason: 'session_ended_meanwhile', advice, actions: startAgain(ctx, demands) })
}

/** Without those of which the user left out every scope: no token is for them. */
function grantedResources(ctx: Context, { client, demands, scope }: Granted): readonly string[] {
  const ownersOf = ownersFor(ctx, client)
  const owns = (resource: string, names: readonly string[]) => names.some((name) => ownersOf(name).includes(resource))
  return demands.resources.filter((resource) => owns(resource, scope) || !owns(resource, demands.scope))
}

function answerOf(ctx: Context, { interaction, consent, session }: Granted): AnsweredInteraction | undefined {
  if (!interaction) return undefined
  if (!consent) return { interaction, decisions: [], consentEvent: undefined }
  const { decisions, remembered, destination } = consent
  const names = (granted: boolean): readonly string[] => [
    ...new Set(decisions.filter((decision) => decision.granted === granted).map(({ scope }) => scope)),
  ]
  const detail = { granted: names(true), refused: names(false), remembered, destination }
  return {
    interaction,
    decisions: remembered ? decisions : [],
    destination,
    consentEvent: newEvent(ctx, { type: 'consent.given', actor: `user:${session.userId}`, detail }),
  }
}

function refusalEvent({ demands, error, origin }: Refused, { userId }: Session) {
  return {
    type: 'consent.denied',
    actor: `user:${userId}`,
    clientId: demands.clientId,
    subject: userId,
    reason: error.reason,
    detail: { scope: demands.scope, resources: demands.resources },
    ...origin,
  }
}

interface GrantKind {
  readonly offline: boolean
  /** Whether a refresh token may come of it. */
  readonly isRefreshed: boolean
  readonly now: Date
}

/** A grant ends with its session, unless the user allowed it to go on without them. */
function grantEnd(ctx: Context, client: Client, session: Session, { offline, isRefreshed, now }: GrantKind): Date {
  const { tokens } = ctx.config
  if (!isRefreshed || !client.grantTypes.includes('refresh_token')) {
    return after(now, tokens.authorizationCodeLifetime + withoutRefresh)
  }
  const end = after(now, Math.min(tokens.refreshTokenLifetime, client.refreshTokenLifetime ?? Number.POSITIVE_INFINITY))
  return offline || end < session.expiresAt ? end : session.expiresAt
}

/** Whoever got an ID token hears of the end of its session (Back-Channel Logout §2.5), also where the grant itself is over. */
function keptUntil(session: Session, scope: readonly string[], expiresAt: Date): Date {
  return scope.includes('openid') && session.expiresAt > expiresAt ? session.expiresAt : expiresAt
}

/** A redirect URI that was taken back while the user was asked is none any more. */
function requireStillRegistered(ctx: Context, client: Client, { destination, detail }: ClientDemands): void {
  const { redirectUri } = detail as AuthorizationDetail
  if (findRedirectUri(registeredRedirectUris(client), redirectUri ?? destination) === destination) return
  const { message, advice } = errorTexts.invalidRedirectUri
  ctx.log.info({ clientId: client.clientId }, 'a redirect URI was taken back while its request waited')
  throw new PageError(message, { reason: 'redirect_uri_unregistered', advice })
}

function channelOf({ destination, detail }: ClientDemands): Channel {
  const { state, responseMode } = detail as AuthorizationDetail
  return { redirectUri: destination, state, responseMode }
}

function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000)
}
