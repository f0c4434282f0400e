import { messageOf, UnavailableError } from './errors.js'
import { fetchText } from './http.js'
import { parseObject } from './json.js'
import type { Platform } from './platform.js'
import { importVerificationKey, type VerificationKey } from './verification-key.js'

/** The server's public keys, as they were fetched last. */
export interface Jwks {
  /** The key of this id. An id that is unknown is asked for, but at most once per interval for all of them (attack 79). */
  readonly find: (kid: string) => Promise<VerificationKey | undefined>
  /** The same without asking. */
  readonly known: (kid: string) => VerificationKey | undefined
  /** Fetches them where they are due, in the background where they are only nearly. Costs nothing otherwise. */
  readonly freshen: () => Promise<void> | undefined
  /** They are due now: a key was revoked, and others have taken its place. */
  readonly expire: () => void
  /** Whether they are older than their `Cache-Control` allows, or one of them was revoked and no new ones could be had. */
  readonly outdated: () => boolean
  /** @throws {UnavailableError} */
  readonly load: () => Promise<void>
  /** Counts the changes. */
  readonly version: () => number
  readonly size: () => number
}

export interface JwksOptions {
  readonly platform: Platform
  /** Milliseconds between two requests for an unknown key. */
  readonly interval: number
  readonly warn: (message: string) => void
}

/** Bytes and keys of a set that is read. */
const limits = { bytes: 262_144, keys: 64 }

/** Seconds that a set is kept, within what its `Cache-Control` says. */
const lifetime = { least: 10, otherwise: 300, most: 86_400 }

/** Of their lifetime: from then on they are fetched in the background. */
const early = 0.8

export function createJwks(url: string, { platform, interval, warn }: JwksOptions): Jwks {
  let keys: ReadonlyMap<string, KeptKey> = new Map()
  let version = 0
  let askedAt = Number.NEGATIVE_INFINITY
  let fetchedAt = Number.NEGATIVE_INFINITY
  /** The same, whether or not they were made due since. */
  let loadedAt = Number.NEGATIVE_INFINITY
  let keptFor = 0
  let text: string | undefined
  let failing = false
  let underWay: Promise<void> | undefined

  async function fetchKeys(): Promise<void> {
    askedAt = platform.monotonic()
    const fetched = await fetchText(platform, url, {
      accept: 'application/jwk-set+json, application/json',
      limit: limits.bytes,
    })
    if (fetched.text !== text) {
      const loaded = await readKeys(fetched.text, keys, warn)
      // An answer without keys would end every token; the server has always one.
      if (loaded.size === 0) throw new UnavailableError(`${url} has no key that can be used`)
      keys = loaded
      text = fetched.text
      version++
    }
    fetchedAt = platform.monotonic()
    loadedAt = fetchedAt
    keptFor = maxAgeOf(fetched.headers) * 1000
  }

  /** One request for all who ask meanwhile. */
  function load(): Promise<void> {
    underWay ??= fetchKeys().finally(() => {
      underWay = undefined
    })
    return underWay
  }

  /** What was fetched outlives a server that is away: tokens expire, and keys are ended by the feed. */
  async function tryToLoad(): Promise<void> {
    try {
      await load()
      failing = false
    } catch (error) {
      failing = true
      warn(`The keys could not be fetched anew; the old ones are kept. ${messageOf(error)}`)
    }
  }

  const mayAsk = (): boolean => underWay !== undefined || platform.monotonic() - askedAt >= interval

  return {
    async find(kid) {
      const kept = keys.get(kid)
      if (kept || !mayAsk()) return kept?.key
      await tryToLoad()
      return keys.get(kid)?.key
    },
    known: (kid) => keys.get(kid)?.key,
    freshen() {
      const age = platform.monotonic() - fetchedAt
      if (age < keptFor * early || !mayAsk()) return undefined
      const loading = tryToLoad()
      // Waited for where they are over, but not for a server that was away the last time.
      return age < keptFor || failing ? undefined : loading
    },
    expire() {
      fetchedAt = Number.NEGATIVE_INFINITY
      // Whoever ended a key has another by now: it is asked for at once, whatever was asked for just before.
      askedAt = Number.NEGATIVE_INFINITY
    },
    outdated() {
      const now = platform.monotonic()
      return now - loadedAt >= keptFor || (failing && now - fetchedAt >= keptFor)
    },
    load,
    version: () => version,
    size: () => keys.size,
  }
}

interface KeptKey {
  readonly key: VerificationKey
  readonly json: string
}

/**
 * By their `kid`. A key that cannot be used is left out, and so are two of one name. What has not changed stays the same
 * object, so that what it signed need not be verified again.
 */
async function readKeys(
  text: string,
  before: ReadonlyMap<string, KeptKey>,
  warn: (message: string) => void,
): Promise<ReadonlyMap<string, KeptKey>> {
  const set = parseObject(text)?.['keys']
  if (!Array.isArray(set) || set.length > limits.keys) throw new UnavailableError('The JWKS is malformed')
  const keys = new Map<string, KeptKey>()
  const twice = new Set<string>()
  for (const jwk of set) {
    const json = JSON.stringify(jwk)
    const key = await importVerificationKey(jwk)
    if (typeof key === 'string') warn(`A key of the JWKS is left out: ${key}.`)
    else if (key.kid === undefined) warn('A key of the JWKS is left out: it has no kid.')
    else if (keys.has(key.kid)) twice.add(key.kid)
    else {
      const kept = before.get(key.kid)
      keys.set(key.kid, kept?.json === json ? kept : { key, json })
    }
  }
  for (const kid of twice) {
    warn('Keys of the JWKS are left out: they have the same kid.')
    keys.delete(kid)
  }
  return keys
}

/** Seconds. RFC 9111 §5.2.2.1. */
export function maxAgeOf(headers: Headers): number {
  const directives = (headers.get('cache-control') ?? '').toLowerCase().split(',')
  const value = directives.map((directive) => /^ *max-age=(\d{1,9}) *$/.exec(directive)?.[1]).find(Boolean)
  const seconds = value === undefined ? lifetime.otherwise : Number(value)
  return Math.min(Math.max(seconds, lifetime.least), lifetime.most)
}
