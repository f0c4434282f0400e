// Owns API keys: long-lived credentials of programs, with the scopes, roles, audit and revocation of tokens.

export { type ApiKeyChangeRequest, changeApiKey } from './change.js'
export { type ApiKeyProblem, checkApiKey, checkSigningKey, type ShownApiKey, showApiKey } from './check.js'
export { aboutOwner, type CreatedApiKey, createApiKey, type NewApiKeyRequest } from './create.js'
export { type ApiKeyPage, describeApiKey, findApiKey, isUnknown, listApiKeys, pageOfApiKeys } from './describe.js'
export { type EndedApiKeys, endApiKey, endApiKeys } from './end.js'
export { apiKeyPattern, isApiKeyId, looksLikeApiKey, parseApiKey } from './format.js'
export { presentApiKey } from './present.js'
export { defaultOverlap, longestExchanged, rotateApiKey } from './rotate.js'
export { type ApiKeyUseTrail, createApiKeyUseTrail } from './use.js'
