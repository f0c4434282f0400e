import type { Clock } from '../../platform/clock.js'
import { oneAtATime } from '../../platform/one-at-a-time.js'
import type { SecretKeys } from '../../secrets/index.js'
import { type Database, statusLists } from '../../store/index.js'
import { permutationOf } from './list-name.js'

/** A list as it was at one instant. Token Status List §4.1. */
export interface StatusBits {
  readonly id: Buffer
  /** No token of it is alive any more. */
  readonly expiresAt: Date
  /** One bit for each index, the least significant of a byte first; set is INVALID (§7.1). */
  readonly bits: Uint8Array
}

/** What the lists say, as far as this process has read. */
export interface StatusLists {
  /** Reads what was ended since. What was committed before the call is known after it. @returns when it began */
  readonly refresh: () => Promise<Date>
  /** @returns undefined for one that is unknown, or over */
  readonly find: (id: Buffer) => StatusBits | undefined
  readonly list: () => readonly Buffer[]
  /** Reads everything again, when next asked: the database may have been replaced by an older state of itself. */
  readonly reset: () => void
}

/** Revocations of one read. */
const pageSize = 5_000

/**
 * Milliseconds that a list is there after its end: for clocks that differ. As long as the revocation list keeps its own.
 */
const slack = 5 * 60_000

/**
 * Milliseconds for which a revocation is read again. A token whose statement began before a revocation was committed, or a
 * block of a process that had not heard of it, may be written a few seconds later.
 */
const unsettled = 60_000

const none = new Uint8Array(statusLists.statusListSize / 8)

interface List {
  readonly id: Buffer
  readonly expiresAt: Date
  /** Undefined while nothing is set: most of what few tokens are revoked in. */
  bits: Uint8Array | undefined
}

export function createStatusLists(db: Database, clock: Clock, secrets: SecretKeys): StatusLists {
  let lists = new Map<string, List>()
  let settled = 0n
  let readAt = 0

  const refresh = oneAtATime(async () => {
    const now = clock.now()
    // The clock was set back: what had expired, and was left out, can end a token again (attack 133).
    if (now.getTime() < readAt - slack) settled = 0n
    const times = {
      now,
      since: new Date(now.getTime() - slack),
      settled: new Date(now.getTime() - unsettled),
    }
    let position = settled
    for (;;) {
      const changes = await statusLists.listChanges(db, position, { ...times, limit: pageSize })
      keepLists(changes)
      for (const { listId, idx } of changes.indexes) {
        const bits = writable(listId)
        if (bits) for (const each of idx) set(bits, each)
      }
      setBlocks(changes)
      position = changes.position ?? position
      settled = changes.settled ?? settled
      if (changes.read < pageSize) break
    }
    readAt = now.getTime()
    return now
  })

  function keepLists(changes: statusLists.StatusChanges): void {
    const known = lists
    lists = new Map()
    for (const { id, expiresAt } of changes.lists) {
      lists.set(keyOf(id), { id, expiresAt, bits: known.get(keyOf(id))?.bits })
    }
  }

  function writable(id: Buffer): Uint8Array | undefined {
    const list = lists.get(keyOf(id))
    if (list) list.bits ??= new Uint8Array(none.length)
    return list?.bits
  }

  function setBlocks({ blocks }: statusLists.StatusChanges): void {
    const byList = new Map<string, (typeof blocks)[number][]>()
    for (const block of blocks) byList.set(keyOf(block.listId), [...(byList.get(keyOf(block.listId)) ?? []), block])
    for (const [key, all] of byList) {
      const id = Buffer.from(key, 'latin1')
      const bits = writable(id)
      if (!bits) continue
      const permute = permutationOf(secrets, id)
      for (const { first, size } of all) for (let at = first; at < first + size; at++) set(bits, permute(at))
    }
  }

  return {
    refresh,
    find(id) {
      const list = lists.get(keyOf(id))
      if (!list || list.expiresAt.getTime() + slack <= clock.now().getTime()) return undefined
      return { id: list.id, expiresAt: list.expiresAt, bits: list.bits ?? none }
    },
    list: () => [...lists.values()].filter(({ expiresAt }) => expiresAt > clock.now()).map(({ id }) => id),
    reset() {
      settled = 0n
    },
  }
}

function keyOf(id: Buffer): string {
  return id.toString('latin1')
}

/** §4.1: the least significant bit of a byte is the first. */
function set(bits: Uint8Array, index: number): void {
  const byte = index >> 3
  bits[byte] = (bits[byte] ?? 0) | (1 << (index & 7))
}
