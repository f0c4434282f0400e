import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { isSubset } from '../oauth/index.js'
import { describeRevocation } from '../revocation/index.js'
import { apiKeys, type Db, type NewRevocation, revocations, type StoredClient } from '../store/index.js'

type Reach = Pick<StoredClient, 'scope' | 'allowedResources'>

/**
 * The part of a change of a registration that is about the client's API keys. These live on where it became narrower, and may
 * do less (attack 115): whoever remembers one asks again, and what was exchanged for one ends. The caller holds the lock of
 * revocations.
 *
 * @returns what the caller covers after the commit
 */
export async function narrowKeys(
  ctx: Context,
  tx: Db,
  { clientId, before, after, by }: { clientId: string; before: Reach; after: Reach; by: By },
): Promise<NewRevocation | undefined> {
  const owner = { kind: 'client', id: clientId } as const
  if (!isNarrower(before, after)) return undefined
  if ((await apiKeys.page(tx, { owner }, { limit: 1, now: ctx.clock.now() })).length === 0) return undefined
  const cause = { ...by, reason: 'client_narrowed' }
  const described = describeRevocation(ctx, { kind: 'api_keys', set: { kind: 'owner', owner } }, cause)
  const revocation = { ...described, event: { ...described.event, type: 'api_keys.changed', clientId } }
  await revocations.create(tx, revocation)
  return revocation
}

function isNarrower(before: Reach, after: Reach): boolean {
  const fewerResources =
    after.allowedResources.length > 0 &&
    (before.allowedResources.length === 0 || !isSubset(before.allowedResources, after.allowedResources))
  return fewerResources || !isSubset(before.scope, after.scope)
}
