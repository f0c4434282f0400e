/** What a row says of its target, to be written over. Most targets are UUIDs, which are four words. */
interface DescribedTarget {
  /** The number of its kind. */
  kind: number
  readonly words: Uint32Array
}

/** Where each target stands: rows, which are numbers, by target. A search remembers where it ended, and allocates nothing. */
export interface TargetIndex {
  /** @returns the row of the target, or -1 */
  readonly search: (kind: number, target: string) => number
  /** The row of what was searched for last. */
  readonly set: (row: number) => void
  /** Forgets what was searched for last. */
  readonly delete: () => void
  /** Of what was searched for last, until the next search; undefined where it is no UUID. */
  readonly words: () => Uint32Array | undefined
  readonly clear: () => void
}

/** So many tables: one that grows must not hold up what else there is to do. */
const tableCount = 64
const smallest = 16
const empty = 0xffff_ffff
const deleted = 0xffff_fffe

interface Table {
  /** Rows, where the hash of their target says or behind it. */
  places: Uint32Array
  /** That hash: only where it is the same, the row is looked at. */
  hashes: Uint32Array
  /** Places that are not empty, and those of them that are not deleted. */
  used: number
  live: number
}

/** @param describe writes what the row says of its target, which is a UUID */
export function createTargetIndex(describe: (row: number, target: DescribedTarget) => void): TargetIndex {
  let tables = newTables()
  let texts = new Map<string, number>()
  const other: DescribedTarget = { kind: 0, words: new Uint32Array(4) }
  /** What was searched for last: its words, or its text; and where it is, or else where it may be put. */
  const words = new Uint32Array(4)
  let text: string | undefined
  let hash = 0
  let table = tables[0]!
  let place = 0
  let found = false

  function searchTables(kind: number): number {
    hash = hashOf(kind, words)
    table = tables[hash >>> 26]!
    const { places, hashes } = table
    const mask = places.length - 1
    let vacant = -1
    for (place = hash & mask; ; place = (place + 1) & mask) {
      const row = places[place]!
      if (row === empty) break
      if (row === deleted) {
        if (vacant < 0) vacant = place
        continue
      }
      if (hashes[place] !== hash) continue
      describe(row, other)
      found = other.kind === kind && isSame(other.words, words)
      if (found) return row
    }
    found = false
    if (vacant >= 0) place = vacant
    return -1
  }

  /** Anew, with twice as many places as there are rows or more. */
  function grow(): void {
    const { places, hashes } = table
    const length = Math.max(smallest, 2 ** Math.ceil(Math.log2(table.live * 3)))
    const mask = length - 1
    table.places = new Uint32Array(length).fill(empty)
    table.hashes = new Uint32Array(length)
    table.used = table.live
    for (let from = 0; from < places.length; from++) {
      const row = places[from]!
      if (row === empty || row === deleted) continue
      let to = hashes[from]! & mask
      while (table.places[to] !== empty) to = (to + 1) & mask
      table.places[to] = row
      table.hashes[to] = hashes[from]!
    }
  }

  return {
    search(kind, target) {
      text = readUuid(target, words) ? undefined : `${kind} ${target}`
      return text === undefined ? searchTables(kind) : (texts.get(text) ?? -1)
    },

    set(row) {
      if (text !== undefined) {
        texts.set(text, row)
        return
      }
      if (!found) {
        if (table.places[place] === empty) table.used++
        table.live++
      }
      table.places[place] = row
      table.hashes[place] = hash
      found = true
      if (table.used * 4 > table.places.length * 3) grow()
    },

    delete() {
      if (text !== undefined) texts.delete(text)
      else if (found) {
        table.places[place] = deleted
        table.live--
        found = false
      }
    },

    words: () => (text === undefined ? words : undefined),

    clear() {
      tables = newTables()
      texts = new Map()
    },
  }
}

function newTables(): readonly Table[] {
  return Array.from({ length: tableCount }, () => ({
    places: new Uint32Array(smallest).fill(empty),
    hashes: new Uint32Array(smallest),
    used: 0,
    live: 0,
  }))
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3]
}

/** All of the words have a part in all of its bits: some UUIDs have fixed ones. */
function hashOf(kind: number, words: Uint32Array): number {
  let hash = kind
  for (let word = 0; word < 4; word++) {
    hash = Math.imul(hash ^ words[word]!, 0x85eb_ca6b)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash, 0xc2b2_ae35)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** Values of hexadecimal digits, by their codes; 255 for what is none. */
const digits = new Uint8Array(128).fill(255)
for (const [value, digit] of [...'0123456789abcdef'].entries()) digits[digit.charCodeAt(0)] = value

const dash = '-'.charCodeAt(0)
/** Where dashes are in the text of a UUID. */
const isDash = (at: number): boolean => at === 8 || at === 13 || at === 18 || at === 23

/** The words of a UUID in the one spelling that we give it. @returns false for any other text */
function readUuid(text: string, words: Uint32Array): boolean {
  if (text.length !== 36) return false
  let at = 0
  for (let word = 0; word < 4; word++) {
    let value = 0
    for (let digit = 0; digit < 8; digit++) {
      if (isDash(at) && text.charCodeAt(at++) !== dash) return false
      const read = digits[text.charCodeAt(at++)] ?? 255
      if (read === 255) return false
      value = (value << 4) | read
    }
    words[word] = value
  }
  return true
}

const written = Buffer.alloc(36, '-')
const codes = Buffer.from('0123456789abcdef')

/** The text of the UUID whose four words begin there. */
export function writeUuid(words: Uint32Array, begin: number): string {
  let at = 0
  for (let word = 0; word < 4; word++) {
    const value = words[begin + word]!
    for (let shift = 28; shift >= 0; shift -= 4) {
      if (isDash(at)) at++
      written[at++] = codes[(value >>> shift) & 15]!
    }
  }
  return written.toString('latin1')
}
