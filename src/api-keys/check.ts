import type { Context } from '../context.js'
import { intersect } from '../oauth/index.js'
import { commonNetworks, isLetIn } from '../platform/network.js'
import { type ApiKey, apiKeys, type PresentedApiKey } from '../store/index.js'
import { parseApiKey } from './format.js'
import { isApiKey } from './secret.js'

/** Why a key is not good: for the audit, never for whoever showed it. */
export type ApiKeyProblem = 'key_malformed' | 'key_unknown' | 'key_ended' | 'key_expired' | 'key_owner_ended'

/** A key as it may be used now: for no more than its owner may do, and from no more networks. */
export interface UsableApiKey extends ApiKey {
  /** Its own networks and those of its owner have nothing in common: it may be used from nowhere. */
  readonly isNowhere: boolean
  /** What each use counts for; undefined: for nothing. */
  readonly limit: ApiKeyLimit | undefined
}

/** A tier, and who shares what it allows. */
export interface ApiKeyLimit {
  readonly tier: string
  /**
   * `key`: the tier is the key's own, and counts with all keys of its chain, so that a rotation gives nobody more. `client`: it is
   * the owner's, and counts with all that the client itself does, so that a key gives it no more, either.
   */
  readonly by: 'key' | 'client'
  /** Of the first key of the chain, or of the client; of its publishable keys another text. */
  readonly id: string
}

/** A key that was shown. */
export interface ShownApiKey {
  readonly problem?: ApiKeyProblem | undefined
  /** Undefined where whoever showed it has not proved to have it. */
  readonly key?: UsableApiKey | undefined
}

/** What a key is worth now, by its text. Exact: it asks the database, together with all others of this turn. */
export async function checkApiKey(ctx: Context, text: string): Promise<UsableApiKey | ApiKeyProblem> {
  const { problem, key } = await showApiKey(ctx, text)
  return problem ?? key ?? 'key_unknown'
}

/** The same, with the key where it is no good any more: for the audit. */
export async function showApiKey(ctx: Context, text: string): Promise<ShownApiKey> {
  const parsed = parseApiKey(text)
  if (!parsed) return { problem: 'key_malformed' }
  const found = await apiKeys.find(ctx.db, parsed.id)
  if (!isApiKey(ctx, text, found?.secret) || !found) return { problem: 'key_unknown' }
  return { problem: problemOf(found, ctx.clock.now()), key: usable(found) }
}

/** The same of a signing key, which is shown by its id: that the request is signed by it is for others to check. */
export async function checkSigningKey(ctx: Context, id: string): Promise<UsableApiKey | ApiKeyProblem> {
  const found = await apiKeys.find(ctx.db, id)
  if (found?.key.kind !== 'signing') return 'key_unknown'
  return problemOf(found, ctx.clock.now()) ?? usable(found)
}

/** Whether a key may be used from an address: its own networks and, but for a publishable one, those of its owner must let it in. */
export function mayBeUsedFrom({ isNowhere, networks }: UsableApiKey, address: string | undefined): boolean {
  return !isNowhere && isLetIn(address, networks)
}

/** The id that stands for all keys of a chain of rotations. */
export function chainOf({ id, chain = id }: Pick<ApiKey, 'id' | 'chain'>): string {
  return chain
}

/** Worked out once for each state of a row: a key that is used again and again is read as the same object. */
const known = new WeakMap<PresentedApiKey, UsableApiKey>()

function usable(presented: PresentedApiKey): UsableApiKey {
  let key = known.get(presented)
  if (!key) {
    const { networks, kind } = presented.key
    // Whoever reads the page shows such a key, from wherever they are: its origins bound it, and networks of its own.
    const ofOwner = kind === 'publishable' ? [] : presented.ownerNetworks
    const common = commonNetworks(networks, ofOwner)
    const place = { networks: common ?? networks, isNowhere: common === undefined }
    key = { ...withinOwner(presented), ...place, limit: limitOf(presented) }
    known.set(presented, key)
  }
  return key
}

function limitOf({ key, registration }: PresentedApiKey): ApiKeyLimit | undefined {
  if (key.tier !== undefined) return { tier: key.tier, by: 'key', id: chainOf(key) }
  const tier = registration?.tier
  if (tier === undefined) return undefined
  // Whoever reads the page has such a key, and must not use up what the client itself has: all of them together have as much.
  const id = key.kind === 'publishable' ? `${key.owner.id}\0publishable` : key.owner.id
  return { tier, by: 'client', id }
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
