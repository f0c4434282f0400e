// Owns GET /openapi.json: what the APIs of JSON take and answer.

export { openApiRoute } from './openapi.route.js'
