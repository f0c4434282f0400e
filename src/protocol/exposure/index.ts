// Owns what becomes of requests in whose address a key stands.

export { refuseKeysInAddress } from './refuse-keys.js'
