import type { Clock } from '../../src/platform/clock.js'

/** Where every test begins, unless it says otherwise. */
export const TEST_START = new Date('2026-03-01T12:00:00.000Z')

/** A clock that stands still until the test moves it. */
export class TestClock implements Clock {
  #now: number

  constructor(start: Date = TEST_START) {
    this.#now = start.getTime()
  }

  now(): Date {
    return new Date(this.#now)
  }

  /** Nobody waits: the time has come. */
  async until(time: Date): Promise<void> {
    this.#now = Math.max(this.#now, time.getTime())
  }

  /** Moves forward, or back by a negative number. Fractions of a second are kept to the millisecond. */
  advance(seconds: number): void {
    this.#now += Math.round(seconds * 1000)
  }

  set(date: Date): void {
    this.#now = date.getTime()
  }
}
