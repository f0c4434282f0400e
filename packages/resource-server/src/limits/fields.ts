import type { Policy } from './gcra.js'
import type { Verdict } from './leases.js'

/** The policy as it stands in every answer: written once. */
const policies = new WeakMap<Policy, string>()

/**
 * What an answer says of the limit, as draft-ietf-httpapi-ratelimit-headers has it (read as -10): the policy, how many
 * requests are left, and when all of them are there again. The name of a tier has no character that must be escaped.
 */
export function rateLimitFields({ policy, remaining, reset }: Verdict): Readonly<Record<string, string>> {
  let described = policies.get(policy)
  if (described === undefined) {
    described = `"${policy.name}";q=${policy.limit};w=${policy.window}`
    policies.set(policy, described)
  }
  return { 'RateLimit-Policy': described, RateLimit: `"${policy.name}";r=${remaining};t=${reset}` }
}
