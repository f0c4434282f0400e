// Owns POST /introspect (RFC 7662): what a token or an API key is worth now.

export { introspectRoute } from './introspect.route.js'
export { type PresentedToken, readAccessToken } from './read-token.js'
