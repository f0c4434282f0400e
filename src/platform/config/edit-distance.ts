/**
 * How many insertions, deletions, substitutions and swaps of neighbours turn one name into the other (optimal string
 * alignment). Swaps count once, since they are the commonest typing mistake.
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let distance = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1))
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distance = Math.min(distance, beforeLast[column - 2]! + 1)
      }
      current.push(distance)
    }
    beforeLast = last
    last = current
  }
  return last[b.length]!
}

/** The name closest to the given one, and how far it is. */
export function nearest(name: string, names: readonly string[]): { readonly name: string; readonly distance: number } {
  let best = { name: '', distance: Number.POSITIVE_INFINITY }
  for (const candidate of names) {
    const distance = editDistance(name, candidate)
    if (distance < best.distance) best = { name: candidate, distance }
  }
  return best
}
