import { newEvent } from '../../audit/index.js'
import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import {
  alreadyOver,
  type Demands,
  type Ending,
  type Granted,
  type Refused,
  startAgain,
} from '../../interaction/index.js'
import { findRedirectUri } from '../../oauth/index.js'
import {
  type AnsweredInteraction,
  dayBucket,
  type Grant,
  grants,
  interactions,
  type Session,
  weekBucket,
} from '../../store/index.js'
import { drawOpaque, ownersFor } from '../../tokens/index.js'
import { errorTexts } from '../../ui/index.js'
import type { AuthorizationDetail } from './authorization-request.js'
import { type Channel, sendCode, sendError } from './response-channel.js'

/** Seconds that a grant outlives its code where there are no refresh tokens: the longest that its access token may live. */
const withoutRefresh = 3_600

/** How an authorization request ends: with a code, or with an error for its client. */
export const authorizationEnding: Ending = {
  async grant(ctx, reply, granted) {
    const { client, demands } = granted
    requireStillRegistered(ctx, client, demands)
    const code = await createGrant(ctx, granted)
    return sendCode(ctx, reply, channelOf(demands), code)
  },

  async refuse(ctx, reply, refused) {
    const { demands, interaction, error, session } = refused
    if (interaction) {
      const event = session && newEvent(ctx, refusalEvent(refused, session))
      if (!(await interactions.complete(ctx.db, interaction, ctx.clock.now(), event)))
        throw alreadyOver(ctx, demands, 'interaction_completed')
    }
    reply.request.log.info({ error: error.code, reason: error.reason }, 'authorization refused')
    return sendError(ctx, reply, channelOf(demands), error)
  },
}

/**
 * The grant, its code and what the user decided: all of it or nothing, and once for each interaction.
 *
 * @returns the code
 * @throws {PageError} with a way on, when the interaction was answered before or the session ended meanwhile
 */
async function createGrant(ctx: Context, granted: Granted): Promise<string> {
  const { client, demands, session, scope, origin } = granted
  const { redirectUri, codeChallenge } = demands.detail as AuthorizationDetail
  const now = ctx.clock.now()
  const codeExpiresAt = after(now, ctx.config.tokens.authorizationCodeLifetime)
  const code = drawOpaque(ctx, 'oac', dayBucket(codeExpiresAt))
  const offline = scope.includes('offline_access')
  const expiresAt = grantEnd(ctx, client, session, offline, now)
  const grant: Grant = {
    bucket: weekBucket(expiresAt),
    id: ctx.random.uuid(),
    clientId: client.clientId,
    userId: session.userId,
    session: { bucket: session.bucket, id: session.id },
    scope,
    resources: grantedResources(ctx, granted),
    offline,
    authTime: session.authTime,
    createdAt: now,
    expiresAt,
  }
  const outcome = await grants.create(ctx.db, {
    grant,
    code: { bucket: code.bucket, hash: code.hash, redirectUri, codeChallenge, expiresAt: codeExpiresAt },
    event: newEvent(ctx, { type: 'code.issued', actor: `user:${session.userId}`, ...origin }),
    answers: answerOf(ctx, granted),
  })
  if (outcome === 'created') return code.value
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
  const { decisions, remembered } = consent
  const names = (granted: boolean): readonly string[] => [
    ...new Set(decisions.filter((decision) => decision.granted === granted).map(({ scope }) => scope)),
  ]
  const detail = { granted: names(true), refused: names(false), remembered }
  return {
    interaction,
    decisions: remembered ? decisions : [],
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

/** A grant ends with its session, unless the user allowed it to go on without them. */
function grantEnd(ctx: Context, client: Client, session: Session, offline: boolean, now: Date): Date {
  const { tokens } = ctx.config
  if (!client.grantTypes.includes('refresh_token')) return after(now, tokens.authorizationCodeLifetime + withoutRefresh)
  const end = after(now, Math.min(tokens.refreshTokenLifetime, client.refreshTokenLifetime ?? Number.POSITIVE_INFINITY))
  return offline || end < session.expiresAt ? end : session.expiresAt
}

/** A redirect URI that was taken back while the user was asked is none any more. */
function requireStillRegistered(ctx: Context, client: Client, { destination, detail }: Demands): void {
  const { redirectUri } = detail as AuthorizationDetail
  const { redirectUris: registered, applicationType } = client
  if (findRedirectUri({ registered, applicationType }, redirectUri ?? destination) === destination) return
  const { message, advice } = errorTexts.invalidRedirectUri
  ctx.log.info({ clientId: client.clientId }, 'a redirect URI was taken back while its request waited')
  throw new PageError(message, { reason: 'redirect_uri_unregistered', advice })
}

function channelOf({ destination, detail }: Demands): Channel {
  return { redirectUri: destination, state: (detail as AuthorizationDetail).state }
}

function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000)
}
