// Owns clients: what they register, how they prove who they are, and the questions that the protocol asks about them.

export { authenticateClient, authenticationMethods } from './authentication/index.js'
export { type Client, type ClientDirectory, createClientDirectory } from './directory.js'
export * from './metadata.js'
export {
  createClient,
  defaultSecretOverlap,
  deleteClient,
  describeClient,
  disableClient,
  enableClient,
  endAndRemoveClient,
  findClient,
  listClients,
  type RegisteredClient,
  type RegistrationOptions,
  registerClient,
  rotateSecret,
  toRegistration,
  updateClient,
} from './registration.js'
export { type CreatedResource, createResource, deleteResource } from './resource-servers.js'
export { generateSecret, hashSecret, strongSecretLength } from './secrets.js'
export { type ClientUseTrail, createClientUseTrail } from './use.js'
