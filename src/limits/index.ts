// Owns the limits on requests that succeed: tiers, how they are counted over all processes, and what answers say of them.

export { countOrigin, countRequest, countUser, limitsOrigins } from './count-request.js'
export { countExactly, type Excess, excessOf } from './exact.js'
export { rateLimitFields } from './fields.js'
export { conform, type Policy } from './gcra.js'
export { joinFields } from './join-fields.js'
export type { Verdict } from './leases.js'
export { limitOrigins } from './limit-origins.js'
export { requireNamedTiers } from './named-tiers.js'
export { createRateLimits, type Lease, type RateLimits } from './rate-limits.js'
export {
  createTier,
  deleteTier,
  describeTier,
  findTier,
  listTiers,
  type TierNumbers,
  type TierPolicy,
  updateTier,
} from './tiers.js'
