import type { Clock } from '../platform/clock.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { oneAtATime } from '../platform/one-at-a-time.js'
import {
  type Database,
  type EndableBy,
  type PositionedRevocation,
  type Revocation,
  type RevocationKind,
  revocations,
} from '../store/index.js'
import { ends } from './ended-by.js'

/** What is revoked, as this process has heard. Introspection reads what is new before it relies on it. */
export interface RevocationList {
  readonly find: (target: EndableBy) => Revocation | undefined
  /** Whether any entry ends a token with these targets that was issued at `iat`. */
  readonly ends: (targets: readonly EndableBy[], iat: number) => boolean
  /**
   * The earliest `iat`, in whole seconds, that no entry ends; undefined when one of the targets is ended for good. Where a
   * not-before lies in this very second, that is the next one: wait for it.
   */
  readonly earliestIat: (targets: readonly EndableBy[], now: Date) => number | undefined
  /** Reads what was listed since. What was committed before the call is known after it. */
  readonly refresh: () => Promise<void>
  readonly size: () => number
  /** Up to which everything was read. */
  readonly position: () => bigint
  /** Milliseconds since the database was asked for what is known here. */
  readonly age: () => number
  /** The same as a time: what was committed before is known. */
  readonly readAt: () => Date
  /**
   * What concerns the audience and was listed behind the position, in commit order. It may be read in pieces, with time
   * between them: what is listed meanwhile comes too, so that whoever has read to the end knows everything.
   */
  readonly behind: (audience: string, position: bigint) => Iterable<ListedRevocation>
  /** Hears of everything new at once after it was read. @returns stops */
  readonly follow: (follower: RevocationFollower) => () => void
}

/** An entry as it rules: where its target stands in two partitions, the stricter of both. */
export interface ListedRevocation {
  readonly kind: RevocationKind
  readonly target: string
  readonly terminal: boolean
  /** Milliseconds since 1970. */
  readonly instant: number
  readonly expiresAt: number | undefined
  readonly position: number
  /** Identifiers of the resources concerned; empty: all. */
  readonly audiences: readonly string[]
}

export interface RevocationFollower {
  readonly onNews: (entries: readonly ListedRevocation[], position: bigint) => void
  /** What was read before is no more in commit order with what comes: begin anew. */
  readonly onReset?: () => void
}

/** Entries of one read: a cold start with a million of them must not outlast a statement. */
const pageSize = 20_000

/** Milliseconds that an entry is kept after its end, so that a clock that is corrected a little changes nothing. */
const slack = 5 * 60_000

/** Milliseconds after which what was lifted ends no token that could be alive. */
const day = 86_400_000

/** How many of the last changes are found by their position, not by reading all. */
const tailLength = 16_384

/** A million of them must fit: kind and target are told from the key. */
interface Entry {
  readonly key: string
  readonly terminal: boolean
  readonly instant: number
  readonly expiresAt: number | undefined
  readonly position: number
  readonly audiences: readonly string[]
}

interface Change {
  readonly position: number
  readonly key: string
}

