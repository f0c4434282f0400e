// `@ostiary/resource-server` as an API has it, with credentials, at one of several processes of a server.

import { apiKey, bearer, protect } from '../packages/resource-server/dist/index.js'

/** What the server calls itself, wherever its processes listen. */
export const issuer = 'http://localhost:3000'

/**
 * Resolves when it has all that is revoked.
 *
 * @param site its `audience` and `api`
 * @param jwk one more key, beside those of the server
 */
export async function openVerifier({ audience, api: { resource, clientSecret } }, origin, jwk) {
  const warnings = []
  const verifier = await protect({
    issuer,
    audience,
    credentials: { clientId: resource.clientId, clientSecret },
    schemes: [bearer, apiKey()],
    startTimeout: 100_000,
    warn: (message) => warnings.push(message),
    platform: {
      async fetch(url, init) {
        const response = await fetch(url.replace(issuer, origin), init)
        if (!jwk || url !== `${issuer}/jwks`) return response
        const { keys } = await response.json()
        return new Response(JSON.stringify({ keys: [...keys, jwk] }))
      },
    },
  })
  const { state, problem } = verifier.health()
  if (state !== 'ready') throw new Error(`a verifier is ${state}: ${problem ?? warnings.join(' ')}`)
  return verifier
}

/** Whether it refuses the token, for no other reason than that it was revoked. */
export async function refuses(verifier, token) {
  const decision = await verifier.check({ headers: { authorization: `Bearer ${token}` } })
  if (decision.ok) return false
  if (decision.reason === 'revoked') return true
  throw new Error(`a token is refused: ${decision.reason}`)
}
