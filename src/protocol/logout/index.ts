// Owns the end of a login: at the wish of an application (RP-Initiated Logout 1.0), and what the other applications hear of
// it (Back-Channel Logout 1.0).

export { logoutRoutes } from './logout.route.js'
export { pushLogout } from './logout-token.js'
