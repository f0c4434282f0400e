import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import { checkNewPassword } from '../platform/crypto/password.js'
import { isNoWider, networkForm, parseNetwork } from '../platform/network.js'
import { plainText } from '../platform/plain-text.js'
import { coverCommit, describeRevocation, narrowKeysOf } from '../revocation/index.js'
import { auditEvents, notify, revocations, type User, users } from '../store/index.js'
import { readProfile } from './claims.js'
import { normaliseEmail } from './email.js'

export interface NewUser {
  readonly email: string
  readonly name?: string | undefined
  readonly admin?: boolean
  /** Without one the user cannot sign in by password. */
  readonly password?: string | undefined
  /** In CIDR notation: where they may sign in from, and be signed in, and use their API keys from. Default: anywhere. */
  readonly allowedNetworks?: readonly string[] | undefined
}

/** What is given; the rest stays. */
export interface UserChange extends Pick<NewUser, 'name' | 'allowedNetworks'> {
  /** All of the standard claims besides name and e-mail address, by their names. OIDC Core §5.1 */
  readonly profile?: Readonly<Record<string, unknown>> | undefined
  /** Whether somebody has made sure that the address is theirs. */
  readonly emailVerified?: boolean | undefined
}

const mostNetworks = 100
const maxNameLength = 200

/**
 * @throws {InvalidValueError} for an address, a network or a password that may not be used
 * @throws {ConflictError} when the address is another user's
 */
export async function createUser(ctx: Context, user: NewUser, by: By): Promise<User> {
  const email = requireEmail(user.email)
  const name = checkName(user.name)
  const allowedNetworks = checkNetworks(user.allowedNetworks) ?? []
  const passwordHash = user.password === undefined ? undefined : await hashNewPassword(ctx, user.password, email)
  const now = ctx.clock.now()
  const admin = user.admin ?? false
  const created = { id: ctx.random.uuid(), email, name, admin, allowedNetworks, createdAt: now, updatedAt: now }
  await ctx.db.transaction(async (tx) => {
    if (!(await users.create(tx, { ...created, passwordHash }))) {
      throw new ConflictError('There is a user with this e-mail address already.')
    }
    const detail = { admin: created.admin }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'user.created', subject: created.id, detail }))
  })
  return created
}

/**
 * Changes what is given, from the next request on: whoever is signed in outside of networks that are given is so no more, and
 * their API keys are good from no others.
 *
 * @throws {NotFoundError} {InvalidValueError}
 */
export async function updateUser(ctx: Context, userId: string, change: UserChange, by: By): Promise<User> {
  const name = checkName(change.name)
  const allowedNetworks = checkNetworks(change.allowedNetworks)
  const profile = change.profile && readProfile(change.profile)
  const { emailVerified } = change
  const now = ctx.clock.now()
  const emailVerifiedAt = emailVerified === undefined ? undefined : emailVerified ? now : null
  const { updated, narrowed } = await ctx.db.transaction(async (tx) => {
    if (allowedNetworks) await revocations.lock(tx)
    const before = await users.findForUpdate(tx, userId)
    if (!before) throw isUnknown()
    await users.update(tx, userId, { name, allowedNetworks, profile, emailVerifiedAt }, now)
    // Never the values, which are somebody's.
    const changed = { name, allowed_networks: allowedNetworks, profile, email_verified: emailVerified }
    const given = Object.entries(changed).filter(([, value]) => value !== undefined)
    const detail = { changed: given.map(([field]) => field) }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'user.updated', subject: userId, detail }))
    await notify(tx, { kind: 'user', id: userId })
    const updated = await users.findById(tx, userId)
    if (!updated) throw isUnknown()
    if (!allowedNetworks || isNoWider(before.allowedNetworks, allowedNetworks)) return { updated }
    const cause = { ...by, reason: 'user_narrowed' }
    return { updated, narrowed: await narrowKeysOf(ctx, tx, { kind: 'user', id: userId }, cause) }
  })
  ctx.users.drop(userId)
  if (narrowed) {
    await coverCommit(ctx, narrowed)
    await ctx.revocations.refresh()
  }
  return updated
}

/**
 * Sets a new password, and ends the user's sessions and grants: whoever knew the old one is out (attack 61).
 *
 * @throws {NotFoundError} {InvalidValueError} for a password that may not be used
 */
