// Owns clients: what they register, how they prove who they are, and the questions that the protocol asks about them.

export { authenticateClient, authenticationMethods, type Place } from './authentication/index.js'
export { describeClient, describeSelfRegistration, toRegistration } from './describe.js'
export { type Client, type ClientDirectory, createClientDirectory } from './directory.js'
export { findClient, isDocumentOff, listClients, usesSecret } from './find.js'
export { type ClientKeys, ClientKeysAwayError, createClientKeys, signatureProblem } from './keys/index.js'
export * from './metadata.js'
export { openIdSigningAlgs } from './openid-metadata.js'
export { needsPkce } from './pkce.js'
export { registeredRedirectUris } from './redirect-uris.js'
export {
  type ClientChange,
  changeClient,
  createClient,
  type RegisteredClient,
  type RegistrationOptions,
  registerClient,
  supported as supportedMetadata,
  updateClient,
} from './registration.js'
export { type CreatedResource, createResource, deleteResource } from './resource-servers.js'
export { defaultSecretOverlap, rotateSecret } from './rotate-secret.js'
export { findKeyedSecret, firstSecretEnd, generateSecret, hashSecret, strongSecretLength } from './secrets.js'
export { sectorOf } from './sector.js'
export { shareOf } from './share.js'
export { deleteClient, disableClient, enableClient, endAndRemoveClient } from './state.js'
export { type ClientUseTrail, countIssued, createClientUseTrail, keepUsed } from './use.js'
