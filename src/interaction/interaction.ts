import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Client } from '../clients/index.js'
import type { Context, Origin } from '../context.js'
import { originOf, PageError, readCookie, writeCookie } from '../http/index.js'
import { type OAuthError, TooManyRequestsError } from '../oauth/index.js'
import { sha256, timingSafeEqual } from '../platform/crypto/hash.js'
import { drawOpaque, readOpaque } from '../platform/crypto/opaque.js'
import { type Decision, dayBucket, type Interaction, interactions, type Session } from '../store/index.js'
import { errorTexts } from '../ui/index.js'

export type Prompt = 'none' | 'login' | 'consent' | 'select_account'

/** How somebody has to be signed in. */
export interface LoginDemands {
  readonly prompt: readonly Prompt[]
  /** Seconds. */
  readonly maxAge?: number | undefined
  readonly loginHint?: string | undefined
  /** Who it must be, by the `sub` that the client knows. OIDC Core §3.1.2.1 */
  readonly subject?: string | readonly string[] | undefined
  /** The path and query that make the same request again. */
  readonly restart: string
}

/** What was wrong with a request, as its client is told. */
export interface Refusal {
  readonly code: string
  readonly description: string
  readonly reason: string
}

/** What a client's request asks of its user. */
export interface ClientDemands extends LoginDemands {
  readonly clientId: string
  readonly scope: readonly string[]
  readonly resources: readonly string[]
  /** The redirect URI, in full: where the browser goes in the end. */
  readonly destination: string
  /** Why the request is refused, once its user has signed in. RFC 9700 §4.11.2 */
  readonly refusal?: Refusal | undefined
  /** What the feature that made the request needs to answer it. */
  readonly detail: Readonly<Record<string, string | undefined>>
}

/** A page of ours wants to know who its reader is. It is for no client, and grants nothing. */
export interface OwnDemands extends LoginDemands {
  readonly clientId?: undefined
  /** The path of the page, below the issuer. Nothing that a browser sends is ever part of it but ids that were checked. */
  readonly page: `/account${string}`
}

/** What is asked of a user. It is kept as it was checked: nothing in a later form can change it (attack 25). */
export type Demands = ClientDemands | OwnDemands

/** What an interaction keeps. */
type Kept = Demands & {
  /** The login that failed last. */
  readonly failedLogin?: { readonly username: string } | undefined
}

/**
 * How a client's request is answered once its user was asked. The feature that started the interaction implements it; the
 * steps know no feature. What a page of ours started needs none: the browser goes back to the page, which asks for itself
 * who is signed in.
 */
export interface Ending {
  readonly grant: (ctx: Context, reply: FastifyReply, granted: Granted) => Promise<FastifyReply>
  readonly refuse: (ctx: Context, reply: FastifyReply, refused: Refused) => Promise<FastifyReply>
}

export interface Granted {
  readonly demands: ClientDemands
  readonly client: Client
  readonly session: Session
  readonly scope: readonly string[]
  /** Undefined where nothing had to be asked. */
  readonly interaction?: Interaction | undefined
  /** Where the user consented. */
  readonly consent?: Consented | undefined
  readonly origin: Origin
  /** Asks anew, where another document describes the client by now. */
  readonly again: () => FastifyReply | Promise<FastifyReply>
}

/** What a user decided. */
export interface Consented {
  readonly decisions: readonly Decision[]
  /** It is not asked again, */
  readonly remembered: boolean
  /** for this place; undefined: for all of the client. */
  readonly destination: string | undefined
}

export interface Refused {
  readonly client: Client
  readonly demands: ClientDemands
  readonly error: OAuthError
  readonly interaction?: Interaction | undefined
  /** Who said no; undefined where it was not the user. */
  readonly session?: Session | undefined
  readonly origin: Origin
}

/** An interaction that this browser has started and that waits for its user. */
export interface OpenInteraction {
  readonly id: string
  readonly row: Interaction
  readonly demands: Demands
  readonly failedLogin: { readonly username: string } | undefined
  /** What the browser's cookie holds: form tokens are bound to it. */
  readonly browserId: string
}

/** The value of the cookie that tells browsers apart before anybody signed in. */
const browserIdPattern = /^[A-Za-z0-9_-]{43}$/

/**
 * Stores the request for the browser that made it, and gives the id for the addresses of its steps.
 *
 * @throws {TooManyRequestsError} where a network begins more than people do
 */
