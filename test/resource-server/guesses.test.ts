import t from 'tap'
import { createGuesses, type Guess } from '../../packages/resource-server/src/schemes/guesses.js'

const window = 600_000

/** Passwords that are all wrong, at a time that the test moves. */
function open() {
  const time = { now: 0 }
  const guesses = createGuesses({ monotonic: () => time.now })
  const from = (address: string, clientId = 'orders'): Guess => ({ clientId, address })
  /** @returns whether the server was asked */
  function guess(address: string, clientId?: string): boolean {
    const each = from(address, clientId)
    if (guesses.wait(each) !== undefined) return false
    guesses.begin(each).end(time.now + window)
    return true
  }
  const count = (attempts: Iterable<boolean>) => [...attempts].filter(Boolean).length
  const many = (times: number, attempt: (index: number) => boolean) =>
    count(Array.from({ length: times }, (_, index) => attempt(index)))
  return { guesses, time, from, guess, many }
}

t.test('attack 101: one id from one network, one network with many ids, and no other network pays', async (t) => {
  const { guesses, from, guess, many } = open()
  t.equal(
    many(50, (index) => guess(`192.0.2.${index}`)),
    5,
  )
  t.equal(guesses.wait(from('198.51.100.7')), undefined, 'the same id from elsewhere')
  t.equal(
    many(50, (index) => guess('192.0.2.7', `nobody ${index}`)),
    5,
  )
  t.equal(guesses.wait(from('192.0.2.7', 'another')), 600)
  t.equal(guesses.wait(from('198.51.100.7', 'another')), undefined)
})

t.test('attack 101: addresses of a /64 are one, and its site has three times as much', async (t) => {
  const { guesses, from, guess, many } = open()
  t.equal(
    many(50, (index) => guess(`2001:db8:1:1::${index}`, `nobody ${index}`)),
    10,
  )
  t.equal(
    many(50, (index) => guess(`2001:db8:1:${index}::1`, `nobody ${index}`)),
    20,
  )
  t.type(guesses.wait(from('2001:db8:1:ffff::1')), 'number')
  t.equal(guesses.wait(from('2001:db8:2:1::1')), undefined)
})

t.test('attack 102: one id from many addresses: past five a network has one try', async (t) => {
  const { guesses, from, guess, many, time } = open()
  t.equal(
    many(50, () => guess('192.0.2.7')),
    5,
  )
  t.equal(
    many(50, () => guess('198.51.100.7')),
    1,
  )
  t.equal(
    many(50, (index) => guess(`2001:db8:1:${index}::1`)),
    1,
    'and a site as well',
  )
  t.equal(guesses.wait(from('203.0.113.7')), undefined)
  t.equal(
    many(50, (index) => guess(`203.0.${index}.7`)),
    2,
  )
  t.equal(guesses.wait(from('203.0.113.7')), 600, 'the server bears ten')
  t.equal(guesses.wait(from('203.0.113.7', 'another')), undefined)
  time.now += window
  t.equal(guesses.wait(from('203.0.113.7')), undefined)
})

t.test('attack 101: ever new ids from many addresses: the bound on all is the last', async (t) => {
  const { guesses, from, guess, many, time } = open()
  for (const network of [1, 2, 3]) {
    t.equal(
      many(50, (index) => guess(`192.0.${network}.7`, `nobody ${index}`)),
      10,
    )
  }
  t.equal(guesses.wait(from('203.0.113.7')), undefined, 'who did nothing')
  t.equal(
    many(200, (index) => guess(`198.51.${index}.7`, `nobody ${index}`)) +
      many(200, (index) => guess(`198.51.${index}.7`, `nobody ${index}`)),
    60,
  )
  t.equal(guesses.wait(from('203.0.113.7')), 600)
  time.now += window - 1
  t.equal(guesses.wait(from('203.0.113.7')), 1)
  time.now += 1
  t.equal(guesses.wait(from('203.0.113.7')), undefined)
})

t.test('what is under way counts, and what was right does not', async (t) => {
  const { guesses, from, guess, many } = open()
  const begun = Array.from({ length: 5 }, () => guesses.begin(from('192.0.2.7')))
  t.equal(guesses.wait(from('192.0.2.7')), 1)
  for (const { end } of begun) end()
  t.equal(
    many(50, () => guess('192.0.2.7')),
    5,
  )
})

t.test('where nobody knows the address, all are one site', async (t) => {
  const { guesses, from, guess, many } = open()
  t.equal(
    many(50, () => guess('unknown')),
    5,
  )
  t.equal(
    many(50, (index) => guess('unknown', `nobody ${index}`)),
    25,
  )
  t.type(guesses.wait(from('unknown', 'another')), 'number')
})

t.test('what is remembered is bounded, however many guess', async (t) => {
  const { guesses, from, guess, many, time } = open()
  for (let round = 0; round < 20; round++) {
    const asked = many(2_000, (index) => guess(`10.${round}.${index % 250}.7`, `nobody ${index}`))
    t.ok(asked <= 90)
    time.now += window / 10
  }
  time.now += window
  t.equal(guesses.wait(from('192.0.2.7')), undefined)
})
