import t from 'tap'
import { DeadlineError } from '../../../src/platform/batch.js'
import { Deadline, within } from '../../../src/platform/deadline.js'
import { holdTimers } from '../../support/timers.js'

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

t.test('what has bounds of its own does not count, and a rest is left after it', async (t) => {
  const timers = holdTimers(t, () => true)
  let now = 0
  t.intercept(performance, 'now', { value: () => now })
  for (const [spent, left] of [
    [1_000, 4_000],
    [4_500, 1_000],
    [9_000, 1_000],
  ] as const) {
    const deadline = new Deadline(5_000, 1_000)
    const waiting = deadline.of(never)
    t.same(timers.running(), [5_000])
    now += spent
    deadline.hold()
    t.same(timers.running(), [], 'no time passes')
    now += 60_000
    deadline.goOn()
    t.same(timers.running(), [left])
    timers.goOff()
    await t.rejects(waiting, DeadlineError)
  }
})

t.test('it can be held before anybody waits, and leaves no timer where the work ends meanwhile', async (t) => {
  const timers = holdTimers(t, () => true)
  const deadline = new Deadline(5_000)
  deadline.hold()
  const waiting = deadline.of(Promise.resolve(7))
  t.same(timers.running(), [])
  t.equal(await waiting, 7)
  const going = new Deadline(5_000)
  const waited = going.of(Promise.resolve(7))
  going.hold()
  going.goOn()
  t.equal(await waited, 7)
  t.same(timers.running(), [])
})
