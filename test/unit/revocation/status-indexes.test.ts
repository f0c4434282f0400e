import t from 'tap'
import { createStatusIndexes, type StatusIndexes } from '../../../src/revocation/index.js'
import type { SecretKeys } from '../../../src/secrets/index.js'
import type { Database } from '../../../src/store/index.js'
import type { LeasedStatusBlock, StatusLease } from '../../../src/store/status-lists.js'
import { TestClock } from '../../support/clock.js'
import { SeededRandom } from '../../support/random.js'

const key = { id: 'k', derive: () => Buffer.alloc(32, 1) }
const secrets: SecretKeys = { current: key, find: () => key, all: [key] }

interface Held {
  readonly indexes: StatusIndexes
  readonly clock: TestClock
  /** What was asked of the database; each waits until `answer`. */
  readonly asked: StatusLease[]
  readonly answer: (more?: Partial<LeasedStatusBlock> | Error) => Promise<void>
  /** The second up to which the client's tokens are ended. */
  endedUntil: number | undefined
  readonly now: () => number
  readonly request: (lifetime?: number, iat?: number) => Parameters<StatusIndexes['take']>[0]
}

/** Two lists would have two names: here all is of one, unless the answer says otherwise. */
const list = Buffer.alloc(16)

function open(): Held {
  const clock = new TestClock()
  const random = new SeededRandom('indexes')
  const asked: StatusLease[] = []
  const waiting: ((value: LeasedStatusBlock | Error) => void)[] = []
  let first = 0
  const run = (_: unknown, item: StatusLease) => {
    asked.push(item)
    return new Promise((resolve, reject) =>
      waiting.push((value) => (value instanceof Error ? reject(value) : resolve(value))),
    )
  }
  const listId = Buffer.from(list)
  const held: Held = {
    clock,
    asked,
    endedUntil: undefined,
    async answer(more = {}) {
      const index = asked.length - waiting.length
      const { size } = asked[index]!
      waiting.shift()?.(more instanceof Error ? more : { listId, first, incarnation: 'one', ...more })
      first += size
      for (let turns = 0; turns < 10; turns++) await Promise.resolve()
    },
    indexes: createStatusIndexes({
      db: { run } as unknown as Database,
      clock,
      random,
      secrets,
      issuer: 'https://as.example',
      revocations: {
        earliestIat: (_, now) => {
          const second = Math.floor(now.getTime() / 1000)
          return held.endedUntil !== undefined && second <= held.endedUntil ? held.endedUntil + 1 : second
        },
      },
    }),
    now: () => Math.floor(clock.now().getTime() / 1000),
    request: (lifetime = 300, iat = Math.floor(clock.now().getTime() / 1000)) => ({
      kid: 'kid',
      service: { clientId: 'shop', audience: 'https://api.example' },
      iat,
      exp: iat + lifetime,
    }),
  }
  // The name must be one that the key made.
  listId.set(nameOf())
  return held
}

/** A list id whose tag is right under the key above: as the pool would have drawn it. */
function nameOf(): Buffer {
  const asked: StatusLease[] = []
  const indexes = createStatusIndexes({
    db: {
      run: (_: unknown, item: StatusLease) => {
        asked.push(item)
        return new Promise(() => undefined)
      },
    } as unknown as Database,
    clock: new TestClock(),
    random: new SeededRandom('name'),
    secrets,
    issuer: '',
    revocations: { earliestIat: () => undefined },
  })
  indexes.lease({ kid: 'kid', iat: 0, exp: 1 }).catch(() => undefined)
  return asked[0]!.newId
}

async function leased(held: Held, lifetime?: number): Promise<number> {
  const taken = held.indexes.lease(held.request(lifetime))
  await held.answer()
  return (await taken).idx
}

t.test('a token waits for the lease where no index is at hand, and is not issued without', async (t) => {
  const held = open()
  t.equal(held.indexes.take(held.request()), undefined)
  const first = held.indexes.lease(held.request())
  const second = held.indexes.lease(held.request())
  t.equal(held.asked.length, 1, 'one lease for both')
  await held.answer()
  t.not((await first).idx, (await second).idx)
  const { idx, member } = await first
  const { status } = JSON.parse(`{${member}}`)
  t.equal(status.status_list.idx, idx)
  t.match(status.status_list.uri, /^https:\/\/as\.example\/status-lists\/[\w-]{22}$/)
})

