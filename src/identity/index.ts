// Owns people: who they are, how they sign in, and the sessions they have.

export { type AuthenticationContext, acrValues, byPassword } from './authentication/context.js'
export { rememberDevice } from './authentication/known-device.js'
export { type Authenticated, authenticateByPassword, type PasswordCredentials } from './authentication/password.js'
export { claimsAbout, claimsOfScope, type KnownUser, readProfile, scopeOfClaim, userClaimNames } from './claims.js'
export { createUserDirectory, type UserDirectory } from './directory.js'
export { normaliseEmail } from './email.js'
export {
  endSession,
  findSession,
  findSessionAnywhere,
  type NewLogin,
  type StartedSession,
  startSession,
} from './sessions/sessions.js'
export {
  createUser,
  describeUser,
  disableUser,
  enableUser,
  findUser,
  listUsers,
  type NewUser,
  setPassword,
  type UserChange,
  updateUser,
} from './users.js'
