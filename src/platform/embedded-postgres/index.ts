// Owns the default database of `npm start`: a real PostgreSQL from an npm package, with its data in DATA_DIR.
//
// Who may run it and where it lies: account.ts, binaries.ts, home.ts. Its first start: cluster.ts. Its life is counted
// by holders.ts: whoever uses it holds the write end of a FIFO, and when the last one has gone, however it went, the
// kernel tells a small watchdog, which stops PostgreSQL. open.ts puts these together.

export { AlreadyRunningError, EmbeddedPostgresError } from './errors.js'
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, openEmbeddedPostgres } from './open.js'
