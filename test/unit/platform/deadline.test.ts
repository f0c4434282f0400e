import t from 'tap'
import { DeadlineError } from '../../../src/platform/batch.js'
import { within } from '../../../src/platform/deadline.js'

const never = new Promise<never>(() => undefined)

t.test('what comes in time is passed on as it is, and leaves no timer', async (t) => {
  t.equal(await within(60_000, Promise.resolve(7)), 7)
  await t.rejects(within(60_000, Promise.reject(new TypeError('as it is'))), TypeError)
  t.same(
    process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout'),
    [],
  )
})

t.test('what does not is not waited for, and what becomes of it later disturbs nobody', async (t) => {
  await t.rejects(within(5, never), DeadlineError)
  let fail = (_error: Error): void => undefined
  const late = new Promise<never>((_, reject) => {
    fail = reject
  })
  await t.rejects(within(5, late), DeadlineError)
  fail(new Error('too late to matter'))
  await new Promise((resolve) => setImmediate(resolve))
})
