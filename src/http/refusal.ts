import { OAuthError, type OAuthErrorOptions, ServerError, TemporarilyUnavailableError } from '../oauth/errors.js'
import { DeadlineError } from '../platform/batch.js'
import { QueueFullError } from '../platform/crypto/password.js'
import { isDatabaseAway } from '../store/index.js'

/** Seconds after which a client may ask again while the database is away or hashes queue up. */
const RETRY_AFTER = 5

/** A request that HTTP already refuses: the wrong method, media type, size or address. */
export class HttpError extends OAuthError {
  override readonly code = 'invalid_request'
  override readonly status: number

  constructor(status: number, message: string, options: OAuthErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** What Fastify's own errors say to the client: its words would repeat the address. */
const MESSAGES: ReadonlyMap<number, string> = new Map([
  [404, 'There is nothing at this address.'],
  [408, 'The request took too long to arrive.'],
  [413, 'The body is larger than 64 KiB.'],
  [414, 'The address is too long.'],
  [415, 'The body must be application/x-www-form-urlencoded in UTF-8.'],
])

/**
 * Names whatever was thrown: errors of ours as they are, Fastify's by their status, an absent database or a full queue as
 * `temporarily_unavailable`, and everything else as `server_error`. No text of an error that is not ours is sent.
 */
export function asOAuthError(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error

  const status = clientErrorStatus(error)
  if (status !== undefined) {
    const message = MESSAGES.get(status) ?? 'The request is malformed.'
    return new HttpError(status, message, { reason: `http_${status}`, cause: error })
  }
  if (error instanceof QueueFullError) {
    return unavailable('The server is busy.', 'password_queue_full', error)
  }
  if (error instanceof DeadlineError || isDatabaseAway(error)) {
    return unavailable('The server cannot do this at the moment.', 'database_away', error)
  }
  return new ServerError('The server failed to answer.', { reason: 'unexpected', cause: error })
}

function unavailable(message: string, reason: string, cause: unknown): OAuthError {
  return new TemporarilyUnavailableError(message, { reason, cause, retryAfter: RETRY_AFTER })
}

/** The 4xx of an error that Fastify made: its parsers, its router, and a body that ended too early. */
function clientErrorStatus(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return undefined
  return error.statusCode >= 400 && error.statusCode < 500 ? error.statusCode : undefined
}
