// Owns POST /revoke (RFC 7009). Later the revocation feed and status lists.

export { revokeRoute } from './revoke.route.js'
export { revokeTokenValue } from './revoke-token.js'
