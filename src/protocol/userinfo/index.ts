// Owns /userinfo: what a client may hear of its user. OIDC Core §5.3.

export { userInfoRoute } from './userinfo.route.js'