t.test('a lease that fails fails whoever waits for it, and the next asks again', async (t) => {
  const held = open()
  const waiting = held.indexes.lease(held.request())
  await Promise.all([t.rejects(waiting, { message: 'away' }), held.answer(new Error('away'))])
  const next = held.indexes.lease(held.request())
  await held.answer()
  t.type((await next).idx, 'number')
})

t.test('a token that is dated back leaves the block of a service, and not that of users', async (t) => {
  const held = open()
  const iat = held.now()
  await leased(held)
  t.equal(held.indexes.take(held.request(300, iat - 1)), undefined, 'the block would be ended by its own time')

  const request = { kid: 'kid', iat, exp: iat + 300 }
  const first = held.indexes.lease(request)
  await held.answer()
  await first
  for (const age of [0, 1, 3, 0]) {
    t.ok(held.indexes.take({ ...request, iat: iat - age }), 'each of them has a row of its own')
  }
})

t.test('no index is given twice, and the next block is leased before this one is used up', async (t) => {
  const held = open()
  const given = new Set<number>([await leased(held)])
  while (held.asked.length === 1) {
    const taken = held.indexes.take(held.request())
    if (!taken) return t.fail('used up before the next was asked for')
    given.add(taken.idx)
  }
  t.equal(given.size, 33, 'at half of it')
  await held.answer()
  for (let count = 0; count < 60; count++) given.add(held.indexes.take(held.request())!.idx)
  t.equal(given.size, 93)
})

t.test('a block grows for who uses it up, and shrinks for who does not', async (t) => {
  const held = open()
  await leased(held)
  const use = async (pause: number): Promise<number> => {
    const before = held.asked.length
    while (held.asked.length === before) {
      if (!held.indexes.take(held.request(300, held.now()))) return 0
    }
    await held.answer()
    held.clock.advance(pause)
    return held.asked.at(-1)!.size
  }
  const sizes: number[] = []
  for (let count = 0; count < 12; count++) sizes.push(await use(0))
  t.same(sizes, [128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 16_384, 16_384, 16_384, 16_384])
  // A client that asks once an hour: its block is the smallest again.
  const rare: number[] = []
  for (let hour = 0; hour < 10; hour++) {
    held.clock.advance(3600)
    await leased(held)
    rare.push(held.asked.at(-1)!.size)
  }
  t.same(rare.slice(0, 9), [8192, 4096, 2048, 1024, 512, 256, 128, 64, 64])
})

t.test('tokens that expire in different periods have different lists', async (t) => {
  const held = open()
  await leased(held, 300)
  t.equal(held.indexes.take(held.request(900)), undefined)
  await leased(held, 900)
  t.same(
    held.asked.map(({ period }) => period - held.asked[0]!.period),
    [0, 1],
  )
})

t.test('a period that is about to begin finds its block leased, where there is demand', async (t) => {
  const held = open()
  await leased(held, 300)
  held.clock.advance(275)
  t.ok(held.indexes.take(held.request(300)), 'the first of few')
  t.equal(held.asked.length, 1)
  for (let count = 0; count < 20; count++) held.indexes.take(held.request(300))
  t.same(
    held.asked.map(({ period }) => period - held.asked[0]!.period),
    [0, 1],
  )
})

t.test('after a not-before nothing more is given from a block of before: the list sets it as a whole', async (t) => {
  const held = open()
  await leased(held)
  held.endedUntil = held.now()
  held.clock.advance(1)
  t.equal(held.indexes.take(held.request()), undefined)
  await leased(held)
  t.ok(held.asked[1]!.leasedAt > held.asked[0]!.leasedAt)
  t.ok(held.indexes.take(held.request()))
})

t.test('attack 133: no token is older than the lease of its block, also where the clock is set back', async (t) => {
  const held = open()
  await leased(held)
  held.clock.advance(-10)
  t.equal(held.indexes.take(held.request()), undefined)
  await leased(held)
  t.same(held.asked[1]!.leasedAt, held.clock.now())
})

t.test(
  'a database that was started again may have forgotten what was leased: nothing of before is given',
  async (t) => {
    const held = open()
    await leased(held, 300)
    const other = held.indexes.lease(held.request(900))
    await held.answer({ incarnation: 'two' })
    t.ok(await other)
    t.equal(held.indexes.take(held.request(300)), undefined)
  },
)

t.test('blocks are forgotten on request, as after a lost connection', async (t) => {
  const held = open()
  await leased(held)
  held.indexes.drop()
  t.equal(held.indexes.take(held.request()), undefined)
})
