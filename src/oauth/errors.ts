/**
 * The error codes of the specifications, one class each. Whoever finds the problem throws; the scope of the route
 * decides how it is sent (JSON, redirect or page).
 */

export type OAuthErrorOptions = {
  /** Why, in snake_case, for log, audit and metrics. Never sent. */
  readonly reason: string
  /**
   * The parameter, or the field of client metadata, that is at fault, for log and audit: as it stands in a list of ours, never as
   * somebody sent it. What was sent may be a secret in the wrong place.
   */
  readonly field?: string | undefined
  readonly cause?: unknown
  /** Seconds, for the `Retry-After` header. RFC 9110 §10.2.3. */
  readonly retryAfter?: number
  /** Header fields of the answer, such as `Allow`, or what the limit is. */
  readonly headers?: Readonly<Record<string, string>>
}

/** What goes over the wire. RFC 6749 §5.2. */
export type OAuthErrorBody = {
  readonly error: string
  readonly error_description: string
  /** Of a 429, where a tier was passed: whoever asked for others learns whose it is. */
  readonly exceeded?: Exceeded
}

/** `tier`: of whoever sent the request, or where it came from. `tier_of_subject`: of the subject of a token exchange. */
export type Exceeded = 'tier' | 'tier_of_subject'

/** Everything that `error_description` may not hold. RFC 6749 §5.2. */
const outsideDescription = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/g

/** The parent of all of them. `message` is written for an honest developer and is sent as `error_description`. */
export abstract class OAuthError extends Error {
  abstract readonly code: string
  readonly status: number = 400
  readonly reason: string
  readonly field: string | undefined
  readonly retryAfter?: number
  /** Who knows more of the request than who threw may add to them. */
  headers: Readonly<Record<string, string>>

  constructor(message: string, { reason, field, cause, retryAfter, headers = {} }: OAuthErrorOptions) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.reason = reason
    this.field = field
    this.retryAfter = retryAfter
    this.headers = headers
  }

  /** The body of the answer: none of `reason`, `field` and `cause` is in it, and no character that RFC 6749 §5.2 excludes. */
  toJSON(): OAuthErrorBody {
    return { error: this.code, error_description: this.message.replace(outsideDescription, '') }
  }
}

/** A parameter is missing, repeated, malformed or contradicts another. RFC 6749 §4.1.2.1, §5.2. */
export class InvalidRequestError extends OAuthError {
  override readonly code = 'invalid_request'
}

/** The client is unknown, did not authenticate or used another method than its own. RFC 6749 §5.2. */
export class InvalidClientError extends OAuthError {
  override readonly code = 'invalid_client'
  override readonly status = 401
}

/** The code or refresh token is unknown, expired, used, revoked or another client's. RFC 6749 §5.2. */
export class InvalidGrantError extends OAuthError {
  override readonly code = 'invalid_grant'
}

/** The client is known, and may not use this grant type or endpoint. RFC 6749 §4.1.2.1, §5.2. */
export class UnauthorizedClientError extends OAuthError {
  override readonly code = 'unauthorized_client'
}

/** This server has no such grant type. RFC 6749 §5.2. */
export class UnsupportedGrantTypeError extends OAuthError {
  override readonly code = 'unsupported_grant_type'
}

/** A scope is unknown, malformed, not the client's, or more than was granted. RFC 6749 §4.1.2.1, §5.2. */
export class InvalidScopeError extends OAuthError {
  override readonly code = 'invalid_scope'
}

/** The resource is unknown, malformed, or not one that this client or grant may reach. RFC 8707 §2. */
export class InvalidTargetError extends OAuthError {
  override readonly code = 'invalid_target'
}

/** The user, or the policy of this server, said no. RFC 6749 §4.1.2.1. */
export class AccessDeniedError extends OAuthError {
  override readonly code = 'access_denied'
}

/** This server, or this client, has no such response type. RFC 6749 §4.1.2.1. */
export class UnsupportedResponseTypeError extends OAuthError {
  override readonly code = 'unsupported_response_type'
}

/** Something broke on our side; the cause is in the log. RFC 6749 §4.1.2.1. */
export class ServerError extends OAuthError {
  override readonly code = 'server_error'
  override readonly status = 500
}

