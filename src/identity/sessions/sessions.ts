import { newEvent } from '../../audit/index.js'
import type { Context, Origin } from '../../context.js'
import { drawOpaque, readOpaque } from '../../platform/crypto/opaque.js'
import { isLetIn } from '../../platform/network.js'
import { coverCommit, describeRevocation, refuseBehind, revoke } from '../../revocation/index.js'
import {
  type Interaction,
  type PasswordLogin,
  revocations,
  type Session,
  sessions,
  type User,
  weekBucket,
} from '../../store/index.js'

/** Seconds. The end of the idle time is not written more often than this, however often a session is used. */
const extendEvery = 300

/**
 * The live session of a cookie, with its idle time begun anew. Outside of its user's networks it is none: nor is it extended.
 *
 * @param cookie whatever the browser sent; undefined and garbage find nothing
 */
export async function findSession(
  ctx: Context,
  cookie: string | undefined,
  { ip }: Origin,
): Promise<Session | undefined> {
  const opaque = cookie === undefined ? undefined : readOpaque('oss', cookie)
  if (!opaque) return undefined
  const now = ctx.clock.now()
  const found = await sessions.find(ctx.db, opaque.bucket, opaque.hash, now)
  if (!found) return undefined
  const { allowedNetworks, ...session } = found
  if (!isLetIn(ip, allowedNetworks)) {
    const detail = { sid: session.id }
    ctx.audit.count({
      type: 'session.refused',
      actor: 'system',
      subject: session.userId,
      reason: 'account_network',
      ip,
      detail,
    })
    return undefined
  }

  const idleExpiresAt = idleEnd(ctx, now, session.expiresAt)
  const gained = idleExpiresAt.getTime() - session.idleExpiresAt.getTime()
  // Where the idle time itself is that short, half of it: a session in use must not end.
  const { idleLifetime } = ctx.config.sessions
  if (gained < Math.min(extendEvery, idleLifetime / 2) * 1000) return session
  await sessions.extend(ctx.db, session, idleExpiresAt)
  return { ...session, idleExpiresAt }
}

/** The same wherever the browser is: for whoever ends what it was signed in by, and uses it for nothing else. */
export async function findSessionAnywhere(ctx: Context, cookie: string | undefined): Promise<Session | undefined> {
  const opaque = cookie === undefined ? undefined : readOpaque('oss', cookie)
  return opaque && sessions.find(ctx.db, opaque.bucket, opaque.hash, ctx.clock.now())
}

export interface NewLogin {
  readonly user: Pick<User, 'id' | 'email' | 'name'>
  /** As it was when the password was checked. */
  readonly passwordHash: string
  /** What the same browser was signed in by until now: it goes on under a new cookie, or ends. */
  readonly previous: Session | undefined
  readonly origin: Origin
  /** The client that the login is for. */
  readonly clientId?: string
  /** What waits for the login, and remembers it. */
  readonly interaction?: Interaction
}

export interface StartedSession {
  readonly session: Session
  /** What the browser's cookie is to hold: drawn anew at each login (session fixation, attack 28). */
  readonly cookie: string
}

/**
 * Signs a user in: the session, the audit event and the end of the previous session are committed together. Whoever only
 * proves anew who they are keeps their session under a new cookie: else one application that asks for that would end what
 * the others got.
 *
 * @returns undefined when the password was changed or the user disabled since it was checked
 * @throws {TemporarilyUnavailableError} when the clock was set back behind a not-before of the user: a session of now
 *   would be ended already, and the login page follow on a right password for ever
 */
export async function startSession(ctx: Context, login: NewLogin): Promise<StartedSession | undefined> {
  for (;;) {
    const renewed = await renew(ctx, login)
    if (renewed === 'refused') return undefined
    if (renewed) return renewed
    const { outcome, started } = await start(ctx, login)
    if (outcome.kind === 'refused') return undefined
    if (outcome.kind === 'started') return started
    // The user was revoked since the password was checked, or by a clock ahead of ours: past that the session is good.
    const earliest = new Date(outcome.notBefore.getTime() + 1)
    refuseBehind(ctx.clock.now(), earliest)
    await ctx.clock.until(earliest)
  }
}

async function start(ctx: Context, login: NewLogin) {
  const { user, previous, origin } = login
  const now = ctx.clock.now()
  const expiresAt = new Date(now.getTime() + ctx.config.sessions.lifetime * 1000)
  const opaque = drawOpaque(ctx, 'oss', weekBucket(expiresAt))
  const session = {
    bucket: opaque.bucket,
    id: ctx.random.uuid(),
    userId: user.id,
    authTime: now,
    createdAt: now,
    expiresAt,
    idleExpiresAt: idleEnd(ctx, now, expiresAt),
    user: { email: user.email, name: user.name },
  }
  const started: StartedSession = { session, cookie: opaque.value }
  const written = describeLogin(ctx, login, session, opaque.hash)
  if (!previous) return { started, outcome: await sessions.start(ctx.db, written) }
  const replaced = endOf(ctx, previous, 'session_replaced', origin)
  const outcome = await ctx.db.transaction(async (tx) => {
    // First, as everybody who revokes does: no two wait for each other.
    await revocations.lock(tx)
    const made = await sessions.startWithin(tx, written)
    if (made.kind === 'started') await revocations.create(tx, replaced)
    return made
  })
  if (outcome.kind === 'started') await coverCommit(ctx, replaced)
  await ctx.revocations.refresh()
  return { started, outcome }
}

/** @returns undefined where there is none of this user, it is nearly over or ended just now: then a new one starts */
async function renew(ctx: Context, login: NewLogin): Promise<StartedSession | 'refused' | undefined> {
  const { user, previous } = login
  const now = ctx.clock.now()
  if (previous?.userId !== user.id) return undefined
  if (previous.expiresAt.getTime() - now.getTime() < ctx.config.sessions.idleLifetime * 1000) return undefined
  const opaque = drawOpaque(ctx, 'oss', previous.bucket)
  const session = { ...previous, authTime: now, idleExpiresAt: idleEnd(ctx, now, previous.expiresAt) }
  const outcome = await sessions.renew(ctx.db, describeLogin(ctx, login, session, opaque.hash))
  if (outcome === 'renewed') return { session, cookie: opaque.value }
  return outcome === 'refused' ? outcome : undefined
}

function describeLogin(ctx: Context, login: NewLogin, session: Session, tokenHash: Buffer): PasswordLogin {
  const { user, passwordHash, origin, clientId, interaction } = login
  const detail = { sid: session.id, method: 'password' }
  const event = { type: 'login.succeeded', actor: `user:${user.id}`, subject: user.id, clientId, detail, ...origin }
  return { session: { ...session, tokenHash }, passwordHash, interaction, event: newEvent(ctx, event) }
}

/** Signs the browser out: the session ends, and with it every token that ends with a session. */
export async function endSession(
  ctx: Context,
  { bucket, id, userId }: Pick<Session, 'bucket' | 'id' | 'userId'>,
  reason: string,
  origin: Origin,
): Promise<void> {
  await revoke(ctx, { kind: 'session', bucket, id, userId }, { actor: `user:${userId}`, reason, origin })
}

function endOf(ctx: Context, { bucket, id, userId }: Session, reason: string, origin: Origin) {
  return describeRevocation(ctx, { kind: 'session', bucket, id, userId }, { actor: `user:${userId}`, reason, origin })
}

function idleEnd(ctx: Context, now: Date, expiresAt: Date): Date {
  return new Date(Math.min(now.getTime() + ctx.config.sessions.idleLifetime * 1000, expiresAt.getTime()))
}
