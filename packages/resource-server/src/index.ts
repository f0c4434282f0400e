// Protects an API with the access tokens of an Ostiary server: the core, for any runtime with fetch and WebCrypto.

export type { AccessToken } from './access-token.js'
export type { Decision, Granted, Refusal } from './decision.js'
export { ConfigurationError } from './errors.js'
export type { ProtectOptions } from './options.js'
export type { Platform } from './platform.js'
export type { Reason, RequestProblem, RequirementProblem, TokenProblem, Unavailable } from './problems.js'
export { type Api, type Check, type Health, type Lack, protect } from './protect.js'
export type { RequestLike } from './request.js'
export type { Requirement } from './requirement.js'
export { bearer } from './schemes/bearer.js'
export type { Scheme, Shown } from './schemes/scheme.js'
export type { Credentials } from './service-token.js'
