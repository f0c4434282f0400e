// Owns POST /leaks: what secret scanners report of keys that they found in public.

export { leaksApi } from './api.js'
export { leaksRoute } from './leaks.route.js'
