import type { By } from '../audit/index.js'
import type { Context } from '../context.js'
import { countExactly } from '../limits/index.js'
import { TooManyRequestsError } from '../oauth/index.js'
import type { ApiKeyOwner } from '../store/index.js'
import { aboutOwner } from './create.js'

/**
 * Counts what an owner does by themselves about their keys: each key that was made stays in the table when it is over, and each
 * change in the audit. An end is not counted: it needs a key that was made, and nobody who has to end one is held up.
 *
 * @throws {TooManyRequestsError}
 */
export async function countOwnChange(ctx: Context, owner: ApiKeyOwner, { actor, origin }: By): Promise<void> {
  const { quota: limit } = ctx.config.apiKeys
  const key = `api keys\0${owner.kind}\0${owner.id}`
  const excess = await countExactly(ctx, key, { name: 'api-keys', limit, window: 3600, burst: limit })
  if (!excess) return
  const reason = 'api_key_quota'
  ctx.audit.count({ type: 'api_key.refused', actor, ...aboutOwner(owner), reason, ip: origin?.ip })
  throw new TooManyRequestsError('API keys were made, rotated or changed too often. Try again later.', {
    reason,
    ...excess,
  })
}
