import { setTimeout as delay } from 'node:timers/promises'
import { monotonicMilliseconds } from './monotonic.js'

/**
 * Tries until it works, with pauses that grow.
 *
 * @returns undefined when it failed to the end of the time
 */
export async function retryFor<Result>(
  milliseconds: number,
  attempt: () => Promise<Result>,
): Promise<Result | undefined> {
  const end = monotonicMilliseconds() + milliseconds
  for (let pause = 50; ; pause *= 2) {
    try {
      return await attempt()
    } catch {
      if (monotonicMilliseconds() + pause > end) return undefined
      await delay(pause)
    }
  }
}
