import { decodeBase64url } from '../base64url.js'
import { messageOf, UnavailableError } from '../errors.js'
import { fetchText } from '../http.js'
import { isObject, type JsonObject } from '../json.js'
import type { Jwks } from '../jwks.js'
import type { Platform } from '../platform.js'
import type { Revocations } from './entries.js'
import { isCurrent, readSigned } from './signed-document.js'

/**
 * Token Status Lists: what is revoked, for verifiers without the feed. draft-ietf-oauth-status-list.
 */
export interface StatusLists {
  /** Undefined where the token says no status: then its expiry is all there is. */
  readonly check: (claims: JsonObject) => Promise<'valid' | 'invalid' | 'unavailable'> | 'valid' | 'invalid' | undefined
  /** Whether nothing is known of a list that a living token has named: it could not be had, or is over. */
  readonly missing: () => boolean
  /** Asks for these, in the background. */
  readonly freshen: () => void
  readonly size: () => number
}

export interface StatusListsOptions {
  readonly platform: Platform
  readonly jwks: Jwks
  readonly revocations: Revocations
  readonly issuer: string
  /** Seconds. */
  readonly skew: number
  readonly warn: (message: string) => void
}

interface StatusList {
  readonly bits: number
  readonly statuses: Uint8Array
  /** Monotonic milliseconds from which a fresh one is fetched. */
  readonly freshUntil: number
  /** Seconds since 1970: it says nothing any more. */
  readonly exp: number
  /** Seconds: as the list says, within what is believed. */
  readonly ttl: number
  /** By which it is asked for again. */
  readonly etag: string | undefined
}

/** Lists at once; characters of one as it comes, and bytes of it unpacked: 2^20 tokens of 8 bits. */
const limits = { lists: 64, characters: 2 * 1024 * 1024, bytes: 1024 * 1024 }

/** Seconds, where a list says none, and the least and most that are believed. */
const ttl = { otherwise: 60, least: 1, most: 3_600 }

/** Milliseconds between two attempts at a list that cannot be fetched. */
const pause = 1_000

