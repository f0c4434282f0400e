// Owns POST /introspect (RFC 7662): what a token or an API key is worth now.

export { scopeAt } from './api-key.js'
export { introspectRoute } from './introspect.route.js'
export { type PresentedToken, readAccessToken } from './read-token.js'
