// Owns /authorize: a request in, a code or an error out.

export { prompts } from './authorization-request.js'
export { authorizeRoute } from './authorize.route.js'
export { requestableClaims } from './identity-request.js'
export { requestObjectAlgs } from './request-object.js'
export { authorizationEnding } from './respond.js'
export { responseModes } from './response-channel.js'
