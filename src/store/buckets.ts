/**
 * Rows that expire lie in partitions of a day or a week, by the time at which they expire. A token says the bucket of its
 * row, so that a lookup visits one partition (`performance.md`: no statement's cost grows with history).
 */
const day = 86_400_000
const week = 7 * day

/** Days since 1970. */
export function dayBucket(time: Date): number {
  return Math.floor(time.getTime() / day)
}

/** Weeks since 1970, from Thursday to Wednesday. */
export function weekBucket(time: Date): number {
  return Math.floor(time.getTime() / week)
}

/** The bucket of rows that have no end: the DEFAULT partition. */
export const permanentBucket = 2_147_483_647
