// Owns POST /revoke (RFC 7009), and what resource servers hear of revocations: the feed and its snapshot.

export { feedRoute } from './feed.route.js'
export { revokeRoute } from './revoke.route.js'
export { revokeTokenValue } from './revoke-token.js'
export { snapshotRoute } from './snapshot.route.js'
