import type { AccessToken } from './access-token.js'
import { isUnavailable, type Reason } from './problems.js'
import type { Requirement } from './requirement.js'

/** What comes of a request. */
export type Decision = Granted | Refusal

export interface Granted {
  readonly ok: true
  readonly token: AccessToken
  /** To send with the answer: what limits say of themselves; that the key which was shown has a successor, and when it ends. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The answer to send, as it is. */
export interface Refusal {
  readonly ok: false
  readonly status: 400 | 401 | 403 | 413 | 429 | 503
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly body: string
  /** For logs: no client is told. */
  readonly reason: Reason
}

export interface Challenge {
  /**
   * The schemes that are understood, as HTTP calls them; with parameters of their own they get none of RFC 6750. Undefined:
   * nothing would do now.
   */
  readonly schemes: readonly string[] | undefined
  /** What was shown, in words. */
  readonly noun: string
  readonly requirement: Requirement
  /** Where the metadata of this API stand; undefined where they have no address. RFC 9728 §5.1. */
  readonly resourceMetadata: string | undefined
}

/** Seconds after which a client that got no answer for want of knowledge may ask again. */
const retryAfter = 1

interface Wording {
  readonly status: 400 | 401 | 403 | 413
  readonly error?: string
  readonly description?: string
}

/** By RFC 6750 §3.1. Whoever shows nothing is told no error; a bad token is never 403, whatever it lacks besides. */
function wordingOf(reason: Reason, noun: string): Wording {
  switch (reason) {
    case 'credentials_missing':
    // RFC 6750 §3.1: nor for a way that is not supported.
    case 'passwords_off':
      return { status: 401 }
    case 'request_malformed':
      return { status: 400, error: 'invalid_request', description: 'The credentials are malformed or repeated.' }
    case 'credentials_in_query':
      return {
        status: 400,
        error: 'invalid_request',
        description: `The ${noun} belongs into a header, never into the address.`,
      }
    case 'transport_insecure':
      return {
        status: 400,
        error: 'invalid_request',
        description: 'A password is taken over TLS alone: this one is known by now.',
      }
    case 'signature_malformed':
    case 'component_unknown':
    case 'algorithm_wrong':
    case 'digest_malformed':
      return { status: 400, error: 'invalid_request', description: 'The signature or its digest is malformed.' }
    case 'coverage_insufficient':
      return { status: 400, error: 'invalid_request', description: 'The signature does not cover all that it must.' }
    case 'body_too_large':
      return { status: 413, error: 'invalid_request', description: 'The body is too long to be checked.' }
    case 'scope_missing':
    case 'role_missing':
      return { status: 403, error: 'insufficient_scope', description: `The ${noun} does not permit this.` }
    case 'authentication_insufficient':
      // RFC 9470 §3.
      return {
        status: 401,
        error: 'insufficient_user_authentication',
        description: 'The user has to be authenticated more strongly, or anew.',
      }
    default:
      return {
        status: 401,
        error: 'invalid_token',
        description: `The ${noun} is malformed, expired, revoked or not for this API.`,
      }
  }
}

/** @param wait seconds that it takes at least, where that is known */
export function refuse(reason: Reason, challenge: Challenge, wait = retryAfter): Refusal {
  const { status, error, description } = wordingOf(reason, challenge.noun)
  // RFC 9110 §15.5.2: a 401 names what would do.
  if (isUnavailable(reason) || (status === 401 && !challenge.schemes)) {
    const body = { error: 'temporarily_unavailable', error_description: 'Credentials cannot be checked now.' }
    return answer(503, { 'retry-after': String(wait) }, body, reason)
  }
  const parameters = { error, error_description: description, ...wantedBy(reason, challenge) }
  const written = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${value}"`],
  )
  const challenges = (challenge.schemes ?? []).map((scheme) =>
    scheme.includes(' ') ? scheme : [scheme, written.join(', ')].filter(Boolean).join(' '),
  )
  const headers: Record<string, string> = challenges.length > 0 ? { 'www-authenticate': challenges.join(', ') } : {}
  return answer(status, headers, error === undefined ? {} : { error, error_description: description }, reason)
}

/** What would do. None of it has a character that must be escaped: requirements are checked when they are made. */
function wantedBy(
  reason: Reason,
  { requirement: { scopes, acrValues, maxAge }, resourceMetadata }: Challenge,
): Readonly<Record<string, string | undefined>> {
  const stepUp = reason === 'authentication_insufficient'
  return {
    scope: scopes && scopes.length > 0 ? scopes.join(' ') : undefined,
    acr_values: stepUp ? acrValues?.join(' ') : undefined,
    max_age: stepUp && maxAge !== undefined ? String(maxAge) : undefined,
    resource_metadata: resourceMetadata,
  }
}

/** @param headers of the limit, with `Retry-After` */
export function refuseTooMany(headers: Readonly<Record<string, string>>): Refusal {
  const body = { error: 'temporarily_unavailable', error_description: 'Too many requests. Try again later.' }
  return answer(429, headers, body, 'rate_exceeded')
}

function answer(
  status: Refusal['status'],
  headers: Readonly<Record<string, string>>,
  body: object,
  reason: Reason,
): Refusal {
  return {
    ok: false,
    status,
    headers: { ...headers, 'cache-control': 'no-store', 'content-type': 'application/json' },
    body: JSON.stringify(body),
    reason,
  }
}
