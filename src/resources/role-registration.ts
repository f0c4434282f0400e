import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { isSubset } from '../oauth/index.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import { plainText } from '../platform/plain-text.js'
import { coverCommit, longestAccessToken, roleTarget } from '../revocation/index.js'
import {
  auditEvents,
  isUniqueViolation,
  type NewRevocation,
  notify,
  type Resource,
  type Role,
  type RoleHolder,
  resources,
  revocations,
  roles,
} from '../store/index.js'
import { findResource } from './registration.js'

export interface NewRole {
  readonly resource: string
  readonly name: string
  /** Scopes of the resource. */
  readonly scope: readonly string[]
  readonly description?: string | undefined
}

const maxTextLength = 200

/** Withdrawals of a deleted role that are made once more together. */
const together = 256

/**
 * A named set of a resource's scopes. With its first role a resource uses roles: from then on, its scopes are for those
 * who hold one.
 *
 * @returns whether the resource uses roles only since now
 * @throws {NotFoundError} {InvalidValueError} {ConflictError} when the resource has a role of that name
 */
export async function createRole(
  ctx: Context,
  { resource: identifier, name, scope, description }: NewRole,
  by: By,
): Promise<{ readonly role: Role; readonly turnedOn: boolean }> {
  const resource = await findResource(ctx, identifier)
  checkRole(resource, name, scope)
  const text = description === undefined ? undefined : plainText(description, maxTextLength)
  if (description !== undefined && text === undefined) {
    throw new InvalidValueError(`The description is not a text of 1 to ${maxTextLength} visible characters.`)
  }
  const now = ctx.clock.now()
  const role: Role = {
    id: ctx.random.uuid(),
    resource: identifier,
    name,
    description: text,
    scope: [...new Set(scope)],
    createdAt: now,
  }
  try {
    const turnedOn = await ctx.db.transaction(async (tx) => {
      await roles.create(tx, role)
      const detail = { resource: identifier, role: name, scope: role.scope.join(' ') }
      await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'role.created', detail }))
      return resources.useRoles(tx, identifier, now)
    })
    await ctx.resources.refresh()
    return { role, turnedOn }
  } catch (error) {
    if (isUniqueViolation(error)) throw new ConflictError(`${identifier} has a role ${name} already.`)
    throw error
  }
}

/**
 * Withdraws the role from all its holders and deletes it. The resource uses roles as before, even if this was its last:
 * else everybody would have what only its holders had.
 *
 * @returns who held it
 * @throws {NotFoundError}
 */
export async function deleteRole(
  ctx: Context,
  identifier: string,
  name: string,
  by: By,
): Promise<readonly RoleHolder[]> {
  const { holders, withdrawals } = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const role = await roles.find(tx, identifier, name)
    if (!role) throw isUnknown(identifier, name)
    const holders = await roles.removeAllHolders(tx, role.id)
    const withdrawals = holders.map((holder) => withdrawal(ctx, role, holder, 'role_deleted', by))
    await revocations.createAll(tx, withdrawals)
    for (const { kind, holder } of holders) if (kind === 'client') await notify(tx, { kind: 'client', id: holder })
    await roles.remove(tx, role.id)
    const detail = { resource: identifier, role: name, holders: holders.length }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'role.deleted', detail }))
    return { holders, withdrawals }
  })
  for (const { kind, holder } of holders) if (kind === 'client') ctx.clients.drop(holder)
  // Some at a time: whoever waited for many others would be out of its second again.
  for (let start = 0; start < withdrawals.length; start += together) {
    await Promise.all(withdrawals.slice(start, start + together).map((each) => coverCommit(ctx, each)))
  }
  await ctx.revocations.refresh()
  return holders
}

/**
 * @returns false when it held the role already
 * @throws {NotFoundError} when there is no such role; that the holder exists is the caller's to know
 */
