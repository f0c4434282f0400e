import fc from 'fast-check'
import t from 'tap'
import { conform, emissionOf, type Policy } from '../../../src/limits/gcra.js'
import { createLeases, type Grant, type Verdict } from '../../../src/limits/leases.js'

/** A store in memory, and processes that lease from it, at a time that moves by hand. */
class Scene {
  now = 1_000_000
  policy: Policy
  away = false
  /** Units of each question, in their order. */
  asked: number[] = []
  events: string[] = []
  processes = 1
  /** Answers wait here while it is set. */
  held: (() => void)[] | undefined
  readonly #tats = new Map<string, number>()

  constructor(policy: Partial<Policy> = {}) {
    this.policy = { name: 'test', limit: 100, window: 10, burst: 100, ...policy }
  }

  async ask(key: string, units: number): Promise<Grant> {
    this.asked.push(units)
    await new Promise<void>((resolve) => (this.held ? this.held.push(resolve) : resolve()))
    if (this.away) throw new Error('away')
    const { granted, tat } = conform(this.policy, this.#tats.get(key) ?? 0, this.now, units)
    this.#tats.set(key, tat)
    return { granted, debt: Math.max(0, tat - this.now) }
  }

  process() {
    const leases = createLeases({
      now: () => this.now,
      policyOf: (tier) => (tier === 'none' ? undefined : this.policy),
      ask: async (key, tier, units) => (tier === 'none' ? undefined : this.ask(key, units)),
      processes: () => this.processes,
      onAway: () => this.events.push('away'),
      onBack: () => this.events.push('back'),
    })
    const take = async (key = 'key'): Promise<Verdict> => (await leases.take(key, 'test'))!
    /** How many of so many are accepted. */
    const count = async (requests: number, key = 'key'): Promise<number> => {
      let accepted = 0
      for (let index = 0; index < requests; index++) if ((await take(key)).accepted) accepted++
      return accepted
    }
    return { ...leases, take, count, raw: leases.take }
  }
}

t.test('a small burst is leased one by one, and is exact', async (t) => {
  const scene = new Scene({ limit: 10, burst: 10 })
  const [a, b] = [scene.process(), scene.process()]
  t.equal((await a.count(4)) + (await b.count(4)) + (await a.count(4)), 10)
  t.ok(scene.asked.every((units) => units === 1))
  const refused = await a.take()
  t.match(refused, { accepted: false, remaining: 0, reset: 10, retryAfter: 1 })
  scene.now += 1_000
  t.equal((await a.count(2)) + (await b.count(2)), 1, 'and one comes back in a second')
})

t.test('a large one is leased in blocks, ahead of need', async (t) => {
  const scene = new Scene({ limit: 10_000, burst: 10_000 })
  const process = scene.process()
  t.equal(await process.count(5_000), 5_000)
  t.ok(scene.asked.length < 40, `${scene.asked.length} questions for 5,000 requests`)
  t.ok(Math.max(...scene.asked) <= 500, 'and none asks for more than a twentieth')
  t.equal(await process.count(6_000), 5_000, 'the rest, and no more')
})

t.test('whoever is refused does not ask again until one comes back', async (t) => {
  const scene = new Scene({ limit: 10, burst: 10 })
  const process = scene.process()
  await process.count(11)
  const before = scene.asked.length
  t.equal(await process.count(1_000), 0)
  t.equal(scene.asked.length, before, 'a thousand refusals cost the store nothing')
})

t.test('a tier that is used up fast is asked about now and then', async (t) => {
  const scene = new Scene({ limit: 100_000, window: 10, burst: 1_000 })
  const process = scene.process()
  await process.count(2_000)
  scene.asked = []
  for (let millisecond = 0; millisecond < 1_000; millisecond++) {
    scene.now++
    await process.count(20)
  }
  t.ok(scene.asked.length < 1_000, `${scene.asked.length} questions for 20,000 requests of which 10,000 are refused`)
})

t.test('it waits for one question, however many wait', async (t) => {
  const scene = new Scene({ limit: 10, burst: 10 })
  const process = scene.process()
  const verdicts = await Promise.all(Array.from({ length: 50 }, () => process.take()))
  t.equal(verdicts.filter(({ accepted }) => accepted).length, 10)
  t.ok(scene.asked.length <= 3, `${scene.asked.length} questions`)
})

t.test(
  'of a small burst the questions are as many as are accepted, and one at most for whoever waits together',
  async (t) => {
    const scene = new Scene({ limit: 10, burst: 10 })
    const process = scene.process()
    for (const [requests, accepted, asked, what] of [
      [5, 5, 5, 'one each, where they come one after the other'],
      [6, 5, 6, 'and one for the first that is refused'],
      [1_000, 0, 0, 'and none for those behind it'],
    ] as const) {
      scene.asked = []
      t.equal(await process.count(requests), accepted)
      t.equal(scene.asked.length, asked, what)
    }
    scene.now += 10_000
    scene.asked = []
    const together = await Promise.all(Array.from({ length: 50 }, () => process.take()))
    t.equal(together.filter(({ accepted }) => accepted).length, 10)
    t.same(scene.asked, [1, 49], 'the first, and all that came meanwhile')
  },
)

t.test('what is held is over after a window, and when the clock is set back', async (t) => {
  const scene = new Scene({ limit: 400, window: 10, burst: 400 })
  const process = scene.process()
  await process.count(30)
  scene.asked = []
  scene.now += 10_000
  t.equal((await process.take()).accepted, true)
  t.equal(scene.asked.length > 0, true, 'it asked, though something was left')
  scene.now -= 3_600_000
  t.equal((await process.take()).accepted, false, 'as if a burst were used up')
  scene.now += 25
  t.equal((await process.take()).accepted, true, 'and not for an hour')
})

t.test('another policy holds for the next request', async (t) => {
  const scene = new Scene({ limit: 400, window: 10, burst: 400 })
  const process = scene.process()
  await process.count(40)
  scene.policy = { ...scene.policy, limit: 10, burst: 10 }
  t.equal(await process.count(100), 8, 'what was used of the old one counts, by its time')
})

t.test('over all processes, in every window, as many are accepted as is stated', async (t) => {
  const step = fc.record({ process: fc.nat(3), pause: fc.oneof(fc.constant(0), fc.nat(300)), requests: fc.nat(40) })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(10, 40, 100, 400),
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 80 }),
      async (burst, processes, steps) => {
        const scene = new Scene({ limit: 100, window: 2, burst })
        scene.processes = processes
        const all = Array.from({ length: processes }, () => scene.process())
        const accepted: { readonly at: number; readonly count: number }[] = []
        for (const { process, pause, requests } of steps) {
          scene.now += pause
          accepted.push({ at: scene.now, count: await all[process % processes]!.count(requests) })
        }
        const { limit, window } = scene.policy
        return accepted.every(({ at }) => {
          const inWindow = accepted.filter((each) => each.at >= at && each.at <= at + window * 1000)
          return inWindow.reduce((sum, { count }) => sum + count, 0) <= limit + burst + burst / 20
        })
      },
    ),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('and no fewer: two that ask without pause get what one would', async (t) => {
  for (const burst of [10, 40, 100, 1_000]) {
    const scene = new Scene({ limit: 1_000, window: 10, burst })
    scene.processes = 2
    const all = [scene.process(), scene.process()]
    let [accepted, ideal, tat] = [0, 0, 0]
    for (let millisecond = 0; millisecond < 20_000; millisecond += 5) {
      scene.now += 5
      for (const process of all) accepted += await process.count(2)
      const next = conform(scene.policy, tat, scene.now, 4)
      tat = next.tat
      ideal += next.granted
    }
    t.ok(accepted <= ideal, `burst ${burst}: ${accepted} of ${ideal}`)
    t.ok(accepted >= ideal - burst / 10, `burst ${burst}: ${accepted} of ${ideal}`)
  }
})

