// Owns what becomes of requests in whose address a key stands, at endpoints that take none there.

export { refuseKeysInAddress } from './refuse-keys.js'
