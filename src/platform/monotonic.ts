/** Milliseconds of real time that no clock change moves. For ages of what is in memory, never for what is told or kept. */
export function monotonicMilliseconds(): number {
  return performance.now()
}