t.test('a store that is away: each goes on with its share, says so once, and goes back to it', async (t) => {
  const scene = new Scene({ limit: 100, window: 10, burst: 20 })
  scene.processes = 2
  const [a, b] = [scene.process(), scene.process()]
  scene.away = true
  t.equal((await a.count(30)) + (await b.count(30)), 20, 'two shares are the whole')
  t.same(scene.events, ['away', 'away'], 'each says it once')
  t.ok(a.isAway())
  const refused = await a.take()
  t.match(refused, { accepted: false, remaining: 0 })
  t.ok(refused.retryAfter >= 1)
  scene.now += 200
  t.equal((await a.count(5)) + (await b.count(5)), 2, 'and one comes back for each, in twice the time')

  scene.away = false
  scene.now += 5_000
  await a.take()
  await new Promise(setImmediate)
  t.notOk(a.isAway())
  t.same(scene.events, ['away', 'away', 'back'])
})

t.test('the share begins where the key stood', async (t) => {
  const scene = new Scene({ limit: 10, window: 10, burst: 10 })
  const process = scene.process()
  t.equal(await process.count(20), 10)
  scene.away = true
  scene.now += 1_000
  t.equal(await process.count(5), 1, 'not a whole burst again')
})

t.test('a store that is away is asked once a second, by nobody who waits', async (t) => {
  const scene = new Scene({ limit: 1_000, window: 1, burst: 1_000 })
  const process = scene.process()
  scene.away = true
  await process.take()
  scene.asked = []
  scene.held = []
  for (let millisecond = 0; millisecond < 3_000; millisecond += 10) {
    scene.now += 10
    t.notOk(process.raw('key', 'test') instanceof Promise)
    for (const resolve of scene.held.splice(0)) resolve()
    await new Promise(setImmediate)
  }
  t.ok(scene.asked.length <= 3, `${scene.asked.length} questions in three seconds`)
})

t.test('without such a tier nothing is limited', async (t) => {
  const scene = new Scene()
  t.equal(await scene.process().raw('key', 'none'), undefined)
})

t.test('what comes back is when the whole burst is there', async (t) => {
  const scene = new Scene({ limit: 60, window: 60, burst: 10 })
  const process = scene.process()
  const verdict = await process.take()
  t.match(verdict, { accepted: true, remaining: 9, reset: 1, retryAfter: 0 })
  t.equal(emissionOf(scene.policy), 1_000)
})
