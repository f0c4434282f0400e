import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { isSubset } from '../oauth/index.js'
import { ConflictError, ReservedValueError } from '../platform/administration-errors.js'
import { isNoWider } from '../platform/network.js'
import { coverCommit, describeRevocation, type RevocationTarget } from '../revocation/index.js'
import { type ApiKey, type ApiKeyChange, apiKeys, revocations } from '../store/index.js'
import {
  aboutOwner,
  checkNetworks,
  checkOrigin,
  checkOwner,
  checkPublishable,
  checkScope,
  longest,
  maxDescriptionLength,
  maxNameLength,
  ownersOf,
  requireText,
} from './create.js'
import { findApiKey, isUnknown } from './describe.js'
import { invalid } from './invalid.js'
import { requireOwner } from './rotate.js'

/** What is left out stays as it is. */
export interface ApiKeyChangeRequest {
  readonly name?: string | undefined
  /** Null: none any more. */
  readonly description?: string | null | undefined
  readonly scope?: readonly string[] | undefined
  readonly networks?: readonly string[] | undefined
  readonly origins?: readonly string[] | undefined
  readonly expiresAt?: Date | 'never' | undefined
}

/**
 * Changes what a key may do and how it is called. Whoever remembers what it was worth asks again, everywhere within the
 * second.
 *
 * What an administrator said of a key its owner makes narrower alone: else a bound that was set for them would be theirs to lift.
 *
 * @param options.administrator default: the command line is one
 * @throws {NotFoundError} {InvalidValueError} {ConflictError} where the key is over
 * @throws {ReservedValueError} for what only an administrator may say
 */
export async function changeApiKey(
  ctx: Context,
  id: string,
  options: { readonly request: ApiKeyChangeRequest; readonly by: By; readonly administrator?: boolean },
): Promise<ApiKey> {
  const { request, by, administrator = by.actor === 'operator' } = options
  const checked = await checkAgainstOwner(ctx, id, request)
  const { key, made } = await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    // Under the lock: of two changes at once the second builds on the first.
    const [held] = await apiKeys.findHeld(tx, [id])
    if (!held) throw isUnknown(id)
    requireOwner(held)
    const { key: before } = held
    const now = ctx.clock.now()
    const changed = checkChange(ctx, before, { ...request, reaches: checked }, now)
    if (before.managed && !administrator) requireNoWider(ctx, before, changed, by)
    const managed = before.managed || (administrator && isBound(before, request, by)) || undefined
    const key = await apiKeys.change(tx, id, { ...changed, managed }, now)
    if (!key) throw new ConflictError(`The API key ${id} is over: make a new one.`)
    const cause = { ...by, reason: 'api_key_changed' }
    const revocation = describeRevocation(ctx, outdatedBy(before, key), cause)
    const detail = { key: id, narrower: isNarrower(before, key), ...changesOf(before, key) }
    const made = { ...revocation, event: { ...revocation.event, detail } }
    await revocations.create(tx, made)
    return { key, made }
  })
  if (made.kind === 'api_key') await coverCommit(ctx, made)
  await ctx.revocations.refresh()
  return key
}

/**
 * What others must no longer rely on. It concerns the APIs that the key was for as well as those that it is for now. A JWT
 * that was exchanged for the wider key says what that might do, and nobody asks again: it ends (attack 115).
 */
function outdatedBy(before: ApiKey, after: ApiKey): RevocationTarget {
  const { id, owner } = after
  const resources = [...new Set([...before.resources, ...after.resources])]
  return isNarrower(before, after)
    ? { kind: 'api_key', id, owner, resources, lives: true }
    : { kind: 'api_key_state', id, owner, resources }
}

type Reach = Pick<ApiKey, 'scope' | 'resources' | 'networks' | 'expiresAt'>

/** Whether it may do less than before, from fewer places, or for a shorter time. */
function isNarrower(before: Reach, after: Reach): boolean {
  return (
    !isSubset(before.scope, after.scope) ||
    !isSubset(before.resources, after.resources) ||
    !isNoWider(before.networks, after.networks) ||
    endTime(after) < endTime(before)
  )
}

function endTime({ expiresAt }: Pick<ApiKey, 'expiresAt'>): number {
  return expiresAt?.getTime() ?? Number.POSITIVE_INFINITY
}

/** Whether an administrator says what somebody else's key may do. */
function isBound({ owner }: ApiKey, { scope, networks, origins, expiresAt }: ApiKeyChangeRequest, by: By): boolean {
  if (by.actor === `${owner.kind}:${owner.id}`) return false
  return [scope, networks, origins, expiresAt].some((each) => each !== undefined)
}

