import type { Clock } from '../platform/clock.js'
import { monotonicMilliseconds } from '../platform/monotonic.js'
import { oneAtATime } from '../platform/one-at-a-time.js'
import {
  type Database,
  type EndableBy,
  type PositionedRevocation,
  type Revocation,
  revocations,
} from '../store/index.js'
import { ends } from './ended-by.js'
import { createRevocationTable, type ListedRevocation } from './table.js'

/** What is revoked, as this process has heard. Introspection reads what is new before it relies on it. */
export interface RevocationList {
  readonly find: (target: EndableBy) => Revocation | undefined
  /** Whether any entry ends a token with these targets that was issued at `iat`. */
  readonly ends: (targets: readonly EndableBy[], iat: number) => boolean
  /** Whether any entry about these targets was listed behind the position: what was known of them then may be wrong. */
  readonly listedBehind: (targets: readonly EndableBy[], position: bigint) => boolean
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

export interface RevocationFollower {
  readonly onNews: (entries: readonly ListedRevocation[], position: bigint) => void
  /** What was read before is no more in commit order with what comes: begin anew. */
  readonly onReset?: () => void
}

/** Two positions: the first is old enough, the second will be when so much time has passed. */
interface Settled {
  readonly before: bigint
  readonly last: bigint
  /** Milliseconds, when the second was reached. */
  readonly since?: number
}

/** Entries of one read: some 20 ms of the event loop, and a cold start with a million must not outlast a statement. */
const pageSize = 5_000

/**
 * Milliseconds after which a position is as it stays. A primary that dies shows, while it ends, what its standby never got,
 * and the standby gives the same positions to others then.
 */
const unsettled = 10_000

/** Milliseconds that an entry is kept after its end, so that a clock that is corrected a little changes nothing. */
const slack = 5 * 60_000

/** Milliseconds after which what was lifted ends no token that could be alive. */
const day = 86_400_000

/** @param milliseconds the clock that the age is taken by: no clock change moves it */
export function createRevocationList(db: Database, clock: Clock, milliseconds = monotonicMilliseconds): RevocationList {
  const table = createRevocationTable()
  let position = 0n
  let sweptAt = 0
  let readAt = 0
  /** Of the connections by which was read last, and what of it is old enough. */
  let readEra: number | undefined
  let settled: Settled = { before: 0n, last: 0n }
  /** What came back may lie among what was known: until all of it was read and put in order. */
  let disordered = false
  let heardAt = milliseconds()
  const followers = new Set<RevocationFollower>()

  async function read(): Promise<void> {
    for (let attempt = 1; !(await readBehind()); attempt++) {
      if (attempt === 3) throw new Error('the positions of revocations are given anew again and again')
      await revocations.relist(db, settled.before, position)
    }
  }

  /** @returns false where positions that are known here were given to others since: nothing was read */
  async function readBehind(): Promise<boolean> {
    const since = milliseconds()
    const now = clock.now().getTime()
    // The clock was set back: what had expired, and was left out or forgotten, can end a token again (attack 133).
    disordered ||= now < readAt - slack
    const again = disordered
    const wasRead = await db.reads(async (connection, era) => {
      if (era !== readEra && (await wereGivenAnew(connection, now))) return false
      let behind = again ? 0n : position
      let page: readonly PositionedRevocation[]
      do {
        page = await revocations.listBehind(connection, behind, new Date(now - slack), pageSize)
        const before = table.size()
        const changed = page.map((row) => keepStricter(row, now))
        const allNew = table.size() - before === changed.length
        behind = page.at(-1)?.position ?? behind
        if (behind > position) position = behind
        // Of one that stands twice in the page the later position counts.
        if (!again) tell(allNew ? changed : changed.filter((entry) => table.find(entry)?.position === entry.position))
      } while (page.length === pageSize)
      readEra = era
      return true
    })
    if (!wasRead) return false
    readAt = now
    heardAt = since
    if (again) {
      putInOrder()
      disordered = false
    }
    settle(since)
    if (Math.abs(now - sweptAt) > 60_000) sweep(now)
    return true
  }

  /** Asked of a server that may be another one than before. */
  async function wereGivenAnew(connection: Pick<Database, 'query'>, now: number): Promise<boolean> {
    if (position === 0n) return false
    if ((await revocations.lastPosition(connection)) < position) return true
    for (let behind = settled.before; behind < position; ) {
      const page = await revocations.listBehind(connection, behind, new Date(now - slack), pageSize)
      if (page.some((row) => row.position <= position && !isKnown(row, now))) return true
      if (page.length < pageSize) break
      behind = page.at(-1)!.position
    }
    return false
  }

  function isKnown(row: PositionedRevocation, now: number): boolean {
    const instant = row.instant.getTime()
    if (isOver(row.expiresAt?.getTime() ?? noEnd, row.terminal, instant, now)) return true
    const entry = table.find(row)
    return (
      entry !== undefined &&
      entry.position >= Number(row.position) &&
      entry.instant >= instant &&
      (entry.terminal || !row.terminal)
    )
  }

  function settle(since: number): void {
    // Of a first read nobody knows how old it is: a page of it is as good as new.
    if (settled.since === undefined) settled = { before: position - BigInt(pageSize), last: position, since }
    else if (since - settled.since >= unsettled) settled = { before: settled.last, last: position, since }
  }

  /** A target may stand in two partitions: the later instant rules, and a terminal entry as long as it is there. */
  function keepStricter(row: PositionedRevocation, now: number): ListedRevocation {
    return table.put(row, (before) => {
      // What is over and was not swept yet has no say.
      const known =
        before && isOver(before.expiresAt ?? noEnd, before.terminal, before.instant, now) ? undefined : before
      const instant = row.instant.getTime()
      const expiresAt = row.expiresAt?.getTime()
      const lasting = known && known.expiresAt === undefined && expiresAt !== undefined
      return {
        kind: row.kind,
        target: row.target,
        terminal: lasting ? known.terminal || row.terminal : row.terminal,
        instant: known ? Math.max(known.instant, instant) : instant,
        expiresAt: lasting || expiresAt === undefined ? undefined : Math.max(known?.expiresAt ?? 0, expiresAt),
        position: Math.max(known?.position ?? 0, Number(row.position)),
        audiences: known ? union(known.audiences, row.audiences) : row.audiences,
      }
    })
  }

  function tell(changed: readonly ListedRevocation[]): void {
    if (changed.length > 0) for (const { onNews } of followers) onNews(changed, position)
  }

  /** What came back lies among what was known, and nobody who reads on behind a position would meet it. */
  function putInOrder(): void {
    table.sort()
    for (const { onReset } of followers) onReset?.()
  }

  function sweep(now: number): void {
    sweptAt = now
    table.sweep((expiresAt, terminal, instant) => isOver(expiresAt, terminal, instant, now))
  }

  return {
    find(target) {
      const entry = table.find(target)
      return entry && { ...target, terminal: entry.terminal, instant: new Date(entry.instant) }
    },
    ends: (targets, iat) =>
      targets.some((target) => {
        const entry = table.find(target)
        return entry !== undefined && ends(entry, iat)
      }),
    listedBehind: (targets, from) => targets.some((target) => (table.find(target)?.position ?? 0) > from),
    earliestIat(targets, now) {
      let iat = Math.floor(now.getTime() / 1000)
      for (const target of targets) {
        const entry = table.find(target)
        if (!entry) continue
        if (entry.terminal) return undefined
        if (ends(entry, iat)) iat = Math.floor(entry.instant / 1000) + 1
      }
      return iat
    },
    refresh: oneAtATime(read),
    size: table.size,
    position: () => position,
    age: () => milliseconds() - heardAt,
    // A clock that was set back since must not make it newer than it is.
    readAt: () => new Date(Math.min(readAt, clock.now().getTime())),
    behind: (audience, from) => table.behind(Number(from), audience),
    follow(follower) {
      followers.add(follower)
      return () => void followers.delete(follower)
    },
  }
}

const noEnd = Number.POSITIVE_INFINITY

function isOver(expiresAt: number, terminal: boolean, instant: number, now: number): boolean {
  return expiresAt === noEnd ? !terminal && instant < now - day : expiresAt <= now - slack
}

/** Empty is everybody. The same array where nothing is added. */
function union(known: readonly string[], others: readonly string[]): readonly string[] {
  if (known.length === 0 || others.length === 0) return known.length === 0 ? known : others
  const missing = others.filter((audience) => !known.includes(audience))
  return missing.length === 0 ? known : [...known, ...missing]
}
