/** Numbers that are the same for the same seed: what clients do next, and when a fault happens. */
export interface Chance {
  /** Of the interval [0, 1). */
  readonly number: () => number
  /** A whole number from `from` to `to`, both included. */
  readonly between: (from: number, to: number) => number
  readonly happens: (probability: number) => boolean
  readonly oneOf: <Item>(items: readonly Item[]) => Item
  /** Another sequence, which does not depend on how far this one has come. */
  readonly fork: (name: string) => Chance
}

/** Mulberry32 over a hash of the seed: good enough to vary a test, and a page of arithmetic is not needed. */
export function chance(seed: string): Chance {
  let state = 0x811c9dc5
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193)
  const number = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    number,
    between: (from, to) => from + Math.floor(number() * (to - from + 1)),
    happens: (probability) => number() < probability,
    oneOf: (items) => {
      const item = items[Math.floor(number() * items.length)]
      if (item === undefined) throw new Error('nothing to choose from')
      return item
    },
    fork: (name) => chance(`${seed}/${name}`),
  }
}
