import type { ClaimsProblem } from './claims.js'
import type { JwsProblem } from './jws.js'

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

/** Why nothing can be said of a token now. */
export type Unavailable = 'starting' | 'knowledge_stale' | 'introspection_unavailable' | 'status_list_unavailable'

/** Why a request is refused whatever its token is worth. */
export type RequestProblem = 'credentials_missing' | 'request_malformed' | 'credentials_in_query' | 'rate_exceeded'

/** What a good token is not good enough for. */
export type RequirementProblem = 'scope_missing' | 'role_missing' | 'authentication_insufficient'

/** For logs; a client is told only what RFC 6750 and RFC 9470 have words for. */
export type Reason = TokenProblem | Unavailable | RequestProblem | RequirementProblem

const unavailable: readonly string[] = [
  'starting',
  'knowledge_stale',
  'introspection_unavailable',
  'status_list_unavailable',
] satisfies Unavailable[]

export function isUnavailable(reason: Reason): reason is Unavailable {
  return unavailable.includes(reason)
}