/** @param milliseconds the clock that the age is taken by: no clock change moves it */
export function createRevocationList(db: Database, clock: Clock, milliseconds = monotonicMilliseconds): RevocationList {
  /** In commit order: whatever changes is put at the end. */
  let entries = new Map<string, Entry>()
  let tail: Change[] = []
  /** Every change behind this position is in the tail. */
  let tailBegins = 0
  let position = 0n
  let sweptAt = 0
  let readAt = 0
  let heardAt = milliseconds()
  const followers = new Set<RevocationFollower>()

  async function read(): Promise<void> {
    const since = milliseconds()
    const now = clock.now().getTime()
    // The clock was set back: what had expired, and was left out or forgotten, can end a token again (attack 133).
    const again = now < readAt - slack
    let behind = again ? 0n : position
    let page: readonly PositionedRevocation[]
    do {
      page = await revocations.listBehind(db, behind, new Date(now - slack), pageSize)
      for (const row of page) {
        keepStricter(row, now)
        behind = row.position
      }
      if (behind > position) position = behind
      if (!again) tell(page)
    } while (page.length === pageSize)
    readAt = now
    heardAt = since
    if (again) putInOrder()
    if (Math.abs(now - sweptAt) > 60_000) sweep(now)
  }

  /** A target may stand in two partitions: the later instant rules, and a terminal entry as long as it is there. */
  function keepStricter(row: PositionedRevocation, now: number): void {
    const key = keyOf(row)
    const before = entries.get(key)
    // What is over and was not swept yet has no say.
    const known = before && isOver(before, now) ? undefined : before
    const instant = row.instant.getTime()
    const expiresAt = row.expiresAt?.getTime()
    const lasting = known && known.expiresAt === undefined && expiresAt !== undefined
    const entry: Entry = {
      key,
      terminal: lasting ? known.terminal || row.terminal : row.terminal,
      instant: known ? Math.max(known.instant, instant) : instant,
      expiresAt: lasting || expiresAt === undefined ? undefined : Math.max(known?.expiresAt ?? 0, expiresAt),
      position: Math.max(known?.position ?? 0, Number(row.position)),
      audiences: known ? union(known.audiences, row.audiences) : row.audiences,
    }
    if (before) entries.delete(key)
    entries.set(key, entry)
    tail.push({ position: entry.position, key })
    if (tail.length > tailLength) {
      const dropped = tail.length - tailLength / 2
      tailBegins = tail[dropped - 1]?.position ?? 0
      tail = tail.slice(dropped)
    }
  }

  function tell(page: readonly PositionedRevocation[]): void {
    if (page.length === 0 || followers.size === 0) return
    const changed = [...new Set(page.map(keyOf))].flatMap((key) => {
      const entry = entries.get(key)
      return entry ? [toListed(entry)] : []
    })
    // Of one that stands twice in the page the later position counts.
    changed.sort((a, b) => a.position - b.position)
    for (const { onNews } of followers) onNews(changed, position)
  }

  /** What came back lies among what was known, and nobody who reads on behind a position would meet it. */
  function putInOrder(): void {
    entries = new Map([...entries].sort(([, a], [, b]) => a.position - b.position))
    tail = []
    tailBegins = Number(position)
    for (const { onReset } of followers) onReset?.()
  }

  function sweep(now: number): void {
    sweptAt = now
    for (const [key, entry] of entries) if (isOver(entry, now)) entries.delete(key)
  }

  /** The first change behind the position. */
  function nextChange(behind: number): Change | undefined {
    let low = 0
    let high = tail.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (tail[middle]!.position > behind) high = middle
      else low = middle + 1
    }
    return tail[low]
  }

  function* behind(audience: string, from: bigint): Iterable<ListedRevocation> {
    const concerns = ({ audiences }: Entry): boolean => audiences.length === 0 || audiences.includes(audience)
    let last = Number(from)
    while (last >= tailBegins) {
      const change = nextChange(last)
      if (!change) return
      last = change.position
      const entry = entries.get(change.key)
      if (entry?.position === last && concerns(entry)) yield toListed(entry)
    }
    // A Map gives what is put into it while it is read.
    const read = entries
    for (const entry of read.values()) {
      if (read !== entries) throw new Error('the revocations were put into another order while they were read')
      if (entry.position > last && concerns(entry)) yield toListed(entry)
    }
  }

  return {
    find(target) {
      const entry = entries.get(keyOf(target))
      return entry && { ...target, terminal: entry.terminal, instant: new Date(entry.instant) }
    },
    ends: (targets, iat) =>
      targets.some((target) => {
        const entry = entries.get(keyOf(target))
        return entry !== undefined && ends(entry, iat)
      }),
    earliestIat(targets, now) {
      let iat = Math.floor(now.getTime() / 1000)
      for (const target of targets) {
        const entry = entries.get(keyOf(target))
        if (!entry) continue
        if (entry.terminal) return undefined
        if (ends(entry, iat)) iat = Math.floor(entry.instant / 1000) + 1
      }
      return iat
    },
    refresh: oneAtATime(read),
    size: () => entries.size,
    position: () => position,
    age: () => milliseconds() - heardAt,
    // A clock that was set back since must not make it newer than it is.
    readAt: () => new Date(Math.min(readAt, clock.now().getTime())),
    behind,
    follow(follower) {
      followers.add(follower)
      return () => void followers.delete(follower)
    },
  }
}

function isOver({ expiresAt, terminal, instant }: Entry, now: number): boolean {
  return expiresAt === undefined ? !terminal && instant < now - day : expiresAt <= now - slack
}

function keyOf({ kind, target }: EndableBy): string {
  return `${kind} ${target}`
}

function toListed({ key, terminal, instant, expiresAt, position, audiences }: Entry): ListedRevocation {
  const space = key.indexOf(' ')
  const kind = key.slice(0, space) as RevocationKind
  return { kind, target: key.slice(space + 1), terminal, instant, expiresAt, position, audiences }
}

/** Empty is everybody. The same array where nothing is added. */
function union(known: readonly string[], others: readonly string[]): readonly string[] {
  if (known.length === 0 || others.length === 0) return known.length === 0 ? known : others
  const missing = others.filter((audience) => !known.includes(audience))
  return missing.length === 0 ? known : [...known, ...missing]
}
