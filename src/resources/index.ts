// Owns the APIs that tokens are for (RFC 8707): what they are called, which scopes they have, who may hold those by role.

export type { HeldRole, Resource, ResourceScope } from '../store/index.js'
export { createResourceCatalogue, type ResourceCatalogue } from './catalogue.js'
export {
  type ChangedResource,
  describeResource,
  findResource,
  listResources,
  sharedScopeWarnings,
  updateResource,
} from './registration.js'
export {
  createRole,
  deleteRole,
  describeRole,
  findRole,
  grantRole,
  listRoles,
  type NewRole,
  withdrawRole,
} from './role-registration.js'
export { allowedByRoles } from './roles.js'
export {
  applySettings,
  type ClearableSetting,
  checkIdentifier,
  newResource,
  type ResourceSettings,
  resourceClaims,
  resourceSigningAlgs,
  tokenFormats,
} from './settings.js'
