import type { Context } from '../context.js'
import { intersect } from '../oauth/index.js'
import { type ApiKey, apiKeys, type PresentedApiKey } from '../store/index.js'
import { parseApiKey } from './format.js'
import { isApiKey } from './secret.js'

/** Why a key is not good: for the audit, never for whoever showed it. */
export type ApiKeyProblem = 'key_malformed' | 'key_unknown' | 'key_ended' | 'key_expired' | 'key_owner_ended'

/** A key that was shown. */
export interface ShownApiKey {
  readonly problem?: ApiKeyProblem | undefined
  /** Undefined where whoever showed it has not proved to have it. */
  readonly key?: ApiKey | undefined
}

/** What a key is worth now, by its text. Exact: it asks the database, together with all others of this turn. */
export async function checkApiKey(ctx: Context, text: string): Promise<ApiKey | ApiKeyProblem> {
  const { problem, key } = await showApiKey(ctx, text)
  return problem ?? key ?? 'key_unknown'
}

/** The same, with the key where it is no good any more: for the audit. */
export async function showApiKey(ctx: Context, text: string): Promise<ShownApiKey> {
  const parsed = parseApiKey(text)
  if (!parsed) return { problem: 'key_malformed' }
  const found = await apiKeys.find(ctx.db, parsed.id)
  if (!isApiKey(ctx, text, found?.secret) || !found) return { problem: 'key_unknown' }
  return { problem: problemOf(found, ctx.clock.now()), key: withinOwner(found) }
}

/** The same of a signing key, which is shown by its id: that the request is signed by it is for others to check. */
export async function checkSigningKey(ctx: Context, id: string): Promise<ApiKey | ApiKeyProblem> {
  const found = await apiKeys.find(ctx.db, id)
  if (found?.key.kind !== 'signing') return 'key_unknown'
  return problemOf(found, ctx.clock.now()) ?? withinOwner(found)
}

/** The key with what its owner may still do: a client's registration may have become narrower since it was made. */
export function withinOwner({ key, registration }: PresentedApiKey): ApiKey {
  if (!registration) return key
  const { scope, resources } = registration
  return {
    ...key,
    scope: intersect(key.scope, scope),
    resources: resources.length === 0 ? key.resources : intersect(key.resources, resources),
  }
}

function problemOf({ key, ownerStands }: PresentedApiKey, now: Date): ApiKeyProblem | undefined {
  if (key.endedAt) return 'key_ended'
  if (key.expiresAt && key.expiresAt <= now) return 'key_expired'
  return ownerStands ? undefined : 'key_owner_ended'
}
