// Owns people: who they are, how they sign in, and the sessions they have.

export { rememberDevice } from './authentication/known-device.js'
export { type Authenticated, authenticateByPassword, type PasswordCredentials } from './authentication/password.js'
export { normaliseEmail } from './email.js'
export {
  endSession,
  findSession,
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
} from './users.js'
