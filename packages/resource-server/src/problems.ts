import type { ClaimsProblem } from './claims.js'
import type { JwsProblem } from './jws.js'
import type { DigestProblem } from './signature/content-digest.js'
import type { SignatureFormProblem } from './signature/request-signature.js'

/** Why a token is refused. */
export type TokenProblem =
  | JwsProblem
  | ClaimsProblem
  | 'key_unknown'
  | 'signature_wrong'
  | 'claims_malformed'
  | 'revoked'
  /** Introspection says so, of whatever it does not know either. */
  | 'inactive'
  /** It belongs to whoever holds a key or certificate, which was not shown. */
  | 'token_bound'
  | SignatureProblem
  | KeyProblem
  /** By the server, of a client_id and client_secret. */
  | 'password_wrong'
  /** Two credentials are required, and they are not of the same subject. */
  | 'subjects_differ'

/** Why an API key is refused that is not `inactive` or `revoked`. */
export type KeyProblem =
  /** By its form or checksum: nobody was asked about it. */
  | 'key_malformed'
  /** It may not be used from this address, or it is not known from where the request comes. */
  | 'network_not_allowed'
  /** A publishable key that stands in a page of another origin, or comes from no page. */
  | 'origin_not_allowed'

/** Why a signature is not good for its request, although it has the form of one. */
export type SignatureProblem =
  | 'signature_expired'
  | 'signature_not_yet_valid'
  | 'signature_replayed'
  /** What is covered is not there, or could be read in two ways. */
  | 'component_absent'
  | 'digest_wrong'

/** Why nothing can be said of a token or signature now. */
export type Unavailable =
  | 'starting'
  | 'knowledge_stale'
  | 'introspection_unavailable'
  /** The server cannot be asked about a password, or takes no further attempts now. */
  | 'password_unverifiable'
  | 'status_list_unavailable'
  /** There is no room for further nonces until others may be forgotten. */
  | 'replay_memory_full'
  /** It was signed before this process began to remember nonces: another one may have seen it. */
  | 'replay_memory_starting'
  | 'replay_store_unavailable'
  /** Somebody else read the body, or nobody can: its digest cannot be compared. */
  | 'body_unavailable'

/** Why a request is refused whatever its token is worth. */
export type RequestProblem =
  | 'credentials_missing'
  | 'request_malformed'
  | 'credentials_in_query'
  /** A password that was not sent over TLS. */
  | 'transport_insecure'
  /** A password, where the server has these switched off for this API. */
  | 'passwords_off'
  | SignatureFormProblem
  | DigestProblem
  | 'body_too_large'
  | 'rate_exceeded'

/** What a good token is not good enough for. */
export type RequirementProblem = 'scope_missing' | 'role_missing' | 'authentication_insufficient'

/** For logs; a client is told only what RFC 6750 and RFC 9470 have words for. */
export type Reason = TokenProblem | Unavailable | RequestProblem | RequirementProblem

/** The same, where it is known for how long. */
export interface UnavailableFor {
  readonly reason: Unavailable
  /** Seconds. */
  readonly retryAfter: number
}

/** The request has to wait for a tier of the server's, which says so itself. */
export interface RateExceeded {
  readonly reason: 'rate_exceeded'
  /** Of the limit, with `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>
}

/** A refusal with something to say to whoever showed a good key: that it has a successor. */
export interface RefusedWith {
  readonly reason: Reason
  /** Seconds. */
  readonly retryAfter?: number
  readonly headers: Readonly<Record<string, string>>
}

const unavailable: readonly string[] = [
  'starting',
  'knowledge_stale',
  'introspection_unavailable',
  'password_unverifiable',
  'status_list_unavailable',
  'replay_memory_full',
  'replay_memory_starting',
  'replay_store_unavailable',
  'body_unavailable',
] satisfies Unavailable[]

export function isUnavailable(reason: Reason): reason is Unavailable {
  return unavailable.includes(reason)
}
