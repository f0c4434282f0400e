import { type AccessToken, keyChainOf, keyIdOf } from '../access-token.js'
import type { RateExceeded, Reason, RefusedWith, RequestProblem, TokenProblem, UnavailableFor } from '../problems.js'
import type { RequestLike } from '../request.js'
import type { CountedCredential } from '../usage.js'
import type { Tools } from './tools.js'

/**
 * A way in which a request shows who sent it. DPoP and mutual TLS are further ones of this shape: each reads its own
 * credentials, and confirms that whoever sent them may use them.
 */
export interface Scheme {
  /** As options call it: `bearer`, `api-key`, `signature`, `basic`. */
  readonly name: string
  /**
   * As it is called in `WWW-Authenticate`; undefined where it has no name there. With parameters of its own, it is given none
   * of RFC 6750.
   */
  readonly challenge: string | undefined
  /** What its credentials are called in the text of a refusal: `access token`. Default: `credential`. */
  readonly noun?: string
  /** Whether it has to ask the server. */
  readonly needsCredentials?: boolean
  /** Asks the server, once it can be asked, what the scheme has to know before the first request. */
  readonly begin?: (tools: Tools) => Promise<void>
  /** Why the server refuses whatever is shown by it, for the engineer: then no challenge names it. Undefined: it does not. */
  readonly problem?: (tools: Tools) => string | undefined
  /** @returns undefined where the request shows none of this scheme */
  readonly read: (request: RequestLike) => Shown | undefined
  /** Of a token that is good by itself. */
  readonly confirm?: (
    token: AccessToken,
    request: RequestLike,
  ) => TokenProblem | undefined | Promise<TokenProblem | undefined>
  /** Whose use the server is told of. Default: nobody's, since it counts tokens where it issues them. */
  readonly counts?: (token: AccessToken) => CountedCredential
  /** What goes with the answer to whoever was let through. */
  readonly headers?: (token: AccessToken) => Readonly<Record<string, string>> | undefined
}

export type Shown = ShownToken | ShownOther | ShownProblem

/** For the verifier to say what it is worth. */
export interface ShownToken {
  readonly token: string
}

/** No token: the scheme says itself what the request may do. It is called once, where nothing else is shown. */
export interface ShownOther {
  readonly authenticate: (tools: Tools) => Promise<AccessToken | Reason | UnavailableFor | RateExceeded | RefusedWith>
  /** The name of a scheme that would take the same for its own. */
  readonly insteadOf?: string | undefined
}

export interface ShownProblem {
  readonly problem: RequestProblem
  readonly insteadOf?: string | undefined
  /** What else is done about it, behind the answer. */
  readonly report?: ((tools: Tools) => void) | undefined
}

export interface Credentials {
  readonly scheme: Scheme
  readonly shown: ShownToken | ShownOther
}

/** What is wrong with what a request shows, and what it shows. */
export interface Unreadable {
  readonly problem: RequestProblem
  readonly schemes: readonly Scheme[]
  readonly reports: readonly ((tools: Tools) => void)[]
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
): readonly Credentials[] | Unreadable {
  const read: { readonly scheme: Scheme; readonly shown: Shown }[] = []
  for (const scheme of schemes) {
    const shown = scheme.read(request)
    if (shown) read.push({ scheme, shown })
  }
  const found: Credentials[] = []
  let problem: RequestProblem | undefined
  for (const { scheme, shown } of read) {
    if (read.some((other) => 'insteadOf' in other.shown && other.shown.insteadOf === scheme.name)) continue
    if ('problem' in shown) problem ??= shown.problem
    else found.push({ scheme, shown })
  }
  const names = found.map(({ scheme }) => scheme.name)
  const tooMany = required.length === 0 ? found.length > 1 : !names.every((name) => required.includes(name))
  const enough = required.length === 0 ? found.length === 1 : required.every((name) => names.includes(name))
  if (problem === undefined && !tooMany && enough) return found
  return {
    problem: problem ?? (tooMany ? 'request_malformed' : 'credentials_missing'),
    schemes: read.map(({ scheme }) => scheme),
    reports: read.flatMap(({ shown }) => ('report' in shown ? (shown.report ?? []) : [])),
  }
}

export interface Authenticated {
  readonly token: AccessToken
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly counted: readonly CountedCredential[]
}

/** What everything that is shown is worth together: where it is more than one, no more than each of them. */
export async function authenticate(
  credentials: readonly Credentials[],
  request: RequestLike,
  tools: Tools,
): Promise<Authenticated | Reason | UnavailableFor | RateExceeded | RefusedWith> {
  let whole: Authenticated | undefined
  for (const { scheme, shown } of credentials) {
    const token = await ('token' in shown ? verify(scheme, shown.token, request, tools) : shown.authenticate(tools))
    // Where the second lock fails, a key that has a successor says so all the same.
    if (typeof token === 'string') return refusedWith(token, whole?.headers)
    if ('reason' in token) return whole?.headers ? withHeaders(token, whole.headers) : token
    const headers = scheme.headers?.(token)
    if (whole && whole.token.sub !== token.sub) return refusedWith('subjects_differ', joined(whole.headers, headers))
    const counted = scheme.counts ? [...(whole?.counted ?? []), scheme.counts(token)] : (whole?.counted ?? nobody)
    whole = whole
      ? { token: both(whole.token, token), headers: joined(whole.headers, headers), counted }
      : { token, headers, counted }
  }
  return whole ?? 'credentials_missing'
}

/** @param headers undefined where there is nothing to say */
export function refusedWith(reason: Reason, headers: Headers): Reason | RefusedWith {
  return headers ? { reason, headers } : reason
}

function withHeaders(refused: UnavailableFor | RateExceeded | RefusedWith, headers: NonNullable<Headers>): RefusedWith {
  return { ...refused, headers: { ...headers, ...('headers' in refused ? refused.headers : {}) } }
}

const nobody: readonly CountedCredential[] = []

async function verify(
  { confirm }: Scheme,
  token: string,
  request: RequestLike,
  { verifier }: Tools,
): Promise<AccessToken | Reason> {
  const known = await verifier.verify(token)
  if (typeof known === 'string') return known
  return (await confirm?.(known.token, request)) ?? known.token
}

type Headers = Authenticated['headers']

function joined(some: Headers, others: Headers): Headers {
  return some && others ? { ...some, ...others } : (some ?? others)
}

/** Of two locks each must let through what is asked for. What it says besides is of the first. */
export function both(first: AccessToken, second: AccessToken): AccessToken {
  const [keyId, keyChain] = [keyIdOf, keyChainOf].map((read) => read(first) ?? read(second))
  return Object.freeze({
    ...first,
    ...(keyId === undefined ? {} : { keyId }),
    ...(keyChain === undefined ? {} : { keyChain }),
    scope: Object.freeze(first.scope.filter((each) => second.scope.includes(each))),
    roles: Object.freeze(first.roles.filter((each) => second.roles.includes(each))),
    expiresAt: Math.min(first.expiresAt, second.expiresAt),
  })
}
