import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { type ApiKeyOwner, apiKeys, type Db, type NewRevocation, revocations } from '../store/index.js'
import { describeRevocation } from './revoke.js'

/**
 * The part of a change of an owner that is about their API keys, which live on and may do less (attack 115): whoever remembers
 * one asks again, and what was exchanged for one ends. The caller holds the lock of revocations.
 *
 * @returns what the caller covers after the commit; undefined where the owner has no keys
 */
export async function narrowKeysOf(
  ctx: Context,
  tx: Db,
  owner: ApiKeyOwner,
  cause: By & { readonly reason: string },
): Promise<NewRevocation | undefined> {
  if ((await apiKeys.page(tx, { owner }, { limit: 1, now: ctx.clock.now() })).length === 0) return undefined
  const described = describeRevocation(ctx, { kind: 'api_keys', set: { kind: 'owner', owner } }, cause)
  const about = owner.kind === 'client' ? { clientId: owner.id } : { subject: owner.id }
  const revocation = { ...described, event: { ...described.event, ...about, type: 'api_keys.changed' } }
  await revocations.create(tx, revocation)
  return revocation
}
