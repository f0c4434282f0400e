// Owns POST /usage: what APIs report of the credentials that they were shown.

export { usageRoute } from './usage.route.js'
