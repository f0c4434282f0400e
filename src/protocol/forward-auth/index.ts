// Owns /forward-auth/NAME: whether a gateway may pass on what it got, and the token that it passes on in place of the
// credential.

export { forwardAuthRoute } from './forward-auth.route.js'
export { gatewayTokenType } from './gateway-token.js'