/** The database is away or the process is closing: the same request may succeed later. RFC 6749 §4.1.2.1. */
export class TemporarilyUnavailableError extends OAuthError {
  override readonly code = 'temporarily_unavailable'
  override readonly status = 503
}

type TooManyRequestsOptions = OAuthErrorOptions & { readonly retryAfter: number; readonly exceeded?: Exceeded }

/**
 * A limit was passed. The specifications have no code of its own for it, so the code is the one that tells a client
 * to wait, and the status says why. RFC 6585 §4, RFC 6749 §4.1.2.1.
 */
export class TooManyRequestsError extends OAuthError {
  override readonly code = 'temporarily_unavailable'
  override readonly status = 429
  /** Undefined: no tier, such as the bound on failures. Who knows whose tier it is may say so. */
  exceeded: Exceeded | undefined

  constructor(message: string, { exceeded, ...options }: TooManyRequestsOptions) {
    super(message, options)
    this.exceeded = exceeded
  }

  override toJSON(): OAuthErrorBody {
    const { exceeded } = this
    return { ...super.toJSON(), ...(exceeded ? { exceeded } : {}) }
  }
}

/** `prompt=none`, and the user would have to log in. OIDC Core §3.1.2.6. */
export class LoginRequiredError extends OAuthError {
  override readonly code = 'login_required'
}

/** `prompt=none`, and the user would have to consent. OIDC Core §3.1.2.6. */
export class ConsentRequiredError extends OAuthError {
  override readonly code = 'consent_required'
}

/** `prompt=none`, and the user would have to do something else. OIDC Core §3.1.2.6. */
export class InteractionRequiredError extends OAuthError {
  override readonly code = 'interaction_required'
}

/** What is asked of the login is more than this server can do. OpenID Connect Core Error Code unmet_authentication_requirements §1. */
export class UnmetAuthenticationRequirementsError extends OAuthError {
  override readonly code = 'unmet_authentication_requirements'
}

/** The parameter `request` holds no request object of this client that could be believed. OIDC Core §3.1.2.6, RFC 9101 §7. */
export class InvalidRequestObjectError extends OAuthError {
  override readonly code = 'invalid_request_object'
}

/** The parameter `request_uri` names no address of this client, or no request object is there. OIDC Core §3.1.2.6, RFC 9101 §7. */
export class InvalidRequestUriError extends OAuthError {
  override readonly code = 'invalid_request_uri'
}

/** The parameter `registration`: a client is registered by an administrator. OIDC Core §3.1.2.6. */
export class RegistrationNotSupportedError extends OAuthError {
  override readonly code = 'registration_not_supported'
}

/** The kind of token presented for revocation cannot be revoked here. RFC 7009 §2.2.1. */
export class UnsupportedTokenTypeError extends OAuthError {
  override readonly code = 'unsupported_token_type'
}

/** The access token is unknown, expired, revoked or meant for somebody else. RFC 6750 §3.1. */
export class InvalidTokenError extends OAuthError {
  override readonly code = 'invalid_token'
  override readonly status = 401
}

/** The request has no access token at all: it is told how to bring one, and nothing else. RFC 6750 §3. */
export class MissingTokenError extends InvalidTokenError {}

/** The access token is good and does not reach this far. RFC 6750 §3.1. */
export class InsufficientScopeError extends OAuthError {
  override readonly code = 'insufficient_scope'
  override readonly status = 403
  /** What would reach. */
  readonly scope: string

  constructor(message: string, { scope, ...options }: OAuthErrorOptions & { readonly scope: string }) {
    super(message, options)
    this.scope = scope
  }
}

/** A redirect URI that may not be registered. RFC 7591 §3.2.2. */
export class InvalidRedirectUriError extends OAuthError {
  override readonly code = 'invalid_redirect_uri'
}

/** Any other field of client metadata that may not be registered. RFC 7591 §3.2.2. */
export class InvalidClientMetadataError extends OAuthError {
  override readonly code = 'invalid_client_metadata'
}

/** A software statement: there is nobody whose word about a client counts here. RFC 7591 §3.2.2. */
export class InvalidSoftwareStatementError extends OAuthError {
  override readonly code = 'invalid_software_statement'
}
