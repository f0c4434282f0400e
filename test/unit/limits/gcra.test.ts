import fc from 'fast-check'
import t from 'tap'
import { conform, conforming, emissionOf, shareOf, waitOf } from '../../../src/limits/gcra.js'

const policy = { name: 'test', limit: 10, window: 10, burst: 5 }

/** What the algorithm means: a bucket that holds a burst and gets one back in each interval. In whole milliseconds. */
function createBucket(burst: number, emission: number) {
  let level = burst * emission
  let last = 0
  return (now: number, units: number): number => {
    level = Math.min(burst * emission, level + now - last)
    last = now
    const granted = Math.min(units, Math.floor(level / emission))
    level -= granted * emission
    return granted
  }
}

const requests = fc.array(fc.record({ pause: fc.nat(5_000), units: fc.integer({ min: 1, max: 12 }) }), {
  maxLength: 200,
})
const rates = fc.record({
  window: fc.integer({ min: 1, max: 100 }),
  limit: fc.constantFrom(1, 2, 4, 5, 8, 10, 20, 25, 50, 100),
  burst: fc.integer({ min: 1, max: 50 }),
})

t.test('it grants what a bucket would that is simulated', async (t) => {
  fc.assert(
    fc.property(rates, requests, (rate, sequence) => {
      const bucket = createBucket(rate.burst, emissionOf(rate))
      let tat = 0
      let now = 0
      for (const { pause, units } of sequence) {
        now += pause
        const next = conform(rate, tat, now, units)
        tat = next.tat
        if (next.granted !== bucket(now, units)) return false
      }
      return true
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('in no window more than the limit and the burst is granted', async (t) => {
  fc.assert(
    fc.property(rates, requests, (rate, sequence) => {
      let tat = 0
      let now = 0
      const granted: { readonly at: number; readonly units: number }[] = []
      for (const { pause, units } of sequence) {
        now += pause
        const next = conform(rate, tat, now, units)
        tat = next.tat
        granted.push({ at: now, units: next.granted })
      }
      return granted.every(({ at }) => {
        const inWindow = granted.filter((each) => each.at >= at && each.at <= at + rate.window * 1000)
        return inWindow.reduce((sum, { units }) => sum + units, 0) <= rate.limit + rate.burst
      })
    }),
    { numRuns: 200 },
  )
  t.pass()
})

t.test('a burst at once, then one in each interval', async (t) => {
  const first = conform(policy, 0, 1_000_000, 9)
  t.equal(first.granted, 5)
  t.equal(conforming(policy, first.tat - 1_000_000), 0)
  t.equal(waitOf(policy, first.tat - 1_000_000), 1_000)
  t.equal(conform(policy, first.tat, 1_000_999, 1).granted, 0)
  t.equal(conform(policy, first.tat, 1_000_999, 1).tat, first.tat, 'a refusal costs nothing')
  t.equal(conform(policy, first.tat, 1_001_000, 2).granted, 1)
  t.equal(conform(policy, first.tat, 1_060_000, 9).granted, 5, 'and not more than a burst after a long pause')
})

t.test('as soon as it said that one comes back, one does', async (t) => {
  fc.assert(
    fc.property(rates, fc.nat(100_000), (rate, debt) => {
      const left = debt - waitOf(rate, debt)
      return conforming(rate, left) >= 1
    }),
  )
  t.pass()
})

t.test('a share is the policy divided, and one request at least', async (t) => {
  t.same(shareOf(policy, 2), { limit: 5, window: 10, burst: 2 })
  t.same(shareOf({ ...policy, burst: 1 }, 4), { limit: 2.5, window: 10, burst: 1 })
})
