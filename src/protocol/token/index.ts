// Owns POST /token: the grant types, one file each.

export { grantTypes } from './grant-types/index.js'
export { tokenRoute } from './token.route.js'
