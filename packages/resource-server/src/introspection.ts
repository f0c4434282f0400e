import { type KnownToken, knownToken } from './access-token.js'
import { createBoundedMap } from './bounded-map.js'
import { isForUs } from './claims.js'
import { UnavailableError } from './errors.js'
import { fetchText } from './http.js'
import { isStrings, type JsonObject, parseObject } from './json.js'
import type { Platform } from './platform.js'
import type { Feed } from './revocation/feed.js'
import { basicOf, type Credentials } from './service-token.js'
import { createTurns } from './turns.js'

/** Asks the server what a token, or something else that was shown, is worth. RFC 7662. */
export interface Introspection<Known = KnownToken> {
  /**
   * @param maxAge milliseconds since a good answer was asked for; a token that is not active never becomes so
   * @returns undefined where it is not active, or is not for this API
   * @throws {UnavailableError} where the server does not answer, or too much else that is shown for the first time is asked about
   */
  readonly ask: (token: string, maxAge: number, asker?: Asker) => Promise<Known | undefined>
  /** @param known this answer alone: another one may have taken its place */
  readonly forget: (token: string, known: Known) => void
  /** Good answers that are remembered. */
  readonly size: () => number
}

export interface Asker {
  /** Where the token comes from: of those that wait, each has as many turns. */
  readonly source?: string
  /** What it says is signed: nobody made it up. */
  readonly isProved?: boolean
}

export interface IntrospectionOptions<Known> {
  readonly platform: Platform
  readonly endpoint: string
  readonly credentials: Credentials
  /** Entries. */
  readonly capacity: number
  /** What is asked about, for the server. RFC 7662 §2.1. */
  readonly hint?: string
  /** How many may wait for their turn; default 0. */
  readonly waiting?: number
  /** Called when it is asked. */
  readonly moment?: () => number
  /**
   * Takes an answer in that says active.
   *
   * @param moment when it was asked
   * @returns undefined where it is none that is good here
   */
  readonly read: (claims: JsonObject, moment: number) => Known | undefined
}

/** Milliseconds that a token is remembered as not active. */
const refusedFor = 5_000

/**
 * Requests at once: a flood of made-up tokens must not become one at the server. What was good before, or is proved, has turns
 * of its own, which no such flood takes.
 */
const mostAtOnce = 64

interface Answer<Known> {
  /** Monotonic milliseconds, when it was asked. */
  readonly at: number
  readonly known: Known
  /** It is no answer any more, but was one: that the token is good is asked anew. */
  readonly isForgotten: boolean
}

interface Question<Known> {
  /** As of an answer. */
  readonly at: number
  readonly answer: Promise<Known | undefined>
}

export function createIntrospection<Known>(options: IntrospectionOptions<Known>): Introspection<Known> {
  const { platform, endpoint, credentials, capacity, hint, waiting = 0, moment = () => 0, read } = options
  const active = createBoundedMap<Answer<Known>>(capacity, capacity * 256)
  // Apart, so that made-up tokens drive no good one out.
  const inactive = createBoundedMap<number>(capacity, capacity * 256)
  /** The last about each token. */
  const underWay = new Map<string, Question<Known>>()
  const bounds = { atOnce: mostAtOnce, waiting }
  const turns = { first: createTurns(platform, bounds), again: createTurns(platform, bounds) }

  async function request(token: string, at: number): Promise<Known | undefined> {
    const askedAt = moment()
    const { text } = await fetchText(platform, endpoint, {
      accept: 'application/json',
      headers: { authorization: basicOf(credentials) },
      form: { token, ...(hint === undefined ? {} : { token_type_hint: hint }) },
      limit: 65_536,
    })
    const claims = parseObject(text)
    if (!claims || typeof claims['active'] !== 'boolean') throw new UnavailableError('Introspection answered nothing')
    const known = claims['active'] ? read(claims, askedAt) : undefined
    if (!known) {
      active.delete(token)
      inactive.set(token, at)
      return undefined
    }
    // Whoever asked later has been answered already: this answer was on its way when the token ended.
    const refusedAt = inactive.get(token)
    if (refusedAt !== undefined && refusedAt >= at) return undefined
    active.set(token, { at, known, isForgotten: false })
    return known
  }

  return {
    async ask(token, maxAge, { source, isProved = false } = {}) {
      const now = platform.monotonic()
      const known = active.get(token)
      if (known && !known.isForgotten && now - known.at <= maxAge) return known.known
      const refusedAt = inactive.get(token)
      if (refusedAt !== undefined && now - refusedAt < refusedFor) return undefined
      const asking = underWay.get(token)
      // The token may have ended since the server said so, where the answer is that long on its way.
      if (asking && now - asking.at <= maxAge) return asking.answer
      const answer = (known || isProved ? turns.again : turns.first)
        .take(() => request(token, now), source)
        .finally(() => {
          if (underWay.get(token) === question) underWay.delete(token)
        })
      const question: Question<Known> = { at: now, answer }
      underWay.set(token, question)
      return answer
    },
    forget(token, known) {
      const answer = active.get(token)
      if (answer?.known === known) active.set(token, { ...answer, isForgotten: true })
    },
    size: active.size,
  }
}

/** What is said of access tokens. */
export function readTokenAnswer({
  issuer,
  audience,
  skew,
}: TokenAnswerExpected): (claims: JsonObject) => KnownToken | undefined {
  return (claims) => (isFor(claims, issuer, audience) && isBearer(claims) ? knownToken(claims, skew) : undefined)
}

export interface TokenAnswerExpected {
  readonly issuer: string
  readonly audience: string
  /** Seconds. */
  readonly skew: number
}

/** The server says what it knows; that it is for this API is ours to check. RFC 7662 §2.2, §4. */
export function isFor(
  { active, iss, aud, sub, client_id, iat }: JsonObject,
  issuer: string,
  audience: string,
): boolean {
  return (
    active === true &&
    iss === issuer &&
    (aud === audience || (isStrings(aud) && isForUs(aud, audience, issuer))) &&
    [sub, client_id].every((value) => typeof value === 'string' && value !== '') &&
    typeof iat === 'number'
  )
}

/** A refresh token has no such type. */
function isBearer({ exp, token_type: type }: JsonObject): boolean {
  return (
    typeof exp === 'number' && (type === undefined || (typeof type === 'string' && type.toLowerCase() === 'bearer'))
  )
}

/** Milliseconds that an answer stands where no feed takes it back: the most. */
const longestAnswer = 1_000

/** Says how many milliseconds an answer stands now: while the feed is followed it takes it back, else it is for the moment. */
export function standingOf(feed: Pick<Feed, 'age'> | undefined, tolerance: number): () => number {
  const alone = feed ? Math.min(longestAnswer, tolerance) : longestAnswer
  return () => (feed !== undefined && feed.age() <= tolerance ? Number.POSITIVE_INFINITY : alone)
}
