// Owns what the server says about itself: metadata (RFC 8414) and the JWKS.

export { discoveryRoutes, issuerPath } from './discovery.route.js'
