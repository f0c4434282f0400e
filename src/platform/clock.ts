import { setTimeout as delay } from 'node:timers/promises'

/** The only source of the time: a test passes its own, and moves it by hand. */
export interface Clock {
  now(): Date
  /** Waits until this time has come. For waits of a second at most. */
  until(time: Date): Promise<void>
}

export const systemClock: Clock = {
  now: () => new Date(),
  async until(time) {
    for (let left = time.getTime() - Date.now(); left > 0; left = time.getTime() - Date.now()) {
      // Bounded: a clock that is set back meanwhile must not hold anybody for longer.
      if (left > 2_000) return
      await delay(left)
    }
  },
}
