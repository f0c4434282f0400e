import type { Clock } from '../platform/clock.js'
import { oneAtATime } from '../platform/one-at-a-time.js'
import {
  type Database,
  type EndableBy,
  type PositionedRevocation,
  type Revocation,
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
}

/** Entries of one read: a cold start with a million of them must not outlast a statement. */
const pageSize = 20_000

/** Milliseconds that an entry is kept after its end, so that a clock that is corrected a little changes nothing. */
const slack = 5 * 60_000

export function createRevocationList(db: Database, clock: Clock): RevocationList {
  const entries = new Map<string, PositionedRevocation>()
  let position = 0n
  let sweptAt = 0
  let readAt = 0

  const key = ({ kind, target }: EndableBy): string => `${kind} ${target}`

  async function read(): Promise<void> {
    const now = clock.now().getTime()
    // The clock was set back: what had expired, and was left out or forgotten, can end a token again (attack 133).
    if (now < readAt - slack) position = 0n
    const since = new Date(now - slack)
    let page: readonly PositionedRevocation[]
    do {
      page = await revocations.listBehind(db, position, since, pageSize)
      for (const entry of page) {
        keepStricter(entry)
        position = entry.position
      }
    } while (page.length === pageSize)
    readAt = now
    if (Math.abs(now - sweptAt) > 60_000) {
      sweptAt = now
      for (const [id, { expiresAt }] of entries) if (expiresAt && expiresAt <= since) entries.delete(id)
    }
  }

  /** A target may stand in two partitions: the later instant rules, and a terminal entry as long as it is there. */
  function keepStricter(entry: PositionedRevocation): void {
    const known = entries.get(key(entry))
    const lasting = known && known.expiresAt === undefined && entry.expiresAt !== undefined
    entries.set(
      key(entry),
      known
        ? {
            ...entry,
            terminal: lasting ? known.terminal || entry.terminal : entry.terminal,
            instant: known.instant > entry.instant ? known.instant : entry.instant,
            expiresAt: lasting || !entry.expiresAt ? undefined : latest(known.expiresAt, entry.expiresAt),
          }
        : entry,
    )
  }

  const list: RevocationList = {
    find: (target) => entries.get(key(target)),
    ends: (targets, iat) =>
      targets.some((target) => {
        const entry = entries.get(key(target))
        return entry !== undefined && ends(entry, iat)
      }),
    earliestIat(targets, now) {
      let iat = Math.floor(now.getTime() / 1000)
      for (const target of targets) {
        const entry = entries.get(key(target))
        if (!entry) continue
        if (entry.terminal) return undefined
        if (ends(entry, iat)) iat = Math.floor(entry.instant.getTime() / 1000) + 1
      }
      return iat
    },
    refresh: oneAtATime(read),
    size: () => entries.size,
  }
  return list
}

function latest(a: Date | undefined, b: Date): Date | undefined {
  if (!a) return undefined
  return a > b ? a : b
}
