// Owns API keys by HTTP: users and clients manage their own, administrators all.

export { apiKeyRoutes } from './api-keys.route.js'
export { openApiRoute } from './openapi.route.js'
