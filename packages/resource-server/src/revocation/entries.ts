import { isObject } from '../json.js'
import { createNews, type News } from './news.js'

const kinds = [
  'token',
  'grant',
  'session',
  'client',
  'user',
  'role',
  'key',
  'api_key',
  'api_keys',
  // Ends nothing: whoever remembers what an API key is worth asks again.
  'api_key_state',
  // Nor does this: whoever remembers that a password of the client was right asks again.
  'client_secret',
] as const

export type RevocationKind = (typeof kinds)[number]

export interface RevocationTarget {
  readonly kind: RevocationKind
  readonly id: string
}

/** What is revoked and may still be alive, as the server told. */
export interface Revocations {
  /** Whether any entry ends a token with these targets that was issued at `iat`. */
  readonly ends: (targets: readonly RevocationTarget[], iat: number) => boolean
  /**
   * Takes entries over in the order in which they were committed: a later one replaces an earlier one of the same target.
   *
   * @throws {Error} for what is no entry: nothing behind it can be relied on
   */
  readonly apply: (entries: unknown) => readonly RevocationTarget[]
  /** Forgets what lasts until it is lifted, before all of it is told anew. What expires is kept until then. */
  readonly beginAnew: () => void
  /** Forgets what has expired, of so many entries at a time. @param now seconds since 1970 */
  readonly sweep: (now: number) => void
  /** Counts the changes. */
  readonly version: () => number
  /** What was heard of since when, for answers of the server: an entry that came later may have changed them. */
  readonly news: Pick<News, 'moment' | 'isOf'>
  readonly size: () => number
}

/** Seconds that an entry is kept after its end: longer than clocks may differ. */
const slack = 60

/** Entries of one sweep: about a millisecond. */
const sweepSize = 20_000

/** A not-before: ends what was issued up to then. */
interface NotBefore {
  readonly nbf: number
  readonly exp: number
}

/** A terminal entry is its end alone, in seconds: most entries are of tokens, and there may be a million. */
type Entry = number | NotBefore

const lasting = Number.POSITIVE_INFINITY

export function createRevocations(): Revocations {
  const entries: Readonly<Record<RevocationKind, Map<string, Entry>>> = {
    token: new Map(),
    grant: new Map(),
    session: new Map(),
    client: new Map(),
    user: new Map(),
    role: new Map(),
    key: new Map(),
    api_key: new Map(),
    api_keys: new Map(),
    api_key_state: new Map(),
    client_secret: new Map(),
  }
  const news = createNews()
  let version = 0
  let sweeping: Iterator<{ readonly map: Map<string, Entry>; readonly id: string; readonly entry: Entry }> | undefined

  function* all() {
    for (const kind of kinds) for (const [id, entry] of entries[kind]) yield { map: entries[kind], id, entry }
  }

  return {
    ends: (targets, iat) =>
      targets.some(({ kind, id }) => {
        const entry = entries[kind].get(id)
        return entry !== undefined && (typeof entry === 'number' || iat <= entry.nbf)
      }),

    apply(list) {
      if (!Array.isArray(list)) throw new Error('revocations are no list')
      const read = list.map(readEntry).filter((each) => each !== undefined)
      for (const { kind, id, entry } of read) entries[kind].set(id, entry)
      news.hear(read)
      if (read.length > 0) version++
      return read
    },

    beginAnew() {
      for (const { map, id, entry } of all()) if (endOf(entry) === lasting) map.delete(id)
      news.forget()
      version++
    },

    sweep(now) {
      for (let count = 0; count < sweepSize; count++) {
        sweeping ??= all()
        const { done, value } = sweeping.next()
        if (done) {
          sweeping = undefined
          return
        }
        if (endOf(value.entry) + slack < now) value.map.delete(value.id)
      }
    },

    version: () => version,
    news,
    size: () => kinds.reduce((sum, kind) => sum + entries[kind].size, 0),
  }
}

function endOf(entry: Entry): number {
  return typeof entry === 'number' ? entry : entry.exp
}

/** @returns undefined for a kind that a later server may have, and that ends no token we know of */
function readEntry(value: unknown): (RevocationTarget & { readonly entry: Entry }) | undefined {
  if (!isObject(value)) throw new Error('a revocation is no object')
  const { kind: name, id, exp = lasting, nbf } = value
  const kind = kinds.find((each) => each === name)
  if (typeof name === 'string' && kind === undefined) return undefined
  if (kind === undefined || typeof id !== 'string' || typeof exp !== 'number')
    throw new Error('a revocation is malformed')
  if (nbf === undefined) return { kind, id, entry: exp }
  if (typeof nbf !== 'number') throw new Error('a revocation is malformed')
  return { kind, id, entry: { nbf, exp } }
}
