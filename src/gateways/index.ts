// Owns gateways: proxies in front of APIs, what each requires of its callers, and the client as which it identifies itself.

export type { AcceptedCredential, Gateway } from '../store/index.js'
export { acceptedNow } from './accepted.js'
export { createGatewayCatalogue, type GatewayCatalogue } from './catalogue.js'
export {
  acceptedCredentials,
  createGateway,
  deleteGateway,
  describeGateway,
  findGateway,
  type GatewaySettings,
  listGateways,
  longestTokenLifetime,
  updateGateway,
} from './registration.js'
