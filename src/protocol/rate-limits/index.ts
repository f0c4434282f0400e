// Owns POST /rate-limits: what APIs lease of their tiers.

export { rateLimitsRoute } from './rate-limits.route.js'
