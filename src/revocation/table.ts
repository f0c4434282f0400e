import type { EndableBy, RevocationKind } from '../store/index.js'
import { createTargetIndex, writeUuid } from './target-index.js'

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

/**
 * The entries of the revocation list in the order in which they were put, found by target and by position. A million of them
 * are some 60 MB: objects and strings would be four times as much, and each collection of garbage would walk through them.
 * So they are rows of numbers, a few thousand in a chunk.
 */
export interface RevocationTable {
  readonly find: (target: EndableBy) => ListedRevocation | undefined
  /** Puts an entry at the end, in place of the one that was there of the target, from which it is made. */
  readonly put: (
    target: EndableBy,
    make: (before: ListedRevocation | undefined) => ListedRevocation,
  ) => ListedRevocation
  /**
   * What lies behind the position. It may be read in pieces, with time between them: what is put meanwhile comes too.
   *
   * @throws when it was sorted meanwhile
   */
  readonly behind: (position: number, audience: string) => Iterable<ListedRevocation>
  /** Forgets each of which this holds. */
  readonly sweep: (isOver: IsOver) => void
  /** By position, where they were put in another order. */
  readonly sort: () => void
  readonly size: () => number
}

/** Called for each of a million: so it is given numbers, and the end of what has none is infinite. */
export type IsOver = (expiresAt: number, terminal: boolean, instant: number) => boolean

/** Rows of a chunk, and by how many bits the number of a row is shifted for that of its chunk. */
const chunkSize = 8_192
const chunkShift = 13

interface Chunk {
  /** Of each row the UUID of its target. */
  readonly words: Uint32Array
  /** Of each row position, instant and end. */
  readonly numbers: Float64Array
  /** Of each row kind, flags and audiences. */
  readonly meta: Uint32Array
  /** Targets that are no UUID, by row. */
  readonly texts: Map<number, string>
  /** Rows in use, the last of them behind all others. */
  count: number
  /** Those that were not replaced or forgotten. */
  live: number
}

const kindMask = 0b11111
const terminalFlag = 0b100000
const goneFlag = 0b1000000
const audienceShift = 7
const noEnd = Number.POSITIVE_INFINITY

