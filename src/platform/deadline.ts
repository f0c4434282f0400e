import { DeadlineError } from './batch.js'
import { monotonicMilliseconds } from './monotonic.js'

/** A bound on a piece of work in time, which begins with it. */
export class Deadline {
  #left: number
  readonly #rest: number
  /** Since when the time passes. */
  #since = monotonicMilliseconds()
  #isHeld = false
  #timer: NodeJS.Timeout | undefined
  #late: (() => void) | undefined

  /**
   * @param milliseconds of real time
   * @param rest that is left at least after it was held
   */
  constructor(milliseconds: number, rest = 0) {
    this.#left = milliseconds
    this.#rest = rest
  }

  /**
   * Waits for the work, but no longer: what goes on behind it may still be done, and its result is dropped.
   *
   * @throws {DeadlineError}
   */
  of<Result>(work: Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#late = () => reject(new DeadlineError('no answer in time'))
      if (!this.#isHeld) this.#timer = setTimeout(this.#late, this.#left)
      work.then(
        (result) => {
          clearTimeout(this.#timer)
          resolve(result)
        },
        (error) => {
          clearTimeout(this.#timer)
          reject(error)
        },
      )
    })
  }

  /** Stops the time, while the work waits for what has bounds of its own. */
  hold(): void {
    clearTimeout(this.#timer)
    this.#isHeld = true
    this.#left = Math.max(this.#left - (monotonicMilliseconds() - this.#since), this.#rest)
  }

  goOn(): void {
    this.#isHeld = false
    this.#since = monotonicMilliseconds()
    if (this.#late) this.#timer = setTimeout(this.#late, this.#left)
  }
}

/**
 * Waits for the work, but no longer: what goes on behind it may still be done, and its result is dropped.
 *
 * @param milliseconds of real time
 * @throws {DeadlineError} past them
 */
export function within<Result>(milliseconds: number, work: Promise<Result>): Promise<Result> {
  return new Deadline(milliseconds).of(work)
}
