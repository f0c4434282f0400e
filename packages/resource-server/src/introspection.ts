import { type KnownToken, knownToken } from './access-token.js'
import { createBoundedMap } from './bounded-map.js'
import { UnavailableError } from './errors.js'
import { fetchText } from './http.js'
import { type JsonObject, parseObject } from './json.js'
import type { Platform } from './platform.js'
import { basicOf, type Credentials } from './service-token.js'

/** Asks the server what a token is worth. RFC 7662. */
export interface Introspection {
  /**
   * @param maxAge milliseconds since a good answer was asked for; a token that is not active never becomes so
   * @returns undefined where it is not active, or is not for this API
   * @throws {UnavailableError}
   */
  readonly ask: (token: string, maxAge: number) => Promise<KnownToken | undefined>
  readonly forget: (token: string) => void
}

export interface IntrospectionOptions {
  readonly platform: Platform
  readonly endpoint: string
  readonly credentials: Credentials
  readonly issuer: string
  readonly audience: string
  /** Seconds. */
  readonly skew: number
  /** Entries. */
  readonly capacity: number
}

/** Milliseconds that a token is remembered as not active. */
const refusedFor = 5_000

/** Requests at once: a flood of made-up tokens must not become one at the server. */
const mostAtOnce = 64

interface Answer {
  /** Monotonic milliseconds, when it was asked. */
  readonly at: number
  readonly known: KnownToken
}

interface Question {
  /** As of an answer. */
  readonly at: number
  readonly answer: Promise<KnownToken | undefined>
}

export function createIntrospection(options: IntrospectionOptions): Introspection {
  const { platform, endpoint, credentials, issuer, audience, skew, capacity } = options
  const active = createBoundedMap<Answer>(capacity, capacity * 256)
  // Apart, so that made-up tokens drive no good one out.
  const inactive = createBoundedMap<number>(capacity, capacity * 256)
  /** The last about each token. */
  const underWay = new Map<string, Question>()
  let atOnce = 0

  async function request(token: string, at: number): Promise<KnownToken | undefined> {
    const { text } = await fetchText(platform, endpoint, {
      accept: 'application/json',
      headers: { authorization: basicOf(credentials) },
      form: { token, token_type_hint: 'access_token' },
      limit: 65_536,
    })
    const claims = parseObject(text)
    if (!claims || typeof claims['active'] !== 'boolean') throw new UnavailableError('Introspection answered nothing')
    if (!isOurs(claims)) {
      active.delete(token)
      inactive.set(token, at)
      return undefined
    }
    // Whoever asked later has been answered already: this answer was on its way when the token ended.
    const refusedAt = inactive.get(token)
    if (refusedAt !== undefined && refusedAt >= at) return undefined
    const known = knownToken(claims, skew)
    active.set(token, { at, known })
    return known
  }

  /** The server says what it knows; that it is for this API is ours to check. RFC 7662 §2.2, §4. */
  function isOurs({ active, iss, aud, sub, client_id, exp, iat, token_type: type }: JsonObject): boolean {
    return (
      active === true &&
      iss === issuer &&
      (aud === audience || (Array.isArray(aud) && aud.length === 1 && aud[0] === audience)) &&
      // A refresh token has no such type.
      (type === undefined || (typeof type === 'string' && type.toLowerCase() === 'bearer')) &&
      [sub, client_id].every((value) => typeof value === 'string' && value !== '') &&
      [exp, iat].every((value) => typeof value === 'number')
    )
  }

  return {
    async ask(token, maxAge) {
      const now = platform.monotonic()
      const known = active.get(token)
      if (known && now - known.at <= maxAge) return known.known
      const refusedAt = inactive.get(token)
      if (refusedAt !== undefined && now - refusedAt < refusedFor) return undefined
      const asking = underWay.get(token)
      // The token may have ended since the server said so, where the answer is that long on its way.
      if (asking && now - asking.at <= maxAge) return asking.answer
      if (atOnce >= mostAtOnce) throw new UnavailableError('Too many tokens are being introspected')
      atOnce++
      const answer = request(token, now).finally(() => {
        atOnce--
        if (underWay.get(token) === question) underWay.delete(token)
      })
      const question: Question = { at: now, answer }
      underWay.set(token, question)
      return answer
    },
    forget: active.delete,
  }
}
