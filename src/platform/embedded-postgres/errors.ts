/** The embedded database cannot be had. The message says why and what the operator can do. */
export class EmbeddedPostgresError extends Error {
  override readonly name: string = 'EmbeddedPostgresError'
}

/** Another server holds this data directory. It was left alone. */
export class AlreadyRunningError extends EmbeddedPostgresError {
  override readonly name = 'AlreadyRunningError'
  readonly pid: number

  constructor(dataDir: string, pid: number) {
    super(
      `A server already runs on ${dataDir} (process ${pid}). Stop it first, or give this one another DATA_DIR and PORT.`,
    )
    this.pid = pid
  }
}
