/** The options are wrong, or the server is not the one that they name. Trying again changes nothing. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
}

/** The server cannot be asked now, or answers what cannot be relied on. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
  /** Of an answer that came all the same. */
  readonly status: number | undefined

  constructor(message: string, options: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options)
    this.status = options.status
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
