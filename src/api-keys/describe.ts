import type { Context } from '../context.js'
import { rotationDueAt } from '../notices/index.js'
import { NotFoundError } from '../platform/administration-errors.js'
import { type ApiKey, type ApiKeyFilter, type ApiKeyPosition, type ApiKeyState, apiKeys } from '../store/index.js'
import { isApiKeyId } from './format.js'

/** @throws {NotFoundError} */
export async function findApiKey(ctx: Context, id: string): Promise<ApiKey> {
  const found = await apiKeys.find(ctx.db, id)
  if (!found) throw isUnknown(id)
  return found.key
}

/** What is no id is not repeated: it may be a whole key, and the answer end up in a log. */
export function isUnknown(id: string): NotFoundError {
  return new NotFoundError('api-key', isApiKeyId(id) ? `There is no API key ${id}.` : 'That is no id of an API key.')
}

/** Oldest first. */
export function listApiKeys(ctx: Context, filter: ApiKeyFilter): Promise<readonly ApiKey[]> {
  return apiKeys.list(ctx.db, filter)
}

/** What one page holds, and where the next one begins, if there is more. */
export interface ApiKeyPage {
  readonly keys: readonly ApiKey[]
  readonly next?: ApiKeyPosition | undefined
}

/** Oldest first. */
export async function pageOfApiKeys(
  ctx: Context,
  filter: ApiKeyFilter & { readonly state?: ApiKeyState | undefined },
  { after, limit }: { readonly after?: ApiKeyPosition | undefined; readonly limit: number },
): Promise<ApiKeyPage> {
  const found = await apiKeys.page(ctx.db, filter, { after, limit: limit + 1, now: ctx.clock.now() })
  const keys = found.slice(0, limit)
  return { keys, next: found.length > limit ? keys.at(-1) : undefined }
}

/** What its owner and administrators see of a key. Its secret is kept nowhere. */
export function describeApiKey(ctx: Context, key: ApiKey): Record<string, unknown> {
  return {
    id: key.id,
    kind: key.kind,
    prefix: key.prefix,
    environment: key.environment,
    owner: { kind: key.owner.kind, id: key.owner.id },
    name: key.name,
    description: key.description,
    scope: key.scope.join(' '),
    resources: key.resources,
    networks: key.networks,
    origins: key.kind === 'publishable' ? key.origins : undefined,
    tier: key.tier,
    managed: key.managed,
    created_by_client: key.createdByClient,
    jwk: key.publicJwk,
    state: stateOf(key, ctx.clock.now()),
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? 'never',
    rotation_due_at: rotationDueAt(ctx, key)?.toISOString(),
    rotated_at: key.rotatedAt?.toISOString(),
    successor: key.successor,
    ended_at: key.endedAt?.toISOString(),
    end_reason: key.endReason,
    exposed_at: key.exposedAt?.toISOString(),
    last_used_at: key.lastUsedAt?.toISOString(),
    last_used_from: key.lastUsedFrom,
  }
}

/** `rotated`: it has a successor, and is good until its overlap is over. `apiKeys.page` asks the same in SQL. */
export function stateOf(key: ApiKey, now: Date): ApiKeyState {
  if (key.endedAt) return 'ended'
  if (key.expiresAt && key.expiresAt <= now) return 'expired'
  return key.successor === undefined ? 'live' : 'rotated'
}

/** It is good for nothing any more. */
export function isOver(key: ApiKey, now: Date): boolean {
  return ['ended', 'expired'].includes(stateOf(key, now))
}
