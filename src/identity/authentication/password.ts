import { newEvent } from '../../audit/index.js'
import type { Context, Origin } from '../../context.js'
import { PageError } from '../../http/index.js'
import { isCurrentHash } from '../../platform/crypto/password.js'
import { isLetIn } from '../../platform/network.js'
import { type User, type UserWithPassword, users } from '../../store/index.js'
import { errorTexts } from '../../ui/index.js'
import { normaliseEmail } from '../email.js'
import { findKnownDevice } from './known-device.js'

export interface PasswordCredentials {
  /** As typed. */
  readonly username: string
  readonly password: string
  /** The client that the login is for: for the audit. */
  readonly clientId?: string
  /** What the browser's cookie says of earlier logins. */
  readonly device?: string | undefined
}

/** Who they are, and by which password: a session begins only if it is still that one. */
export interface Authenticated {
  readonly user: User
  readonly passwordHash: string
}

/** What the audit says and nobody else learns. */
type Failure = 'account_unknown' | 'account_disabled' | 'account_network' | 'password_not_set' | 'password_wrong'

/**
 * The user who has this password. An unknown account, one that is disabled or has no password, and a wrong password cost
 * the same work and give the same answer: nobody learns which accounts exist (attack 100). A browser that is known to the
 * account is counted by itself: no stranger's failures hold it back (attack 102).
 *
 * @returns undefined for every other failure; it is counted and in the audit
 * @throws {PageError} 403 for the right password from outside of the user's networks: whoever has it may know why
 * @throws {TooManyRequestsError} after too many failures, before any hash is computed
 * @throws {QueueFullError} when too many passwords wait to be hashed; nothing is counted
 */
export async function authenticateByPassword(
  ctx: Context,
  { username, password, clientId, device: cookie }: PasswordCredentials,
  origin: Origin,
): Promise<Authenticated | undefined> {
  const email = normaliseEmail(username)
  const ip = origin.ip ?? ''
  // What is no address is counted as it was typed: it must not cost less than one that is.
  const id = email ?? username.slice(0, 254)
  const device = (await findKnownDevice(ctx, cookie, id))?.id
  const attempt = await ctx.failures.attempt({ kind: 'account', id, ip, device })

  let user: UserWithPassword | undefined
  let failure: Failure | undefined
  try {
    user = await users.findForLogin(ctx.db, email ?? '')
    failure = await findFailure(ctx, user, password, origin)
  } catch (error) {
    await attempt.abandoned()
    throw error
  }

  if (!user || failure) {
    const reason = failure ?? 'account_unknown'
    const event = { type: 'login.failed', actor: 'system', clientId, subject: user?.id, reason, ...origin }
    await attempt.failed(ctx.audit.writesByItself(ip, event) ? newEvent(ctx, event) : undefined)
    if (reason === 'account_network') throw isElsewhere()
    return undefined
  }
  await attempt.succeeded()
  return { user, passwordHash: await renewHash(ctx, user, password) }
}

/** One hash, whatever the answer. */
async function findFailure(
  ctx: Context,
  user: UserWithPassword | undefined,
  password: string,
  { ip }: Origin,
): Promise<Failure | undefined> {
  if (user?.passwordHash === undefined) {
    await ctx.passwords.verifyAgainstNothing(password)
    return user ? 'password_not_set' : 'account_unknown'
  }
  const right = await ctx.passwords.verify(user.passwordHash, password)
  if (user.disabledAt) return 'account_disabled'
  if (!right) return 'password_wrong'
  return isLetIn(ip, user.allowedNetworks) ? undefined : 'account_network'
}

function isElsewhere(): PageError {
  const { message, advice } = errorTexts.otherNetwork
  return new PageError(message, { status: 403, reason: 'account_network', advice })
}

/** Keeps the same password at today's cost. Whoever is right is let in, also when there is no time for this. */
async function renewHash(ctx: Context, { id, passwordHash }: UserWithPassword, password: string): Promise<string> {
  const current = passwordHash ?? ''
  if (isCurrentHash(current)) return current
  try {
    const renewed = await ctx.passwords.hash(password)
    await users.rehashPassword(ctx.db, id, current, renewed)
    return renewed
  } catch (error) {
    ctx.log.warn({ err: error }, 'a password was not hashed anew')
    return current
  }
}
