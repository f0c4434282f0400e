// Owns API keys by HTTP: users and clients manage their own, administrators all.

export { apiKeysApi } from './api.js'
export { apiKeyRoutes } from './api-keys.route.js'