export async function setPassword(ctx: Context, userId: string, password: string, by: By): Promise<void> {
  const user = await users.findById(ctx.db, userId)
  if (!user) throw isUnknown()
  const passwordHash = await hashNewPassword(ctx, password, user.email)
  const revocation = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    // From here no login by the old password begins a session; one that has is older than the instant taken now.
    if (!(await users.findForUpdate(tx, userId))) throw isUnknown()
    const cause = { ...by, reason: 'password_changed' }
    const made = describeRevocation(ctx, { kind: 'user', userId }, cause)
    await revocations.create(tx, made)
    await users.setPassword(tx, userId, passwordHash, ctx.clock.now())
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'user.password_changed', subject: userId }))
    return made
  })
  await coverCommit(ctx, revocation)
  await ctx.revocations.refresh()
}

/**
 * Ends everything of the user, and lets nobody sign in as them until they are enabled.
 *
 * @returns false when they were disabled already
 * @throws {NotFoundError}
 */
export async function disableUser(ctx: Context, userId: string, by: By): Promise<boolean> {
  const revocation = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const user = await users.findForUpdate(tx, userId)
    if (!user) throw isUnknown()
    if (user.disabledAt) return undefined
    const cause = { ...by, reason: 'user_disabled' }
    const made = describeRevocation(ctx, { kind: 'user', userId, lasting: 'disabled' }, cause)
    await revocations.create(tx, made)
    return made
  })
  if (revocation) await coverCommit(ctx, revocation)
  await ctx.revocations.refresh()
  return revocation !== undefined
}

/**
 * Lets a disabled user sign in again; what they had before stays ended.
 *
 * @returns false when they were not disabled: nothing of theirs is ended
 * @throws {NotFoundError}
 */
export async function enableUser(ctx: Context, userId: string, by: By): Promise<boolean> {
  const done = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const user = await users.findForUpdate(tx, userId)
    if (!user) throw isUnknown()
    if (!user.disabledAt) return false
    const event = newEvent(ctx, { ...actOf(by), type: 'user.enabled', subject: userId })
    await users.enable(tx, userId, event.time)
    await revocations.lift(tx, { kind: 'user', target: userId, instant: event.time, event })
    await auditEvents.create(tx, event)
    await notify(tx, { kind: 'user', id: userId })
    return true
  })
  ctx.users.drop(userId)
  await ctx.revocations.refresh()
  return done
}

/** By id or by e-mail address. @throws {NotFoundError} */
export async function findUser(ctx: Context, idOrEmail: string): Promise<User> {
  const email = normaliseEmail(idOrEmail)
  const id = idOrEmail.trim().toLowerCase()
  const user = email
    ? await users.findByEmail(ctx.db, email)
    : /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
      ? await users.findById(ctx.db, id)
      : undefined
  if (!user) throw isUnknown()
  return user
}

/** All users, oldest first. */
export function listUsers(ctx: Context): Promise<readonly User[]> {
  return users.list(ctx.db)
}

/** What an administrator sees of a user. */
export function describeUser(user: User): Record<string, unknown> {
  return {
    id: user.id,
    email: user.email,
    name: user.name,
    admin: user.admin,
    allowed_networks: user.allowedNetworks,
    email_verified_at: user.emailVerifiedAt?.toISOString(),
    profile: user.profile,
    created_at: user.createdAt.toISOString(),
    updated_at: user.updatedAt.toISOString(),
    disabled_at: user.disabledAt?.toISOString(),
  }
}

function checkName(text: string | undefined): string | undefined {
  const name = text === undefined ? undefined : plainText(text, maxNameLength)
  if (text === undefined || name !== undefined) return name
  throw new InvalidValueError(`The name is not a text of 1 to ${maxNameLength} visible characters.`)
}

/** In the one spelling that addresses are compared with. */
function checkNetworks(texts: readonly string[] | undefined): readonly string[] | undefined {
  if (texts && texts.length > mostNetworks) throw new InvalidValueError(`A user has at most ${mostNetworks} networks.`)
  const networks = texts?.map((text) => {
    const network = parseNetwork(text)
    if (network !== undefined) return network
    throw new InvalidValueError(`${JSON.stringify(text.slice(0, 80))} is not a network, ${networkForm}.`)
  })
  return networks && [...new Set(networks)]
}

function requireEmail(text: string): string {
  const email = normaliseEmail(text)
  if (email === undefined) throw new InvalidValueError('The e-mail address is not one, such as ann@example.com.')
  return email
}

function hashNewPassword(ctx: Context, password: string, email: string): Promise<string> {
  const problem = checkNewPassword(password, { email })
  if (problem) throw new InvalidValueError(problem.message)
  return ctx.passwords.hash(password)
}

function isUnknown(): NotFoundError {
  return new NotFoundError('user', 'There is no such user.')
}
