// Owns /authorize: a request in, a code or an error out.

export { authorizeRoute } from './authorize.route.js'
export { authorizationEnding } from './respond.js'
