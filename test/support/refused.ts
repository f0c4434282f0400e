import type { Test } from 'tap'

/** The promise rejects with an error that has these members: `t.rejects` knows those of `Error` alone. */
export async function refused(t: Test, promise: Promise<unknown>, members: object, message?: string): Promise<void> {
  const error: unknown = await promise.then(
    () => ({ message: 'it was not refused' }),
    (reason) => reason,
  )
  t.match(error, members, message ?? 'is refused')
}
