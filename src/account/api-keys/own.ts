import { countOwnChange, findApiKey, isApiKeyId, stateOf } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { PageError } from '../../http/index.js'
import { TooManyRequestsError } from '../../oauth/index.js'
import { NotFoundError } from '../../platform/administration-errors.js'
import { type ApiKey, type ApiKeyOwner, type Session, users } from '../../store/index.js'
import { errorTexts } from '../../ui/index.js'
import type { AccountVisit } from '../frame.js'
import type { KeyView } from './key-facts.js'

/** Here an administrator is a user like any other. */
export function ownerOf({ userId }: Pick<Session, 'userId'>): ApiKeyOwner {
  return { kind: 'user', id: userId }
}

/**
 * The key of this address, if it is this person's own.
 *
 * @throws {PageError} 404, the same for a key of somebody else and for none (attack 114)
 */
export async function findOwnKey(ctx: Context, { id, session, base, by }: AccountVisit): Promise<ApiKey> {
  const key = isApiKeyId(id) ? await findIfAny(ctx, id) : undefined
  if (key && isOwn(key, session)) return key
  const { message, advice } = errorTexts.apiKeyUnknown
  const actions = [{ href: `${base}/api-keys`, label: 'Your API keys' }]
  const reason = key ? 'key_of_another' : 'key_unknown'
  const error = new PageError(message, { status: 404, reason, advice, actions })
  // Whoever tries the ids of others is seen.
  if (key) {
    const event = { type: 'api_key.refused', subject: session.userId, reason, detail: { key: id } }
    ctx.audit.count({ ...event, actor: by.actor, ip: by.origin?.ip })
    ctx.audit.told(error)
  }
  throw error
}

/** The same where none is an answer too. */
export async function findOwnKeyIfAny(ctx: Context, session: Session, id: string): Promise<ApiKey | undefined> {
  const key = await findIfAny(ctx, id)
  return key && isOwn(key, session) ? key : undefined
}

function isOwn({ owner }: ApiKey, { userId }: Session): boolean {
  return owner.kind === 'user' && owner.id === userId
}

async function findIfAny(ctx: Context, id: string): Promise<ApiKey | undefined> {
  try {
    return await findApiKey(ctx, id)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

/** Counts a form that makes, rotates or changes a key. @throws {PageError} 429 */
export async function countForm(ctx: Context, { session, base, by }: AccountVisit): Promise<void> {
  try {
    await countOwnChange(ctx, ownerOf(session), by)
  } catch (error) {
    if (!(error instanceof TooManyRequestsError)) throw error
    const { reason, status, retryAfter = 1, headers } = error
    const { message, advice } = errorTexts.apiKeyQuota
    const actions = [{ href: `${base}/api-keys`, label: 'Your API keys' }]
    throw new PageError(message, { status, reason, retryAfter, headers, advice, actions, cause: error })
  }
}

/** The same with what bounds it besides. Readers of the page that a publishable key stands in are anywhere. */
export async function wholeViewOf(ctx: Context, key: ApiKey, base: string): Promise<KeyView> {
  const view = await viewOf(ctx, key, base)
  if (key.kind === 'publishable') return view
  const owner = await users.findById(ctx.db, key.owner.id)
  return { ...view, ownerNetworks: owner?.allowedNetworks }
}

/** A key as the pages show it. */
export async function viewOf(ctx: Context, key: ApiKey, base: string): Promise<KeyView> {
  const { createdByClient } = key
  const client = createdByClient === undefined ? undefined : await ctx.clients.find(createdByClient)
  return {
    ...key,
    href: `${base}/api-keys/${key.id}`,
    successorHref: key.successor === undefined ? undefined : `${base}/api-keys/${key.successor}`,
    state: stateOf(key, ctx.clock.now()),
    resources: key.resources.map((identifier) => ctx.resources.find(identifier)?.name ?? identifier),
    through: client?.clientName ?? createdByClient,
  }
}