export function createRevocationTable(): RevocationTable {
  /** A row is named by the number of its chunk and its place in there. */
  let chunks: (Chunk | undefined)[] = []
  let free: number[] = []
  /** By their numbers. A later release may have more of them than we know. */
  const kinds: RevocationKind[] = []
  /** The numbers of the chunks, by position. */
  let order: number[] = []
  let audienceLists: (readonly string[])[] = []
  let audienceIds = new Map<string, number>()
  /** Most entries concern the same few APIs: those of the last one. */
  let lastAudiences: { readonly list: readonly string[]; readonly id: number } | undefined
  let size = 0
  /** Counts what moves rows, and what puts them into another order. */
  let moved = 0
  let sorted = 0
  const index = createTargetIndex((row, target) => {
    const chunk = chunks[row >>> chunkShift]!
    const at = row & (chunkSize - 1)
    target.kind = chunk.meta[at]! & kindMask
    for (let word = 0; word < 4; word++) target.words[word] = chunk.words[at * 4 + word]!
  })

  function clear(): void {
    chunks = []
    free = []
    order = []
    audienceLists = []
    audienceIds = new Map()
    lastAudiences = undefined
    size = 0
    moved++
    index.clear()
  }

  function numberOfKind(kind: RevocationKind): number {
    const known = kinds.indexOf(kind)
    return known >= 0 ? known : kinds.push(kind) - 1
  }

  function idOfAudiences(list: readonly string[]): number {
    if (lastAudiences?.list === list) return lastAudiences.id
    const text = list.join(' ')
    const id = audienceIds.get(text) ?? audienceLists.push(list) - 1
    audienceIds.set(text, id)
    lastAudiences = { list, id }
    return id
  }

  function newChunk(): number {
    const chunk: Chunk = {
      words: new Uint32Array(chunkSize * 4),
      numbers: new Float64Array(chunkSize * 3),
      meta: new Uint32Array(chunkSize),
      texts: new Map(),
      count: 0,
      live: 0,
    }
    const number = free.pop() ?? chunks.length
    chunks[number] = chunk
    return number
  }

  function lastChunk(): number {
    const last = order.at(-1)
    if (last !== undefined && chunks[last]!.count < chunkSize) return last
    const next = newChunk()
    order.push(next)
    return next
  }

  /** A row without its target. @returns its name */
  function append(number: number, meta: number, position: number, instant: number, end: number): number {
    const chunk = chunks[number]!
    const at = chunk.count++
    chunk.live++
    chunk.meta[at] = meta
    chunk.numbers[at * 3] = position
    chunk.numbers[at * 3 + 1] = instant
    chunk.numbers[at * 3 + 2] = end
    return number * chunkSize + at
  }

  /** That of what was searched for last. */
  function setTarget(row: number, text: string): void {
    const chunk = chunks[row >>> chunkShift]!
    const at = row & (chunkSize - 1)
    const words = index.words()
    if (words) for (let word = 0; word < 4; word++) chunk.words[at * 4 + word] = words[word]!
    else chunk.texts.set(at, text)
    index.set(row)
  }

  function textOf({ texts, words }: Chunk, at: number): string {
    return texts.get(at) ?? writeUuid(words, at * 4)
  }

  function forget(row: number): void {
    const chunk = chunks[row >>> chunkShift]!
    const at = row & (chunkSize - 1)
    chunk.meta[at] = chunk.meta[at]! | goneFlag
    chunk.texts.delete(at)
    chunk.live--
    size--
  }

  function read(chunk: Chunk, at: number, target: string): ListedRevocation {
    const meta = chunk.meta[at]!
    const end = chunk.numbers[at * 3 + 2]!
    return {
      kind: kinds[meta & kindMask]!,
      target,
      terminal: (meta & terminalFlag) !== 0,
      instant: chunk.numbers[at * 3 + 1]!,
      expiresAt: end === noEnd ? undefined : end,
      position: chunk.numbers[at * 3]!,
      audiences: audienceLists[meta >>> audienceShift]!,
    }
  }

  /** Where the first row behind the position is: which of the chunks in order, and its place there. */
  function seek(position: number): { nth: number; at: number } {
    const nth = firstOf(order.length, (each) => {
      const { numbers, count } = chunks[order[each]!]!
      return numbers[(count - 1) * 3]! > position
    })
    const chunk = nth < order.length ? chunks[order[nth]!]! : undefined
    return { nth, at: chunk ? firstOf(chunk.count, (each) => chunk.numbers[each * 3]! > position) : 0 }
  }

  function* behind(from: number, audience: string): Iterable<ListedRevocation> {
    const concerned: boolean[] = []
    const concerns = (id: number): boolean => {
      const list = audienceLists[id]!
      concerned[id] ??= list.length === 0 || list.includes(audience)
      return concerned[id]
    }
    const begun = sorted
    let last = from
    let when = moved
    let { nth, at } = seek(last)
    for (;;) {
      if (begun !== sorted) throw new Error('the revocations were put into another order while they were read')
      if (when !== moved) {
        when = moved
        concerned.length = 0
        ;({ nth, at } = seek(last))
      }
      const chunk = nth < order.length ? chunks[order[nth]!]! : undefined
      if (!chunk) return
      if (at >= chunk.count) {
        // The last one is being filled: whoever comes again goes on there.
        if (nth === order.length - 1) return
        nth++
        at = 0
        continue
      }
      const meta = chunk.meta[at]!
      last = chunk.numbers[at * 3]!
      const row = at++
      if ((meta & goneFlag) === 0 && concerns(meta >>> audienceShift)) {
        yield read(chunk, row, textOf(chunk, row))
      }
    }
  }

  /** What is left of chunks that are nearly empty is put together, so that a few that last hold no memory. */
  function pack(): void {
    const last = order.at(-1)
    const kept: number[] = []
    for (const number of order) {
      const before = kept.at(-1)
      if (number === last) kept.push(number)
      else if (chunks[number]!.live === 0) release(number)
      else if (before !== undefined && chunks[before]!.live + chunks[number]!.live <= chunkSize / 2) {
        kept[kept.length - 1] = merge(before, number)
      } else kept.push(number)
    }
    if (kept.length === order.length) return
    order = kept
    moved++
  }

  function merge(...numbers: readonly number[]): number {
    const into = newChunk()
    for (const number of numbers) {
      const chunk = chunks[number]!
      for (let at = 0; at < chunk.count; at++) {
        const meta = chunk.meta[at]!
        if ((meta & goneFlag) !== 0) continue
        const [position, instant, end] = chunk.numbers.subarray(at * 3, at * 3 + 3)
        const text = textOf(chunk, at)
        index.search(meta & kindMask, text)
        setTarget(append(into, meta, position!, instant!, end!), text)
      }
      release(number)
    }
    return into
  }

  function release(number: number): void {
    chunks[number] = undefined
    free.push(number)
  }

  const put: RevocationTable['put'] = ({ kind, target: text }, make) => {
    const number = numberOfKind(kind)
    const row = index.search(number, text)
    const entry = make(row < 0 ? undefined : read(chunks[row >>> chunkShift]!, row & (chunkSize - 1), text))
    if (row >= 0) forget(row)
    const { terminal, instant, expiresAt = noEnd, position, audiences } = entry
    const meta = number | (terminal ? terminalFlag : 0) | (idOfAudiences(audiences) << audienceShift)
    setTarget(append(lastChunk(), meta, position, instant, expiresAt), text)
    size++
    return entry
  }

  return {
    find({ kind, target: text }) {
      if (size === 0) return undefined
      const row = index.search(numberOfKind(kind), text)
      return row < 0 ? undefined : read(chunks[row >>> chunkShift]!, row & (chunkSize - 1), text)
    },
    put,
    behind,
    sweep(isOver) {
      for (const number of order) {
        const chunk = chunks[number]!
        for (let at = 0; at < chunk.count; at++) {
          const meta = chunk.meta[at]!
          if ((meta & goneFlag) !== 0) continue
          const [instant, end] = [chunk.numbers[at * 3 + 1]!, chunk.numbers[at * 3 + 2]!]
          if (!isOver(end, (meta & terminalFlag) !== 0, instant)) continue
          index.search(meta & kindMask, textOf(chunk, at))
          index.delete()
          forget(number * chunkSize + at)
        }
      }
      if (size === 0) clear()
      else pack()
    },
    sort() {
      const all: ListedRevocation[] = []
      for (const number of order) {
        const chunk = chunks[number]!
        for (let at = 0; at < chunk.count; at++) {
          if ((chunk.meta[at]! & goneFlag) === 0) all.push(read(chunk, at, textOf(chunk, at)))
        }
      }
      all.sort((a, b) => a.position - b.position)
      clear()
      for (const entry of all) put(entry, () => entry)
      sorted++
    },
    size: () => size,
  }
}

/** The first of so many numbers of which this holds; it holds of all behind it. */
function firstOf(count: number, holds: (each: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
