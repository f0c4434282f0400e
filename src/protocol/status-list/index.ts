// Owns the public lists by which anybody can see that an access token was revoked (Token Status List,
// draft-ietf-oauth-status-list).

export { statusListRoutes } from './status-list.route.js'
