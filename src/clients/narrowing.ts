import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { isSubset } from '../oauth/index.js'
import { isNoWider } from '../platform/network.js'
import { narrowKeysOf } from '../revocation/index.js'
import type { Db, NewRevocation, StoredClient } from '../store/index.js'

type Reach = Pick<StoredClient, 'scope' | 'allowedResources' | 'allowedNetworks'>

/**
 * The part of a change of a registration that is about the client's API keys: where it became narrower they may do less, or be
 * used from fewer places. The caller holds the lock of revocations.
 *
 * @returns what the caller covers after the commit
 */
export async function narrowKeys(
  ctx: Context,
  tx: Db,
  { clientId, before, after, by }: { clientId: string; before: Reach; after: Reach; by: By },
): Promise<NewRevocation | undefined> {
  if (!isNarrower(before, after)) return undefined
  return narrowKeysOf(ctx, tx, { kind: 'client', id: clientId }, { ...by, reason: 'client_narrowed' })
}

function isNarrower(before: Reach, after: Reach): boolean {
  const fewerResources =
    after.allowedResources.length > 0 &&
    (before.allowedResources.length === 0 || !isSubset(before.allowedResources, after.allowedResources))
  const fewerNetworks = !isNoWider(before.allowedNetworks, after.allowedNetworks)
  return fewerResources || fewerNetworks || !isSubset(before.scope, after.scope)
}
