import t from 'tap'
import { createStarts } from '../../../src/interaction/starts.js'

t.test('a network begins so many logins at once, and then as many as come back', async (t) => {
  let now = 5_000_000
  const starts = createStarts(10, () => now)
  const take = () => starts.take('198.51.100.7')?.retryAfter
  for (let start = 0; start < 10; start++) t.equal(take(), undefined)
  t.equal(take(), 60, 'the next one is told when')
  t.equal(starts.take('198.51.100.8')?.retryAfter, 60, 'whatever its address is')
  t.match(starts.take('198.51.100.8')?.headers, {
    'RateLimit-Policy': '"logins";q=10;w=600',
    RateLimit: '"logins";r=0;t=600',
  })
  t.equal(starts.take('198.51.101.7'), undefined, 'another network has its own')
  now += 59_999
  t.equal(take(), 1, 'what was refused is not counted')
  now += 1
  t.equal(take(), undefined)
  t.equal(take(), 60)
  now += 600_000
  for (let start = 0; start < 10; start++) t.equal(take(), undefined)
  t.equal(take(), 60)
})

t.test('all networks of an IPv6 site have ten times the bound of one', async (t) => {
  const starts = createStarts(10, () => 0)
  const taken = Array.from({ length: 101 }, (_, network) => starts.take(`2001:db8:1:${network.toString(16)}::1`))
  t.equal(taken.filter((wait) => wait === undefined).length, 100)
  t.match(taken[100], { retryAfter: 6, headers: { 'RateLimit-Policy': '"logins";q=100;w=600' } })
  t.equal(starts.take('2001:db8:2::1'), undefined)
})

t.test('what is remembered is bounded', async (t) => {
  const starts = createStarts(1, () => 0)
  t.equal(starts.take('10.0.0.1'), undefined)
  t.equal(starts.take('10.0.0.1')?.retryAfter, 600)
  for (let network = 1; network <= 50_000; network++) starts.take(`10.${network >> 8}.${network & 255}.1`)
  t.equal(starts.take('10.0.0.1'), undefined, 'the oldest is forgotten')
})
