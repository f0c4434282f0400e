// Owns API keys: long-lived credentials of programs, with the scopes, roles, audit and revocation of tokens.

export { type ApiKeyChangeRequest, changeApiKey } from './change.js'
export {
  type ApiKeyProblem,
  chainOf,
  checkApiKey,
  checkSigningKey,
  mayBeUsedFrom,
  type ShownApiKey,
  showApiKey,
  type UsableApiKey,
} from './check.js'
export { countKeyRequest } from './count-request.js'
export { aboutOwner, type CreatedApiKey, createApiKey, type NewApiKeyRequest } from './create.js'
export { readCursor, writeCursor } from './cursor.js'
export { addDeprecation, deprecationFields } from './deprecation.js'
export {
  type ApiKeyPage,
  describeApiKey,
  findApiKey,
  isOver,
  isUnknown,
  listApiKeys,
  pageOfApiKeys,
  stateOf,
} from './describe.js'
export {
  continueEnd,
  type EndedApiKeys,
  type EndedTogether,
  endApiKey,
  endApiKeys,
  endApiKeysById,
  writeEnds,
} from './end.js'
export { createExposureWatch, type ExposureWatch, reportExposed } from './exposed.js'
export { apiKeyPattern, drawApiKeyId, findApiKeys, isApiKeyId, looksLikeApiKey, parseApiKey } from './format.js'
export { type LeakReport, reportLeaks } from './leaks.js'
export { kindPrefixes } from './prefix.js'
export { presentApiKey } from './present.js'
export { countOwnChange } from './quota.js'
export type { Handed, Replacing, SuccessorApiKey } from './replace.js'
export { defaultOverlap, longestExchanged, rotateApiKey } from './rotate.js'
export { type ApiKeyOutcome, type ApiKeyUseTrail, countUse, createApiKeyUseTrail } from './use.js'