export function createStatusLists(options: StatusListsOptions): StatusLists {
  const { platform, jwks, revocations, issuer, skew, warn } = options
  const lists = new Map<string, StatusList>()
  const underWay = new Map<string, Promise<StatusList | undefined>>()
  const failedAt = new Map<string, number>()
  /** When the last token expires that named the list, in seconds: after that nobody needs it. */
  const neededUntil = new Map<string, number>()

  const mayAsk = (uri: string): boolean => {
    const failed = failedAt.get(uri)
    return failed === undefined || platform.monotonic() - failed >= pause
  }

  const usable = (list: StatusList | undefined): StatusList | undefined =>
    list && platform.now() / 1000 < list.exp + skew ? list : undefined

  async function fetchList(uri: string): Promise<StatusList> {
    const askedAt = platform.monotonic()
    const last = usable(lists.get(uri))
    const { text, headers, unchanged } = await fetchText(platform, uri, {
      accept: 'application/statuslist+jwt',
      limit: limits.characters,
      etag: last?.etag,
    })
    if (unchanged && last) return { ...last, freshUntil: askedAt + last.ttl * 1000 }
    const kind = { typ: 'statuslist+jwt', limit: limits.characters }
    const claims = await readSigned(text, kind, jwks, revocations)
    // §8.3: it must be the list that was asked for, or one list could be shown in place of another.
    const isThis = claims['sub'] === uri && (claims['iss'] === undefined || claims['iss'] === issuer)
    if (!isThis || !isCurrent(claims, platform.now() / 1000, skew)) {
      throw new UnavailableError('A status list is another one, or is over')
    }
    const said = typeof claims['ttl'] === 'number' ? claims['ttl'] : ttl.otherwise
    const lifetime = Math.min(Math.max(said, ttl.least), ttl.most)
    return {
      ...(await readList(claims['status_list'])),
      freshUntil: askedAt + lifetime * 1000,
      exp: typeof claims['exp'] === 'number' ? claims['exp'] : Number.POSITIVE_INFINITY,
      ttl: lifetime,
      etag: headers.get('etag') ?? undefined,
    }
  }

  /** One request for all who ask meanwhile. @returns the last one that is not over where no new one can be had */
  function load(uri: string): Promise<StatusList | undefined> {
    const loading =
      underWay.get(uri) ??
      fetchList(uri)
        .then((list) => {
          lists.delete(uri)
          lists.set(uri, list)
          failedAt.delete(uri)
          keepNewest(lists)
          return list
        })
        .catch((error: unknown) => {
          for (const each of failedAt.keys()) if (mayAsk(each) && !neededUntil.has(each)) failedAt.delete(each)
          failedAt.set(uri, platform.monotonic())
          warn(`A status list could not be fetched. ${messageOf(error)}`)
          return usable(lists.get(uri))
        })
        .finally(() => underWay.delete(uri))
    underWay.set(uri, loading)
    return loading
  }

  function need(uri: string, exp: unknown): void {
    if (typeof exp !== 'number' || exp <= (neededUntil.get(uri) ?? 0)) return
    neededUntil.set(uri, exp)
    keepNewest(neededUntil)
  }

  function missing(): readonly string[] {
    const now = platform.now() / 1000
    for (const [uri, until] of neededUntil) if (until + skew <= now) neededUntil.delete(uri)
    return [...neededUntil.keys()].filter((uri) => {
      const list = lists.get(uri)
      // One that was driven out by others can be had again.
      return list ? !usable(list) : failedAt.has(uri)
    })
  }

  return {
    check({ status, exp }) {
      if (status === undefined) return undefined
      const reference = isObject(status) ? status['status_list'] : undefined
      const { idx, uri } = isObject(reference) ? reference : {}
      // Of the server and nobody else: a token must not send us elsewhere.
      if (typeof idx !== 'number' || !Number.isSafeInteger(idx) || idx < 0 || !isOf(issuer, uri)) return 'invalid'
      need(uri, exp)
      const known = usable(lists.get(uri))
      if (known && platform.monotonic() < known.freshUntil) return statusAt(known, idx)
      if (!mayAsk(uri)) return known ? statusAt(known, idx) : Promise.resolve('unavailable')
      return load(uri).then((list) => (list ? statusAt(list, idx) : 'unavailable'))
    },
    missing: () => missing().length > 0,
    freshen() {
      for (const uri of missing()) if (mayAsk(uri)) void load(uri)
    },
    size: () => lists.size,
  }
}

/** What was put in first leaves first. */
function keepNewest(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= limits.lists) break
    map.delete(oldest)
  }
}

function isOf(issuer: string, uri: unknown): uri is string {
  if (typeof uri !== 'string' || !URL.canParse(uri) || new URL(uri).href !== uri) return false
  return uri.startsWith(issuer.endsWith('/') ? issuer : `${issuer}/`)
}

/** The least significant bits come first (§4.1); 0 is valid (§7.1). What lies behind the end of the list is not (§8.3). */
function statusAt({ bits, statuses }: StatusList, idx: number): 'valid' | 'invalid' {
  const perByte = 8 / bits
  const byte = statuses[Math.floor(idx / perByte)]
  if (byte === undefined) return 'invalid'
  return ((byte >> ((idx % perByte) * bits)) & ((1 << bits) - 1)) === 0 ? 'valid' : 'invalid'
}

/** §4.2. */
async function readList(value: unknown): Promise<Pick<StatusList, 'bits' | 'statuses'>> {
  const { bits, lst } = isObject(value) ? value : {}
  const compressed = typeof lst === 'string' ? decodeBase64url(lst) : undefined
  if (typeof bits !== 'number' || ![1, 2, 4, 8].includes(bits) || !compressed) {
    throw new UnavailableError('A status list is malformed')
  }
  return { bits, statuses: await inflate(compressed) }
}

/** ZLIB (RFC 1950), up to a bound: a list of zeros is small, whatever its length (attack 81). */
async function inflate(compressed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const reader = new Blob([compressed]).stream().pipeThrough(new DecompressionStream('deflate')).getReader()
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.length
      if (size > limits.bytes) throw new UnavailableError('A status list is too long')
      pieces.push(value)
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined)
    throw error instanceof UnavailableError
      ? error
      : new UnavailableError('A status list is malformed', { cause: error })
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
