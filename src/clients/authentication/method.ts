import type { JwtProblem, UnverifiedJwt } from '../../oauth/jwt.js'
import type { Parameters } from '../../oauth/parameters.js'

/** What a request says about its client, before any of it is checked. */
export interface PresentedCredentials {
  readonly clientId: string
  /** Undefined, as the assertion: the client only names itself. */
  readonly clientSecret?: string
  /** A JWT that it has signed, or why what it sent is none. */
  readonly assertion?: UnverifiedJwt | JwtProblem
}

/** How a client proves who it is. RFC 6749 §2.3, RFC 7591 §2. */
export interface AuthenticationMethod {
  /** As in the IANA registry of token endpoint authentication methods. */
  readonly name: string
  /**
   * What the request presents by this method.
   *
   * @returns undefined when it does not use this method
   * @throws {InvalidClientError} when it does, but wrongly
   */
  readonly read: (authorization: string | undefined, parameters: Parameters) => PresentedCredentials | undefined
}
