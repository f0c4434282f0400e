// Owns what clients register of themselves: dynamic client registration (RFC 7591, OIDC Registration 1.0) and its management
// (RFC 7592), the policy that bounds it, and the tokens that permit it.

export { checkAddresses, checkNewSector } from './addresses.js'
export {
  createInitialAccessToken,
  describeInitialAccessToken,
  listInitialAccessTokens,
  revokeInitialAccessToken,
} from './initial-access-tokens.js'
export { type RegistrationPolicy, readRegistration, registrable, serverSet } from './policy.js'
export { countRegistration } from './quota.js'
export { policyOf } from './register.js'
export { registrationRoutes, takesRegistrations } from './register.route.js'
