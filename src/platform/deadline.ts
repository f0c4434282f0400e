import { DeadlineError } from './batch.js'

/**
 * Waits for the work, but no longer: what goes on behind it may still be done, and its result is dropped.
 *
 * @param milliseconds of real time
 * @throws {DeadlineError} past them
 */
export function within<Result>(milliseconds: number, work: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DeadlineError('no answer in time')), milliseconds)
    work.then(
      (result) => {
        clearTimeout(timer)
        resolve(result)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
