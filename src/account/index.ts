// Owns the pages under /account: what a person who is signed in sees and does for themselves, without an application.

export { accountRoutes } from './account.route.js'
