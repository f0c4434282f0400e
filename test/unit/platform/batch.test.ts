import t from 'tap'
import { createBatch, DeadlineError } from '../../../src/platform/batch.js'

// Real time passes in the tests of the deadline alone: a run that never ends, and 20 milliseconds until its callers hear.

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

// The timer of the deadline keeps no process alive: a server has its sockets for that.
const alive = setInterval(() => undefined, 60_000)
t.teardown(() => clearInterval(alive))

/** Long enough that no test reaches it. */
const never = 60_000

interface Run<Item, Result> {
  readonly items: readonly Item[]
  readonly resolve: (results: readonly Result[]) => void
  readonly reject: (error: unknown) => void
}

/** Runs that end when the test says so. */
function manualRuns<Item, Result = Item>() {
  const runs: Run<Item, Result>[] = []
  const run = (items: readonly Item[]) =>
    new Promise<readonly Result[]>((resolve, reject) => runs.push({ items, resolve, reject }))
  return { runs, run }
}

const defaults = { size: 256, inFlight: 2, deadline: never }

t.test('what arrives in one turn of the event loop is one run, and each caller gets its own result', async (t) => {
  const seen: number[][] = []
  const double = createBatch<number, number>({
    ...defaults,
    run: async (items) => {
      seen.push([...items])
      return items.map((item) => item * 2)
    },
  })

  t.same(await Promise.all([3, 1, 2].map(double)), [6, 2, 4])
  t.same(seen, [[3, 1, 2]])

  t.same(
    await Promise.all([double(4), Promise.resolve().then(() => double(5))]),
    [8, 10],
    'microtasks are of the same turn',
  )
  t.same(seen[1], [4, 5])
  await double(6)
  t.same(seen[2], [6], 'what comes later is another run')
})

t.test('the same item twice is two items: the run decides what that means', async (t) => {
  const item = { code: 'same' }
  const taken = new Set<object>()
  const spend = createBatch<object, boolean>({
    ...defaults,
    run: async (items) =>
      items.map((each) => {
        if (taken.has(each)) return false
        taken.add(each)
        return true
      }),
  })

  t.same(await Promise.all([spend(item), spend(item)]), [true, false])
})

t.test('a run has a bound on size, and runs have a bound on how many are in flight', async (t) => {
  const { runs, run } = manualRuns<number>()
  const batch = createBatch<number, number>({ ...defaults, size: 3, inFlight: 2, run })
  const results = Promise.all(Array.from({ length: 10 }, (_, index) => batch(index)))

  await turn()
  t.same(
    runs.map(({ items }) => items),
    [
      [0, 1, 2],
      [3, 4, 5],
    ],
  )
  await turn()
  t.equal(runs.length, 2, 'the rest wait')

  const late = batch(10)
  runs[1]!.resolve(runs[1]!.items)
  await turn()
  await turn()
  t.same(runs[2]?.items, [6, 7, 8], 'in the order in which they came, whoever ends first')
  runs[0]!.resolve(runs[0]!.items)
  await turn()
  await turn()
  t.same(runs[3]?.items, [9, 10], 'what came meanwhile goes with them')
  runs[2]!.resolve(runs[2]!.items)
  runs[3]!.resolve(runs[3]!.items)
  t.same(await results, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.equal(await late, 10)
})

t.test('where nothing of it happened, a batch is split until the error stands alone', async (t) => {
  const seen: (readonly number[])[] = []
  const bad = new Error('13 is refused')
  const batch = createBatch<number, number>({
    ...defaults,
    provesRollback: (error) => error === bad,
    run: async (items) => {
      seen.push(items)
      if (items.includes(13)) throw bad
      return items
    },
  })

  const results = await Promise.allSettled([10, 11, 12, 13, 14].map(batch))

  t.same(
    results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason)),
    [10, 11, 12, bad, 14],
    'an error of one item reaches its caller alone',
  )
  t.same(seen, [[10, 11, 12, 13, 14], [10, 11], [12, 13, 14], [12], [13, 14], [13], [14]])
})

t.test('where it may have happened, nothing is tried again', async (t) => {
  for (const provesRollback of [undefined, () => false]) {
    let runs = 0
    const lost = new Error('Connection terminated unexpectedly')
    const batch = createBatch<number, number>({
      ...defaults,
      ...(provesRollback ? { provesRollback } : {}),
      run: async () => {
        runs++
        throw lost
      },
    })

    const results = await Promise.allSettled([1, 2, 3].map(batch))

    t.ok(results.every((result) => result.status === 'rejected' && result.reason === lost))
    t.equal(runs, 1)
  }
})

