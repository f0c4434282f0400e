import { actOf, type By, newEvent } from '../../audit/index.js'
import type { Context } from '../../context.js'
import { InvalidTokenError } from '../../oauth/index.js'
import { InvalidValueError, NotFoundError } from '../../platform/administration-errors.js'
import { drawOpaque, readOpaque } from '../../platform/crypto/opaque.js'
import { auditEvents, type Db, type RegistrationToken, registrationTokens } from '../../store/index.js'

export interface InitialAccessTokenSettings {
  /** For people. */
  readonly name?: string | undefined
  /** How many clients may be registered with it. */
  readonly maxUses: number
  /** Seconds. */
  readonly lifetime: number
}

/** Seconds. */
const longestLifetime = 366 * 86_400

/**
 * Makes a token by which clients may be registered. RFC 7591 §3.
 *
 * @returns the token too, which is in no other place: it is shown now or never
 * @throws {InvalidValueError}
 */
export async function createInitialAccessToken(
  ctx: Context,
  { name, maxUses, lifetime }: InitialAccessTokenSettings,
  by: By,
): Promise<{ readonly token: RegistrationToken; readonly value: string }> {
  if (!Number.isInteger(maxUses) || maxUses < 1 || maxUses > 1_000_000) {
    throw new InvalidValueError('The number of uses is a whole number from 1 to 1000000.')
  }
  if (!Number.isInteger(lifetime) || lifetime < 60 || lifetime > longestLifetime) {
    throw new InvalidValueError('A token is good for a minute at least, and for 366 days at most.')
  }
  if (name !== undefined && !/^[^\p{C}]{1,200}$/u.test(name)) {
    throw new InvalidValueError('The name is not a text of 1 to 200 visible characters.')
  }
  const now = ctx.clock.now()
  const { value, hash } = drawOpaque(ctx, 'ori', 0)
  const expiresAt = new Date(now.getTime() + lifetime * 1000)
  const token = { id: ctx.random.uuid(), hash, name, uses: 0, maxUses, createdAt: now, expiresAt }
  await ctx.db.transaction(async (tx) => {
    await registrationTokens.create(tx, token)
    const detail = { registration_token: token.id, uses: maxUses }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'registration_token.created', detail }))
  })
  return { token, value }
}

export function listInitialAccessTokens(ctx: Context): Promise<readonly RegistrationToken[]> {
  return registrationTokens.list(ctx.db)
}

/** Nobody registers with it any more; the clients that did stay. @throws {NotFoundError} */
export async function revokeInitialAccessToken(ctx: Context, id: string, by: By): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    if (!(await registrationTokens.remove(tx, id))) {
      throw new NotFoundError('registration-token', `There is no registration token ${id}.`)
    }
    const detail = { registration_token: id }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'registration_token.revoked', detail }))
  })
}

/** What is shown of one; never the token. */
export function describeInitialAccessToken({ id, name, uses, maxUses, createdAt, expiresAt }: RegistrationToken) {
  return { id, name, uses, max_uses: maxUses, created_at: createdAt, expires_at: expiresAt }
}

/** @throws {InvalidTokenError} for one that is unknown, over or used up */
export async function findInitialAccessToken(ctx: Context, value: string): Promise<RegistrationToken> {
  const opaque = readOpaque('ori', value)
  const token = opaque && (await registrationTokens.findLive(ctx.db, opaque.hash, ctx.clock.now()))
  if (!token) throw invalidInitialToken()
  return token
}

/** Counts a registration, in the transaction that makes it. @throws {InvalidTokenError} of two at once for the last use */
export async function spendInitialAccessToken(ctx: Context, tx: Db, { id }: RegistrationToken): Promise<void> {
  if (!(await registrationTokens.spend(tx, id, ctx.clock.now()))) throw invalidInitialToken()
}

function invalidInitialToken(): InvalidTokenError {
  return new InvalidTokenError('The registration token is unknown, expired, revoked or used up.', {
    reason: 'registration_token_invalid',
  })
}