export async function grantRole(
  ctx: Context,
  identifier: string,
  name: string,
  holder: RoleHolder,
  by: By,
): Promise<boolean> {
  const granted = await ctx.db.transaction(async (tx) => {
    const role = await roles.find(tx, identifier, name)
    if (!role) throw isUnknown(identifier, name)
    if (!(await roles.grant(tx, role.id, holder, ctx.clock.now()))) return false
    const event = { ...actOf(by), type: 'role.granted', ...aboutHolder(holder), detail: aboutRole(role) }
    await auditEvents.create(tx, newEvent(ctx, event))
    return true
  })
  if (holder.kind === 'client') ctx.clients.drop(holder.holder)
  return granted
}

/**
 * Takes the role from its holder: at this resource their tokens end now, and the next ones come without its scopes.
 *
 * @returns false when it did not hold the role
 * @throws {NotFoundError}
 */
export async function withdrawRole(
  ctx: Context,
  identifier: string,
  name: string,
  holder: RoleHolder,
  by: By,
): Promise<boolean> {
  const withdrawn = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    const role = await roles.find(tx, identifier, name)
    if (!role) throw isUnknown(identifier, name)
    if (!(await roles.withdraw(tx, role.id, holder))) return undefined
    const made = withdrawal(ctx, role, holder, 'role_withdrawn', by)
    await revocations.create(tx, made)
    return made
  })
  if (holder.kind === 'client') ctx.clients.drop(holder.holder)
  if (withdrawn) await coverCommit(ctx, withdrawn)
  await ctx.revocations.refresh()
  return withdrawn !== undefined
}

/** Of one resource, or of all. */
export function listRoles(ctx: Context, identifier?: string): Promise<readonly Role[]> {
  return roles.list(ctx.db, identifier)
}

/** @throws {NotFoundError} */
export async function findRole(
  ctx: Context,
  identifier: string,
  name: string,
): Promise<{ readonly role: Role; readonly holders: readonly RoleHolder[] }> {
  const role = await roles.find(ctx.db, identifier, name)
  if (!role) throw isUnknown(identifier, name)
  return { role, holders: await roles.holders(ctx.db, role.id) }
}

/** What an administrator sees of a role. */
export function describeRole(role: Role, holders?: readonly RoleHolder[]): Record<string, unknown> {
  return {
    resource: role.resource,
    name: role.name,
    description: role.description,
    scope: role.scope.join(' '),
    created_at: role.createdAt.toISOString(),
    ...(holders ? { holders } : {}),
  }
}

function checkRole(resource: Resource, name: string, scope: readonly string[]): void {
  // It goes into the claim `roles` of tokens: one word, readable everywhere.
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/.test(name)) {
    throw new InvalidValueError(
      'A role is named by 1 to 100 letters, digits and . _ : / - and begins with a letter or digit.',
    )
  }
  if (scope.length === 0) throw new InvalidValueError('A role has at least one scope of its resource.')
  const owned = resource.scopes.map((each) => each.name)
  if (!isSubset(scope, owned)) {
    const missing = scope.filter((each) => !owned.includes(each))
    throw new InvalidValueError(
      `${resource.identifier} has no scope ${missing.join(', ')}. It has: ${owned.join(', ') || 'none'}.`,
    )
  }
}

/** A not-before for the holder, at the role's resource alone. */
function withdrawal(ctx: Context, role: Role, holder: RoleHolder, reason: string, by: By): NewRevocation {
  const now = ctx.clock.now()
  return {
    kind: 'role',
    target: roleTarget(holder.holder, role.resource),
    terminal: false,
    instant: now,
    expiresAt: new Date(now.getTime() + (longestAccessToken + 1) * 1000),
    audiences: [role.resource],
    reason,
    event: newEvent(ctx, {
      ...actOf(by),
      type: 'role.withdrawn',
      reason,
      ...aboutHolder(holder),
      detail: aboutRole(role),
    }),
  }
}

function aboutHolder({ kind, holder }: RoleHolder): { readonly clientId: string } | { readonly subject: string } {
  return kind === 'client' ? { clientId: holder } : { subject: holder }
}

function aboutRole({ resource, name }: Role): { readonly resource: string; readonly role: string } {
  return { resource, role: name }
}

function isUnknown(identifier: string, name: string): NotFoundError {
  return new NotFoundError('role', `${identifier} has no role ${name}.`)
}