/** @throws {ReservedValueError} */
function requireNoWider(ctx: Context, before: ApiKey, after: ApiKeyChange, { actor, origin }: By): void {
  const field = widened(before, after)
  if (field === undefined) return
  const event = {
    ...aboutOwner(before.owner),
    reason: 'key_widened',
    ip: origin?.ip,
    detail: { key: before.id, field },
  }
  ctx.audit.count({ type: 'api_key.refused', actor, ...event })
  const error = new ReservedValueError('An administrator said what this key may do: only they make it wider.', {
    field,
  })
  ctx.audit.told(error)
  throw error
}

/** By its name on the wire. */
function widened(before: ApiKey, after: ApiKeyChange): string | undefined {
  if (!isSubset(after.scope, before.scope) || !isSubset(after.resources, before.resources)) return 'scope'
  if (!isNoWider(after.networks, before.networks)) return 'networks'
  if (!isSubset(after.origins, before.origins)) return 'origins'
  return endTime(after) > endTime(before) ? 'expires_at' : undefined
}

/** For the audit: what was, where it is something else now. */
function changesOf(before: ApiKey, after: ApiKey): Readonly<Record<string, unknown>> {
  const told = (key: ApiKey) => ({
    name: key.name,
    description: key.description,
    scope: key.scope.join(' '),
    networks: key.networks.join(' '),
    origins: key.origins.join(' '),
    expires: key.expiresAt?.toISOString() ?? 'never',
  })
  const [was, is] = [told(before), told(after)]
  const names = (Object.keys(is) as (keyof typeof is)[]).filter((name) => was[name] !== is[name])
  return {
    before: Object.fromEntries(names.map((name) => [name, was[name]])),
    after: Object.fromEntries(names.map((name) => [name, is[name]])),
  }
}

type Reaches = Awaited<ReturnType<typeof checkOwner>>

/** Before the lock is held, by which all others wait, and with which no second connection is waited for. */
async function checkAgainstOwner(
  ctx: Context,
  id: string,
  { scope }: ApiKeyChangeRequest,
): Promise<Reaches | undefined> {
  if (!scope) return undefined
  const { owner } = await findApiKey(ctx, id)
  return checkOwner(ctx, owner, scope)
}

function checkChange(
  ctx: Context,
  before: ApiKey,
  request: ApiKeyChangeRequest & { readonly reaches: Reaches | undefined },
  now: Date,
): Omit<ApiKeyChange, 'managed'> {
  const { description } = request
  const scope = request.scope ? [...new Set(request.scope)] : before.scope
  const resources = request.scope ? resourcesOf(ctx, scope, before.resources) : before.resources
  request.reaches?.(resources)
  const origins = request.origins ? request.origins.map(checkOrigin) : before.origins
  if (before.kind === 'publishable') {
    if (request.scope || request.origins) checkPublishable({ scope, origins })
  } else if (origins.length > 0) {
    throw invalid('origins', 'Origins are for publishable keys: a secret one has no place in a browser.')
  }
  return {
    name: request.name === undefined ? before.name : requireText(request.name, 'name', maxNameLength),
    description:
      description === undefined
        ? before.description
        : description === null
          ? undefined
          : requireText(description, 'description', maxDescriptionLength),
    scope,
    resources,
    networks: request.networks ? checkNetworks(request.networks) : before.networks,
    origins,
    expiresAt: request.expiresAt === undefined ? before.expiresAt : endOf(request.expiresAt, before, now),
  }
}

/** The key stays where it was, as far as its scopes do; what it had nowhere belongs to the one resource that has it. */
function resourcesOf(ctx: Context, scope: readonly string[], before: readonly string[]): readonly string[] {
  const scopesOf = (identifier: string) => ctx.resources.find(identifier)?.scopes.map(({ name }) => name) ?? []
  const kept = before.filter((identifier) => scopesOf(identifier).some((name) => scope.includes(name)))
  const covered = new Set(kept.flatMap(scopesOf))
  const added = ownersOf(
    ctx,
    scope.filter((name) => !covered.has(name)),
  )
  return checkScope(ctx, { scope, resources: [...kept, ...added] })
}

function endOf(asked: Date | 'never', before: ApiKey, now: Date): Date | undefined {
  if (asked === 'never') {
    if (before.successor === undefined) return undefined
    throw invalid('expires_at', 'A key that has a successor ends with its overlap.')
  }
  const ahead = asked.getTime() - now.getTime()
  const overlap = before.successor === undefined ? undefined : before.expiresAt
  if (overlap && overlap > now && asked > overlap)
    throw invalid('expires_at', 'A key that has a successor ends with its overlap.')
  if (ahead > 0 && ahead <= longest * 1000) return asked
  throw invalid('expires_at', 'A key ends in the future, within ten years. To end it now, delete it.')
}
