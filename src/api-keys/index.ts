// Owns API keys: long-lived credentials of programs, with the scopes, roles, audit and revocation of tokens.

export { type ApiKeyChangeRequest, changeApiKey } from './change.js'
export { type ApiKeyProblem, checkApiKey, checkSigningKey } from './check.js'
export { type CreatedApiKey, createApiKey, type NewApiKeyRequest } from './create.js'
export { type ApiKeyPage, describeApiKey, findApiKey, isUnknown, listApiKeys, pageOfApiKeys } from './describe.js'
export { type EndedApiKeys, endApiKey, endApiKeys } from './end.js'
export { apiKeyPattern, isApiKeyId, looksLikeApiKey, parseApiKey } from './format.js'
export { defaultOverlap, rotateApiKey } from './rotate.js'
