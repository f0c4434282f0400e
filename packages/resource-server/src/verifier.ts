import { type KnownToken, knownToken } from './access-token.js'
import { createBoundedMap } from './bounded-map.js'
import { problemOfClaims } from './claims.js'
import { type Introspection, standingOf } from './introspection.js'
import { parseObjectBytes } from './json.js'
import type { Jwks } from './jwks.js'
import { longestToken, readJws, verifyJws } from './jws.js'
import type { Platform } from './platform.js'
import type { TokenProblem, Unavailable } from './problems.js'
import type { Revocations } from './revocation/entries.js'
import type { Feed } from './revocation/feed.js'
import type { StatusLists } from './revocation/status-list.js'

/** Says what a token is worth, whatever way it came. */
export interface Verifier {
  readonly verify: (token: string) => Promise<KnownToken | TokenProblem | Unavailable>
  /** Tokens that are remembered. */
  readonly size: () => number
}

export interface VerifierOptions {
  readonly platform: Platform
  readonly jwks: Jwks
  readonly revocations: Revocations
  /** Undefined where there are no credentials, or no feed. */
  readonly feed: Feed | undefined
  /** Asked where there is no feed; undefined: expiry alone. */
  readonly statusLists: StatusLists | undefined
  /** Undefined where there are no credentials. */
  readonly introspection: Introspection | undefined
  readonly issuer: string
  readonly audience: string
  readonly tokens: 'access' | 'gateway'
  /** Seconds. */
  readonly skew: number
  /** Milliseconds that the knowledge of revocations may be old. */
  readonly tolerance: number
  readonly onStale: 'refuse' | 'introspect'
  /** Tokens that are remembered. */
  readonly capacity: number
  readonly warn: (message: string) => void
}

export function createVerifier(options: VerifierOptions): Verifier {
  const { platform, jwks, revocations, feed, statusLists, introspection, issuer, audience, tokens, skew } = options
  const { tolerance, onStale, warn } = options
  const verified = createBoundedMap<KnownToken>(options.capacity, options.capacity * 1024)
  const standing = standingOf(feed, tolerance)
  // What a gateway passes on is good for a minute: nobody needs to tell of its end.
  let warned = tokens === 'gateway'

  async function verifyJwt(token: string): Promise<KnownToken | TokenProblem> {
    const jws = readJws(token)
    if (typeof jws === 'string') return jws
    const { kid } = jws.header
    const key = typeof kid === 'string' ? await jwks.find(kid) : undefined
    if (!key) return 'key_unknown'
    if (!(await verifyJws(jws, key))) return 'signature_wrong'
    const claims = parseObjectBytes(jws.payload)
    if (!claims) return 'claims_malformed'
    const now = platform.now() / 1000
    const problem = problemOfClaims({ header: jws.header, claims, issuer, audience, tokens, skew, now })
    if (problem) return problem
    const known = knownToken(claims, skew, key)
    verified.set(token, known)
    return known
  }

  /** What can be said without the server of a token that was found good before. */
  function problemOfKnown(known: KnownToken): TokenProblem | undefined {
    const now = platform.now() / 1000
    if (now >= known.until) return 'expired'
    if (now < known.from) return 'not_yet_valid'
    const version = revocations.version() + jwks.version()
    if (known.comparedWith.version === version) return undefined
    if (revocations.ends(known.targets, known.iat)) return 'revoked'
    // What a key signed ends with the key: it may have been stolen (attack 79).
    if (known.key?.kid !== undefined && jwks.known(known.key.kid) !== known.key) return 'key_unknown'
    known.comparedWith.version = version
    return undefined
  }

  async function introspect(
    token: string,
    maxAge: number,
    isProved: boolean,
  ): Promise<KnownToken | TokenProblem | Unavailable> {
    try {
      return (await introspection?.ask(token, maxAge, { isProved })) ?? 'inactive'
    } catch {
      return 'introspection_unavailable'
    }
  }

  async function verifyOpaque(token: string): Promise<KnownToken | TokenProblem | Unavailable> {
    // Nobody draws so short a token; and what no server would have given is not worth asking about.
    // A gateway passes on none: whoever shows one came past it.
    if (!introspection || tokens === 'gateway' || token.length < 22 || token.length > 512) return 'token_malformed'
    const known = await introspect(token, standing(), false)
    if (typeof known === 'string') return known
    const problem = problemOfKnown(known)
    if (problem) introspection.forget(token, known)
    return problem ?? known
  }

  /** Whether a JWT that is good by itself was taken back. */
  async function problemOfRevocation(
    token: string,
    known: KnownToken,
  ): Promise<TokenProblem | Unavailable | undefined> {
    if (feed) {
      if (feed.age() <= tolerance) return undefined
      // Of what may have been revoked meanwhile nothing is known: it is asked, or nothing is let through.
      if (onStale === 'refuse' || !introspection)
        return feed.age() === Number.POSITIVE_INFINITY ? 'starting' : 'knowledge_stale'
      const asked = await introspect(token, standing(), true)
      return typeof asked === 'string' ? asked : undefined
    }
    const status = await statusLists?.check(known.token.claims)
    if (status === 'invalid') return 'revoked'
    if (status === 'unavailable') return 'status_list_unavailable'
    if (status === undefined && !warned) {
      warned = true
      warn(
        'Nothing tells this verifier of revocations: a token is good until it expires. Give it credentials, for the feed.',
      )
    }
    return undefined
  }

  return {
    async verify(token) {
      const freshening = jwks.freshen()
      if (freshening) await freshening
      let known = verified.get(token)
      if (!known) {
        if (token.length > longestToken) return 'token_malformed'
        if (!token.includes('.')) return verifyOpaque(token)
        const found = await verifyJwt(token)
        if (typeof found === 'string') return found
        known = found
      }
      const problem = problemOfKnown(known)
      if (problem) {
        verified.delete(token)
        return problem
      }
      return (await problemOfRevocation(token, known)) ?? known
    },
    size: verified.size,
  }
}