export async function startInteraction(
  ctx: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  demands: Demands,
): Promise<string> {
  const excess = ctx.starts.take(originOf(request).ip ?? '')
  if (excess) {
    throw new TooManyRequestsError('Too many logins were begun here. Try again later.', {
      reason: 'interactions_exceeded',
      ...excess,
    })
  }
  const known = readCookie(request, 'browser')
  // One id for all tabs: a second login that is started must not end the first.
  const browserId = known && browserIdPattern.test(known) ? known : ctx.random.bytes(32).toString('base64url')
  const now = ctx.clock.now()
  const expiresAt = new Date(now.getTime() + ctx.config.sessions.interactionLifetime * 1000)
  const { value, hash, bucket } = drawOpaque(ctx, 'oin', dayBucket(expiresAt))
  await interactions.create(ctx.db, {
    bucket,
    idHash: hash,
    browserHash: sha256(browserId),
    clientId: demands.clientId,
    request: demands,
    createdAt: now,
    expiresAt,
  })
  if (browserId !== known) writeCookie(reply, 'browser', browserId)
  return value
}

/**
 * The interaction of this address, if it waits for its user in this browser.
 *
 * @throws {PageError} with a way on: it is unknown, over, or another browser's (attacks 25 and 27)
 */
export async function openInteraction(ctx: Context, request: FastifyRequest, id: string): Promise<OpenInteraction> {
  const opaque = readOpaque('oin', id)
  const row = opaque && (await interactions.find(ctx.db, opaque.bucket, opaque.hash))
  if (!row) {
    const { message, advice } = errorTexts.interactionExpired
    throw new PageError(message, { reason: 'interaction_unknown', advice })
  }

  const { failedLogin, ...demands } = row.request as Kept
  const browserId = readCookie(request, 'browser')
  if (browserId === undefined || !timingSafeEqual(sha256(browserId), row.browserHash)) {
    // Whoever has the address may be somebody else: who is meant, by address or ID token, is not shown to them.
    const actions = startAgain(ctx, { restart: withoutHints(demands.restart) })
    const reason = browserId === undefined ? 'browser_cookie_missing' : 'browser_cookie_of_another'
    const { message, advice } = errorTexts.otherBrowser
    throw new PageError(message, { reason, advice, actions })
  }
  if (row.completedAt || row.expiresAt <= ctx.clock.now()) {
    throw alreadyOver(ctx, demands, row.completedAt ? 'interaction_completed' : 'interaction_expired')
  }
  return { id, row, demands, failedLogin, browserId }
}

/** Remembers a login that failed: the page says so after the redirect, and again when it is loaded again. */
export async function rememberFailedLogin(ctx: Context, open: OpenInteraction, username: string): Promise<void> {
  const kept: Kept = { ...open.demands, failedLogin: { username: username.slice(0, 254) } }
  await interactions.setRequest(ctx.db, open.row, kept)
}

/** What says that the request was answered before, or that its time is over. */
export function alreadyOver(ctx: Context, demands: Demands, reason: string): PageError {
  const { message, advice } = demands.clientId === undefined ? errorTexts.signInExpired : errorTexts.interactionExpired
  return new PageError(message, { reason, advice, actions: startAgain(ctx, demands) })
}

/** Links longer than this are not taken by every server and browser on the way. */
const longestLink = 8_000

/** The way on from a dead end: the same request once more. */
export function startAgain(
  ctx: Context,
  { restart }: Pick<Demands, 'restart'>,
): readonly { href: string; label: string }[] {
  const href = ctx.config.server.issuer + restart
  return href.length <= longestLink ? [{ href, label: 'Start again' }] : []
}

/** The address of a path of ours for a redirect: the issuer may have a path of its own. */
export function addressOf(ctx: Context, path: string): string {
  return new URL(ctx.config.server.issuer).pathname.replace(/\/$/, '') + path
}

export function stepAddress(ctx: Context, id: string, step: 'login' | 'consent'): string {
  return addressOf(ctx, `/interaction/${id}/${step}`)
}

function withoutHints(restart: string): string {
  const [path = '', query] = restart.split('?', 2)
  if (query === undefined) return path
  const parameters = new URLSearchParams(query)
  for (const name of ['login_hint', 'id_token_hint']) parameters.delete(name)
  return `${path}?${parameters}`
}
