// `@ostiary/resource-server` as an API has it, with credentials, at one of several processes of a server.

import { protect } from '../packages/resource-server/dist/index.js'

/** What the server calls itself, wherever its processes listen. */
export const issuer = 'http://localhost:3000'

/** Resolves when it has all that is revoked. @param site its `audience` and `api` */
export async function openVerifier({ audience, api: { resource, clientSecret } }, origin) {
  const warnings = []
  const verifier = await protect({
    issuer,
    audience,
    credentials: { clientId: resource.clientId, clientSecret },
    startTimeout: 100_000,
    warn: (message) => warnings.push(message),
    platform: { fetch: (url, init) => fetch(url.replace(issuer, origin), init) },
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
