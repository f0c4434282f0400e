import { type ListedRevocation, longestAccessToken, roleHolder } from '../../revocation/index.js'

/** Seconds that a verifier may take an expired token for alive, and more. */
const skew = 60

/** The last second in which a token could be alive that the entry ends, by any verifier's clock; undefined: no end. */
export function endOf({ expiresAt, terminal, instant }: ListedRevocation): number | undefined {
  if (expiresAt !== undefined) return Math.ceil(expiresAt / 1000) + skew
  return terminal ? undefined : Math.ceil(instant / 1000) + longestAccessToken + skew
}

/**
 * An entry as a verifier gets it, in JSON: terminal, or with `nbf`, up to which tokens are refused. Times are whole seconds;
 * `exp`, after which it may be forgotten, is left out where it lasts until it is lifted. Written by hand: it may be one of a
 * million.
 */
export function toWire(entry: ListedRevocation): string {
  const { kind, target, terminal, instant } = entry
  // The resource of a role is the listener's own.
  const id = JSON.stringify(kind === 'role' ? roleHolder(target) : target)
  const nbf = terminal ? '' : `,"nbf":${Math.floor(instant / 1000)}`
  const end = endOf(entry)
  const exp = end === undefined ? '' : `,"exp":${end}`
  return `{"kind":"${kind}","id":${id}${nbf}${exp}}`
}

/** What concerns the audience behind a position and could still end a token, in commit order. */
export function* liveEntries(listed: Iterable<ListedRevocation>, now: Date): Iterable<ListedRevocation> {
  const second = now.getTime() / 1000
  for (const entry of listed) {
    const end = endOf(entry)
    if (end === undefined || end > second) yield entry
  }
}
