import type { Context } from '../context.js'
import type { Config } from '../platform/config/index.js'

/** A setting that names a tier. */
export interface NamedTier {
  readonly setting: string
  readonly tier: string
}

/** Those that are set. */
export function namedTiers({ limits }: Pick<Config, 'limits'>): readonly NamedTier[] {
  const { rateTierAddress, rateTierNetwork, rateTierUser } = limits
  const all = [
    ['RATE_TIER_ADDRESS', rateTierAddress],
    ['RATE_TIER_NETWORK', rateTierNetwork],
    ['RATE_TIER_USER', rateTierUser],
  ] as const
  return all.flatMap(([setting, tier]) => (tier === undefined ? [] : [{ setting, tier }]))
}

/**
 * For the start of a server: a setting that limits nothing must not look as if it did.
 *
 * @throws {Error} where a setting names a tier that there is not
 */
export function requireNamedTiers({ config, rateLimits }: Pick<Context, 'config' | 'rateLimits'>): void {
  const missing = namedTiers(config).filter(({ tier }) => !rateLimits.tiers.find(tier))
  if (missing.length === 0) return
  const lines = missing.map(
    ({ setting, tier }) =>
      `${setting} names the tier ${tier}, and there is none of that name. ` +
      `Make it first: ostiary tier create ${tier} --limit REQUESTS --window SECONDS`,
  )
  throw new Error(lines.join('\n'))
}
