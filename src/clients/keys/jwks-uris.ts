import { readJsonObject, TemporarilyUnavailableError } from '../../oauth/index.js'
import type { Clock } from '../../platform/clock.js'
import type { Logger } from '../../platform/log.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import {
  freshFor,
  type Outbound,
  type OutboundAnswer,
  OutboundError,
  type OutboundShare,
} from '../../platform/outbound/index.js'
import { type ClientKey, readClientKey } from './verification-key.js'

/**
 * Milliseconds for which keys are kept, by what their answer says (RFC 9111 §5.2.2.1): not so short that we would ask all the
 * time, and not so long that a key that was taken back lives on.
 */
const kept = { least: 60_000, most: 3_600_000, unsaid: 300_000 }

/** Milliseconds between two requests to one address, whatever names of keys arrive (attack 79), and after one that failed. */
const pause = { least: 5_000, afterFailure: 10_000 }

/** Milliseconds for which keys that should be asked for again still count, where their address does not answer. */
const patience = 3_600_000

/** Addresses that are remembered; those that were not asked for longest go first. */
const capacity = 1_000

/** Keys of one set. */
const mostKeys = 50

interface Entry {
  keys: readonly ClientKey[] | undefined
  /** Until then they are not asked for again. */
  until: number
  triedAt: number
  /** The same by a clock that nobody sets. */
  askedAt: number
  /** Of the last try. */
  problem: string | undefined
  asking: Promise<void> | undefined
}

interface Asked {
  /** For the log. */
  readonly clientId: string
  /** When that was signed, or later, in monotonic milliseconds. */
  readonly since: number
}

/** The sets behind `jwks_uri`, in memory. RFC 7517 §5, OIDC Core §10.1.1. */
export interface JwksUris {
  /**
   * The keys that fit. Where none does, the address is asked again: the client may have rotated.
   *
   * @throws {ClientKeysAwayError} also where none does, and the address was asked just before
   */
  readonly find: (uri: string, fits: (key: ClientKey) => boolean, asked: Asked) => Promise<readonly ClientKey[]>
}

export interface JwksUriOptions {
  readonly outbound: Outbound
  /** In which they are asked. */
  readonly share: OutboundShare
  readonly clock: Clock
  readonly log: Logger
}

export function createJwksUris({ outbound, share, clock, log }: JwksUriOptions): JwksUris {
  const entries = new Map<string, Entry>()

  function entryOf(uri: string): Entry {
    const entry = entries.get(uri) ?? {
      keys: undefined,
      until: Number.NEGATIVE_INFINITY,
      triedAt: Number.NEGATIVE_INFINITY,
      askedAt: Number.NEGATIVE_INFINITY,
      problem: undefined,
      asking: undefined,
    }
    entries.delete(uri)
    entries.set(uri, entry)
    if (entries.size > capacity) entries.delete(entries.keys().next().value!)
    return entry
  }

  async function ask(uri: string, entry: Entry, clientId: string): Promise<void> {
    try {
      const answer = await outbound.get(uri, { share, accept: 'application/jwk-set+json, application/json' })
      const { keys, unusable } = readSet(answer)
      if (unusable.length > 0) log.info({ clientId, unusable }, 'keys behind a jwks_uri are of no use')
      entry.keys = keys
      entry.until = clock.now().getTime() + freshFor(answer, kept)
      entry.problem = undefined
    } catch (error) {
      if (!(error instanceof OutboundError || error instanceof JwksError)) throw error
      entry.problem = error.reason
      log.warn({ clientId, reason: error.reason }, 'the keys of a client could not be fetched')
    }
  }

  /** One request at a time, for all who wait, and none right after another. */
  async function refresh(uri: string, entry: Entry, clientId: string): Promise<void> {
    if (!entry.asking) {
      const now = clock.now().getTime()
      const since = now - entry.triedAt
      // Also where the clock was set back (attack 133).
      if (since >= 0 && since < (entry.problem === undefined ? pause.least : pause.afterFailure)) return
      entry.triedAt = now
      entry.askedAt = monotonicMilliseconds()
      entry.asking = ask(uri, entry, clientId).finally(() => {
        entry.asking = undefined
      })
    }
    await entry.asking
  }

  return {
    async find(uri, fits, { clientId, since }) {
      const entry = entryOf(uri)
      const now = clock.now().getTime()
      const isCurrent = entry.keys && now < entry.until && entry.until - now <= kept.most
      if (!isCurrent) await refresh(uri, entry, clientId)
      if (!entry.keys?.some(fits)) await refresh(uri, entry, clientId)
      if (entry.keys && clock.now().getTime() >= entry.until + patience) entry.keys = undefined
      if (!entry.keys) throw new ClientKeysAwayError(entry.problem ?? 'jwks_uri_unavailable')
      const keys = entry.keys.filter(fits)
      // Somebody else's assertion may have made us ask just before the client rotated: in a few seconds we know.
      if (keys.length === 0 && (entry.askedAt < since || entry.problem !== undefined)) {
        throw new ClientKeysAwayError(entry.problem ?? 'jwks_uri_asked_just_before')
      }
      return keys
    },
  }
}

/** There are no keys now: whether the client signed something cannot be said, and so nothing is held against it. */
export class ClientKeysAwayError extends TemporarilyUnavailableError {
  constructor(reason: string) {
    super('The keys of the client cannot be fetched now. Try again later.', {
      reason,
      retryAfter: pause.afterFailure / 1000,
    })
  }
}

/** What an address answered is no JWK Set. */
class JwksError extends Error {
  readonly reason: string

  constructor(reason: string) {
    super('The answer is no JWK Set.')
    this.reason = reason
  }
}

function readSet({ status, body }: OutboundAnswer): { keys: readonly ClientKey[]; unusable: readonly string[] } {
  if (status !== 200) throw new JwksError('jwks_uri_not_200')
  const listed = readJsonObject(body)?.['keys']
  if (!Array.isArray(listed)) throw new JwksError('jwks_uri_no_jwk_set')
  if (listed.length > mostKeys) throw new JwksError('jwks_uri_too_many_keys')
  const read = listed.map(readClientKey)
  return {
    keys: read.filter((key) => typeof key !== 'string'),
    unusable: read.filter((key) => typeof key === 'string'),
  }
}
