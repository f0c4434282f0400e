import { type ListedRevocation, longestAccessToken, roleHolder } from '../../revocation/index.js'

/**
 * An entry as a verifier gets it: terminal, or with `nbf`, up to which tokens are refused. Times are whole seconds; `exp`,
 * after which it may be forgotten, is left out where it lasts until it is lifted.
 */
export interface WireEntry {
  readonly kind: string
  readonly id: string
  readonly nbf?: number
  readonly exp?: number
}

/** Seconds that a verifier may take an expired token for alive, and more. */
const skew = 60

/** The last second in which a token could be alive that the entry ends, by any verifier's clock; undefined: no end. */
export function endOf({ expiresAt, terminal, instant }: ListedRevocation): number | undefined {
  if (expiresAt !== undefined) return Math.ceil(expiresAt / 1000) + skew
  return terminal ? undefined : Math.ceil(instant / 1000) + longestAccessToken + skew
}

export function toWire(entry: ListedRevocation): WireEntry {
  const { kind, target, terminal, instant } = entry
  const exp = endOf(entry)
  return {
    kind,
    // The resource of a role is the listener's own.
    id: kind === 'role' ? roleHolder(target) : target,
    ...(terminal ? {} : { nbf: Math.floor(instant / 1000) }),
    ...(exp === undefined ? {} : { exp }),
  }
}

/** What concerns the audience behind a position and could still end a token, in commit order. */
export function* liveEntries(
  listed: Iterable<ListedRevocation>,
  now: Date,
): Iterable<{ readonly wire: WireEntry; readonly position: number }> {
  const second = now.getTime() / 1000
  for (const entry of listed) {
    const end = endOf(entry)
    if (end === undefined || end > second) yield { wire: toWire(entry), position: entry.position }
  }
}
