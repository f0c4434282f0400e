/** The options are wrong, or the server is not the one that they name. Trying again changes nothing. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
}

export interface SaidError {
  readonly code: string
  /** For whoever reads a log: one line, without quotation marks. */
  readonly description: string
  /** Of a 429: which tier was passed; undefined where it was none. */
  readonly exceeded?: string | undefined
}

/** The server cannot be asked now, or answers what cannot be relied on. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
  /** Of an answer that came all the same. */
  readonly status: number | undefined
  /** Seconds, where the answer says so. RFC 9110 §10.2.3. */
  readonly retryAfter: number | undefined
  /** What the answer says of itself, where it is of a form that was sent. RFC 6749 §5.2. */
  readonly error: SaidError | undefined
  /** Header fields of the limit that was passed, as they came. */
  readonly limit: Readonly<Record<string, string>>

  constructor(
    message: string,
    options: ErrorOptions & {
      readonly status?: number
      readonly retryAfter?: number | undefined
      readonly error?: SaidError | undefined
      readonly limit?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(message, options)
    this.status = options.status
    this.retryAfter = options.retryAfter
    this.error = options.error
    this.limit = options.limit ?? {}
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
