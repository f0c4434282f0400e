// Owns the limits on requests that succeed: tiers, how they are counted over all processes, and what answers say of them.

export { countRequest } from './count-request.js'
export { countExactly } from './exact.js'
export { rateLimitFields } from './fields.js'
export type { Policy } from './gcra.js'
export type { Verdict } from './leases.js'
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
