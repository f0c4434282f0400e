// Owns POST /revoke (RFC 7009), and what others hear of revocations: the feed and its snapshot, and what is sent to receivers.

export { feedRoute } from './feed.route.js'
export { authorizeResourceServer, type ResourceServer } from './resource-server.js'
export { revokeRoute } from './revoke.route.js'
export { revokeTokenValue } from './revoke-token.js'
export { nameReceivers, pushRevocation, securityEventType } from './security-event.js'
export { snapshotRoute } from './snapshot.route.js'
