import type { AccessToken } from '../access-token.js'
import type { Reason, RequestProblem, TokenProblem } from '../problems.js'
import type { RequestLike } from '../request.js'
import type { Verifier } from '../verifier.js'

/**
 * A way in which a request shows who sent it. DPoP, mutual TLS and API keys are further ones of this shape: each reads its
 * own credentials, and confirms that whoever sent them may use them.
 */
export interface Scheme {
  /** As options call it: `bearer`, `signature`. */
  readonly name: string
  /** As it is called in `WWW-Authenticate`; undefined where it has no name there. */
  readonly challenge: string | undefined
  /** @returns undefined where the request shows none of this scheme */
  readonly read: (request: RequestLike) => Shown | undefined
  /** Of a token that is good by itself. */
  readonly confirm?: (
    token: AccessToken,
    request: RequestLike,
  ) => TokenProblem | undefined | Promise<TokenProblem | undefined>
}

export type Shown =
  /** For the verifier to say what it is worth. */
  | { readonly token: string }
  /** No token: the scheme says itself what the request may do. It is called once, where nothing else is shown. */
  | { readonly authenticate: () => Promise<AccessToken | Reason> }
  | { readonly problem: RequestProblem }

export interface Credentials {
  readonly scheme: Scheme
  readonly shown: Exclude<Shown, { readonly problem: RequestProblem }>
}

/**
 * What a request shows, by the one scheme that reads it, or by each of those that are required. More is too much: which is
 * meant, the API and what stands before it could see differently (RFC 6750 §2).
 *
 * @param required names of schemes, all of them; empty where any one will do
 */
export function readShown(
  schemes: readonly Scheme[],
  required: readonly string[],
  request: RequestLike,
): readonly Credentials[] | RequestProblem {
  const found: Credentials[] = []
  for (const scheme of schemes) {
    const shown = scheme.read(request)
    if (!shown) continue
    if ('problem' in shown) return shown.problem
    found.push({ scheme, shown })
  }
  const names = found.map(({ scheme }) => scheme.name)
  if (required.length === 0 ? found.length > 1 : !names.every((name) => required.includes(name))) {
    return 'request_malformed'
  }
  const enough = required.length === 0 ? found.length === 1 : required.every((name) => names.includes(name))
  return enough ? found : 'credentials_missing'
}

/** What everything that is shown is worth together: where it is more than one, no more than each of them. */
export async function authenticate(
  credentials: readonly Credentials[],
  request: RequestLike,
  verifier: Verifier,
): Promise<AccessToken | Reason> {
  let whole: AccessToken | undefined
  for (const { scheme, shown } of credentials) {
    const token = await ('token' in shown ? verify(scheme, shown.token, request, verifier) : shown.authenticate())
    if (typeof token === 'string') return token
    if (whole && whole.sub !== token.sub) return 'subjects_differ'
    whole = whole ? both(whole, token) : token
  }
  return whole ?? 'credentials_missing'
}

async function verify(
  { confirm }: Scheme,
  token: string,
  request: RequestLike,
  verifier: Verifier,
): Promise<AccessToken | Reason> {
  const known = await verifier.verify(token)
  if (typeof known === 'string') return known
  return (await confirm?.(known.token, request)) ?? known.token
}

/** Of two locks each must let through what is asked for. What it says besides is of the first. */
function both(first: AccessToken, second: AccessToken): AccessToken {
  return Object.freeze({
    ...first,
    scope: Object.freeze(first.scope.filter((each) => second.scope.includes(each))),
    roles: Object.freeze(first.roles.filter((each) => second.roles.includes(each))),
    expiresAt: Math.min(first.expiresAt, second.expiresAt),
  })
}
