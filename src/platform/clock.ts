import { setTimeout as delay } from 'node:timers/promises'

/** The only source of the time: a test passes its own, and moves it by hand. */
export interface Clock {
  now(): Date
  /** Waits until this time has come, where that is `clockTolerance` away at most; for longer nobody is held. */
  until(time: Date): Promise<void>
}

/** Milliseconds that clocks of processes may differ, or be set back, and only a wait comes of it. Beyond, one is wrong. */
export const clockTolerance = 2_000

/** A clock that reads its time, in milliseconds since 1970, from this function. */
export function clockOf(read: () => number): Clock {
  return {
    now: () => new Date(read()),
    async until(time) {
      for (let left = time.getTime() - read(); left > 0; left = time.getTime() - read()) {
        // Bounded: a clock that is set back meanwhile must not hold anybody for longer.
        if (left > clockTolerance) return
        await delay(left)
      }
    },
  }
}

export const systemClock: Clock = clockOf(() => Date.now())
