import type { CountedUse, NetworkUse } from '../store/index.js'
import { usage } from '../store/index.js'
import type { Use } from './trail.js'

interface Line {
  readonly use: Use
  readonly hour: number
  count: number
}

interface NetworkLine {
  readonly use: Use
  firstSeen: Date
  lastSeen: Date
  count: number
}

/** What was counted since the last write. */
export interface Tally {
  /** Uses of one kind, hour and set of scopes, by a text of all that tells them apart. */
  readonly counts: Map<string, Line>
  /** Where they came from, by the day. */
  readonly networks: Map<string, NetworkLine>
  /** The last use of each credential: mostly the next is like it, and counts without those texts. */
  readonly last: Map<string, { readonly use: Use; readonly counted: Line; readonly seen: NetworkLine }>
}

export function newTally(): Tally {
  return { counts: new Map(), networks: new Map(), last: new Map() }
}

/** Stands for the credentials of uses that there was no room to tell apart: their number is kept all the same. */
export const anyCredential = '*'

const hourLength = 3_600_000
const dayLength = 24 * hourLength

/** Where a network is not known. */
export const unknownNetwork = 'unknown'
/** An API that asked about a key: where it was shown to that, only the API can say. */
export const askedAbout = 'introspected'

/** @param capacity lines that are told apart, of uses and of networks */
export function addTo(tally: Tally, use: Use, capacity: number): void {
  const hour = Math.floor(use.at.getTime() / hourLength)
  const last = tally.last.get(use.credential)
  if (last && last.counted.hour === hour && isAlike(last.use, use)) {
    last.counted.count += use.count ?? 1
    see(last.seen, use)
    return
  }
  const counted = countLine(tally, use, hour, capacity)
  const seen = networkLine(tally, use, capacity)
  // Past the bound there is no room for those either.
  if (tally.last.has(use.credential) || tally.last.size < capacity)
    tally.last.set(use.credential, { use, counted, seen })
}

function isAlike(one: Use, other: Use): boolean {
  return (
    one.kind === other.kind &&
    one.api === other.api &&
    one.scope === other.scope &&
    one.outcome === other.outcome &&
    (one.superseded ?? false) === (other.superseded ?? false) &&
    one.from === other.from
  )
}

/** The line of this use, which is counted there. */
function countLine({ counts }: Tally, use: Use, hour: number, capacity: number): Line {
  const { kind, scope, outcome, count = 1 } = use
  const own = `${hour}\n${whoseOf(use)}\n${outcome}\n${scope}`
  const key = counts.has(own) || counts.size < capacity ? own : `${hour}\n${kind}`
  const known = counts.get(key)
  if (known) {
    known.count += count
    return known
  }
  const line = { use: key === own ? use : { ...use, ...withoutRoom }, hour, count }
  counts.set(key, line)
  return line
}

const withoutRoom = { credential: anyCredential, api: '', scope: '', outcome: 'uncounted', superseded: false } as const

function networkLine({ networks }: Tally, use: Use, capacity: number): NetworkLine {
  const { at, kind, count = 1 } = use
  const day = Math.floor(at.getTime() / dayLength)
  const own = `${day}\n${whoseOf(use)}\n${networkOf(use)}`
  const key = networks.has(own) || networks.size < capacity ? own : `${day}\n${kind}`
  const known = networks.get(key)
  if (known) {
    see(known, use)
    return known
  }
  const counted = key === own ? use : { ...use, ...withoutRoom, from: usage.moreNetworks }
  const line = { use: counted, firstSeen: at, lastSeen: at, count }
  networks.set(key, line)
  return line
}

function see(line: NetworkLine, { at, count = 1 }: Use): void {
  line.count += count
  // By numbers: to compare two dates costs more than all else here, at each request.
  const time = at.getTime()
  if (time < line.firstSeen.getTime()) line.firstSeen = at
  if (time > line.lastSeen.getTime()) line.lastSeen = at
}

function whoseOf({ kind, credential, api, superseded = false }: Use): string {
  return `${kind}\n${credential}\n${api}\n${superseded}`
}

function networkOf({ from, outcome }: Use): string {
  return from ?? (outcome === askedAbout ? askedAbout : unknownNetwork)
}

interface Rows {
  readonly counts: readonly CountedUse[]
  readonly networks: readonly NetworkUse[]
}

/**
 * The rows that come of it, each once, together with those that wait: one for all uses, and one for each scope.
 *
 * @param most rows that are told apart
 */
export function rowsOf({ counts, networks }: Tally, waiting: Rows, most: number): Rows {
  const merged = new Map<string, CountedUse>()
  for (const row of waiting.counts) mergeCount(merged, row, most)
  for (const { use, hour, count } of counts.values()) {
    const { kind, credential, api, outcome, superseded = false } = use
    const whole = { kind, credential, api, outcome, superseded, hour: new Date(hour * hourLength), count }
    mergeCount(merged, { ...whole, scope: '' }, most)
    for (const scope of new Set(use.scope.split(' '))) if (scope !== '') mergeCount(merged, { ...whole, scope }, most)
  }
  const seen = new Map<string, NetworkUse>()
  for (const row of waiting.networks) mergeNetwork(seen, row, most)
  for (const { use, firstSeen, lastSeen, count } of networks.values()) {
    const { kind, credential, api, superseded = false } = use
    mergeNetwork(seen, { kind, credential, api, superseded, network: networkOf(use), firstSeen, lastSeen, count }, most)
  }
  return { counts: [...merged.values()], networks: [...seen.values()] }
}

function mergeCount(merged: Map<string, CountedUse>, row: CountedUse, most: number): void {
  const { kind, credential, api, scope, outcome, superseded, hour, count } = row
  const key = `${hour.getTime()}\n${kind}\n${credential}\n${api}\n${superseded}\n${outcome}\n${scope}`
  const known = merged.get(key)
  if (known) merged.set(key, { ...known, count: known.count + count })
  else if (merged.size < most || credential === anyCredential) merged.set(key, row)
  // What is counted by scope is counted whole already.
  else if (scope === '') mergeCount(merged, { ...row, ...withoutRoom }, most)
}

function mergeNetwork(seen: Map<string, NetworkUse>, row: NetworkUse, most: number): void {
  const { kind, credential, api, superseded, network, firstSeen, lastSeen, count } = row
  const key = `${Math.floor(lastSeen.getTime() / dayLength)}\n${kind}\n${credential}\n${api}\n${superseded}\n${network}`
  const known = seen.get(key)
  if (known) {
    seen.set(key, {
      ...known,
      firstSeen: firstSeen < known.firstSeen ? firstSeen : known.firstSeen,
      lastSeen: lastSeen > known.lastSeen ? lastSeen : known.lastSeen,
      count: known.count + count,
    })
  } else if (seen.size < most || credential === anyCredential) seen.set(key, row)
  else
    mergeNetwork(
      seen,
      { ...row, credential: anyCredential, api: '', superseded: false, network: usage.moreNetworks },
      most,
    )
}
