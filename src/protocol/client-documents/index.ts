// Owns clients that a document at their client_id describes (draft-ietf-oauth-client-id-metadata-document, here CIMD): which
// address may be one, what is read there and for how long it counts.

export { type ClientDocuments, createClientDocuments } from './client-documents.js'