t.test('nor is a half that loses its connection, while the other half was done', async (t) => {
  const conflict = new Error('rolled back')
  const lost = new Error('lost')
  const seen: (readonly number[])[] = []
  const batch = createBatch<number, number>({
    ...defaults,
    provesRollback: (error) => error === conflict,
    run: async (items) => {
      seen.push(items)
      if (items.length === 4) throw conflict
      if (items.includes(1)) throw lost
      return items
    },
  })

  const results = await Promise.allSettled([1, 2, 3, 4].map(batch))

  t.same(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled', 'fulfilled'],
  )
  t.same(seen, [
    [1, 2, 3, 4],
    [1, 2],
    [3, 4],
  ])
})

t.test(
  'where a batch waited for what somebody else holds, each item is run by itself, and none twice at once',
  async (t) => {
    const seen: (readonly number[])[] = []
    const held = new Error('canceling statement due to lock timeout')
    let atOnce = 0
    let most = 0
    const batch = createBatch<number, number>({
      ...defaults,
      provesRollback: () => true,
      hasWaited: (error) => error === held,
      run: async (items) => {
        seen.push(items)
        most = Math.max(most, ++atOnce)
        await turn()
        atOnce--
        if (items.includes(3)) throw held
        return items
      },
    })

    const results = await Promise.allSettled([1, 2, 3, 4, 5, 6, 7].map(batch))

    t.same(
      results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason)),
      [1, 2, held, 4, 5, 6, 7],
    )
    t.same(seen, [[1, 2, 3, 4, 5, 6, 7], [1], [2], [3], [4], [5], [6], [7]], 'not by halves')
    t.equal(most, 4, 'some at a time')
  },
)

t.test('a run that throws at once, or gives nothing, fails its callers and no other', async (t) => {
  let turns = 0
  const batch = createBatch<number, number>({
    ...defaults,
    inFlight: 1,
    run: (items) => {
      turns++
      if (turns === 1) throw new TypeError('at once')
      return Promise.resolve(items)
    },
  })

  await t.rejects(batch(1), { message: 'at once' })
  t.equal(await batch(2), 2)
})

t.test('past the deadline a caller hears, never silence, and what has not begun is dropped', async (t) => {
  const { runs, run } = manualRuns<string>()
  const batch = createBatch<string, string>({ ...defaults, inFlight: 1, deadline: 20, run })
  const begun = batch('begun')
  await turn()
  const waiting = batch('waiting')

  await t.rejects(begun, DeadlineError)
  await t.rejects(waiting, DeadlineError)
  t.same(
    runs.map(({ items }) => items),
    [['begun']],
  )

  // The stalled run ends at last: nobody waits for it any more, and nothing of what was dropped is done.
  runs[0]!.resolve(['too late'])
  await turn()
  await turn()
  t.equal(runs.length, 1)
  const next = batch('next')
  await turn()
  t.same(runs[1]?.items, ['next'], 'the batch goes on')
  runs[1]!.resolve(['done'])
  t.equal(await next, 'done')
})

t.test('a half whose callers have given up is not tried again', async (t) => {
  const { runs, run } = manualRuns<number>()
  const batch = createBatch<number, number>({ ...defaults, deadline: 20, run, provesRollback: () => true })
  const results = Promise.allSettled([1, 2].map(batch))
  await turn()
  t.ok((await results).every(({ status }) => status === 'rejected'))

  runs[0]!.reject(new Error('rolled back'))
  await turn()
  await turn()
  t.equal(runs.length, 1)
})

t.test('each item has a deadline of its own', async (t) => {
  const { runs, run } = manualRuns<number>()
  const batch = createBatch<number, number>({ ...defaults, deadline: 30, run })
  const first = batch(1)
  await turn()
  const quick = batch(2)
  await turn()
  runs[1]!.resolve([2])
  t.equal(await quick, 2, 'one that is answered')
  await t.rejects(first, DeadlineError, 'and one before it that is not')
  const last = batch(3)
  await t.rejects(last, DeadlineError, 'and one after them')
})
