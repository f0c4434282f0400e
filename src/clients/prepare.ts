import type { Context } from '../context.js'
import { InvalidClientMetadataError } from '../oauth/index.js'
import { partitions, tiers } from '../store/index.js'
import { spansOneResource } from './default-scope.js'
import type { ClientMetadata } from './metadata.js'

/**
 * What is checked against what else there is, and made, before metadata is stored.
 *
 * @throws {InvalidClientMetadataError}
 */
export async function prepareFor(ctx: Context, metadata: ClientMetadata): Promise<void> {
  await checkScopes(ctx, metadata)
  await checkTier(ctx, metadata)
  await ensureReach(ctx, metadata)
  await ensureKeys(ctx, metadata)
}

/** @throws {InvalidClientMetadataError} when a request without a scope could not tell which resource it is for */
async function checkScopes(ctx: Context, metadata: ClientMetadata): Promise<void> {
  if (metadata.defaultScope.length === 0) return
  await ctx.resources.refresh()
  if (spansOneResource(ctx, metadata, metadata.defaultScope)) return
  throw new InvalidClientMetadataError(
    'default_scope does not say which resource it is for: choose scopes that one resource, and no other, owns all of.',
    { reason: 'default_scope_ambiguous', field: 'default_scope' },
  )
}

/** @throws {InvalidClientMetadataError} */
async function checkTier(ctx: Context, { rateTier }: ClientMetadata): Promise<void> {
  if (rateTier === undefined || (await tiers.find(ctx.db, rateTier))) return
  throw new InvalidClientMetadataError(`rate_tier names the tier ${rateTier}, which there is not.`, {
    reason: 'tier_unknown',
    field: 'rate_tier',
  })
}

/** A client whose grants live longer than all others' needs their partitions to be there. */
async function ensureReach(ctx: Context, { refreshTokenLifetime = 0 }: ClientMetadata): Promise<void> {
  const horizon = await partitions.horizonOf(ctx.db, ctx.config)
  if (refreshTokenLifetime <= horizon.grantLifetime) return
  await partitions.ensurePartitions(ctx.db.pool, { ...horizon, grantLifetime: refreshTokenLifetime }, ctx.clock.now())
}

/** What its ID tokens and UserInfo are signed by: from here on it is published. */
async function ensureKeys(ctx: Context, metadata: ClientMetadata): Promise<void> {
  const { idTokenSignedResponseAlg, userinfoSignedResponseAlg } = metadata
  const algs = [idTokenSignedResponseAlg, userinfoSignedResponseAlg].filter((alg) => alg !== undefined)
  if (algs.length > 0) await ctx.keys.ensure(algs)
}
