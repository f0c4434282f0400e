import type { AccessToken } from '../access-token.js'
import type { RequestProblem, TokenProblem } from '../problems.js'
import type { RequestLike } from '../request.js'

/**
 * A way in which a request shows a token. DPoP, mutual TLS and API keys are further ones of this shape: each reads its own
 * credentials, and confirms that whoever sent them may use them.
 */
export interface Scheme {
  /** As it is called in `Authorization` and `WWW-Authenticate`. */
  readonly name: string
  /** @returns undefined where the request shows none of this scheme */
  readonly read: (request: RequestLike) => Shown | undefined
  /** Of a token that is good by itself. */
  readonly confirm: (
    token: AccessToken,
    request: RequestLike,
  ) => TokenProblem | undefined | Promise<TokenProblem | undefined>
}

export type Shown = { readonly token: string } | { readonly problem: RequestProblem }

/**
 * The token of a request, by the one scheme that shows it. Two of them are one too many: which is meant, the API and what
 * stands before it could see differently (RFC 6750 §2).
 */
export function readShown(
  schemes: readonly Scheme[],
  request: RequestLike,
): { readonly scheme: Scheme; readonly token: string } | RequestProblem {
  let found: { readonly scheme: Scheme; readonly token: string } | undefined
  for (const scheme of schemes) {
    const shown = scheme.read(request)
    if (!shown) continue
    if ('problem' in shown) return shown.problem
    if (found) return 'request_malformed'
    found = { scheme, token: shown.token }
  }
  return found ?? 'credentials_missing'
}
