import { setTimeout as delay } from 'node:timers/promises'
import { monotonicMilliseconds } from './monotonic.js'

/**
 * Tries until it gives something, with pauses that grow.
 *
 * @returns undefined when it threw, or gave nothing, to the end of the time
 */
export async function retryFor<Result>(
  milliseconds: number,
  attempt: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  const end = monotonicMilliseconds() + milliseconds
  for (let pause = 50; ; pause *= 2) {
    const result = await attempt().catch(() => undefined)
    if (result !== undefined) return result
    if (monotonicMilliseconds() + pause > end) return undefined
    await delay(pause)
  }
}
