export { drawOpaque, type Opaque, type OpaquePrefix, readOpaque } from '../platform/crypto/opaque.js'
