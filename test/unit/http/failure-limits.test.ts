import t from 'tap'
import { createFailureLimits, type FailureSubject } from '../../../src/http/index.js'
import { loadConfig } from '../../../src/platform/config/index.js'
import { QueueFullError } from '../../../src/platform/crypto/password.js'
import type { SecretKeys } from '../../../src/secrets/index.js'
import type { Database } from '../../../src/store/index.js'
import { TestClock } from '../../support/clock.js'

const key = { id: 'k', derive: () => Buffer.alloc(32, 1) }
const secrets: SecretKeys = { current: key, find: () => key, all: [key] }
const subject: FailureSubject = { kind: 'client', id: 'service', ip: '2001:db8::1' }
const past = { name: 'TooManyRequestsError', message: /^Too many failed attempts/ }
const { config } = loadConfig({ env: {} })

/** The only statements that the limits use, answered as the test says. */
function open({ count = async (): Promise<number> => 0, window = 600, clock = new TestClock() } = {}) {
  const asked: { name: string; keys: readonly Buffer[]; windows: readonly number[] }[] = []
  const db = {
    async query(name: string, _text: string, [, keys, windows]: [unknown, Buffer[], number[]]) {
      asked.push({ name, keys: [keys].flat(), windows: [windows].flat() })
      const counted = await count()
      return [keys].flat().map((each, index) => ({ n: index + 1, key: each, count: counted }))
    },
  } as unknown as Database
  const limits = {
    ...config.limits,
    failuresPerClient: 2,
    failuresPerNetwork: 5,
    failuresPerSite: 8,
    failureWindow: window,
  }
  return { limits: createFailureLimits({ db, clock, config: { limits }, secrets }), asked, clock }
}

t.test('a pair and a network are keyed hashes: the database holds no address and no network', async (t) => {
  const { limits, asked } = open()
  await limits.fail(subject, undefined)
  await limits.fail({ ...subject, ip: '2001:DB8::ffff' }, undefined)
  await limits.fail({ ...subject, ip: '2001:db8:0:1::1' }, undefined)
  await limits.fail({ ...subject, kind: 'account' }, undefined)

  const [first, sameNetwork, otherNetwork, otherKind] = asked.map(({ keys }) =>
    keys.map((each) => each.toString('hex')),
  )
  t.equal(first?.length, 3, 'pair, network and site')
  t.ok(first?.every((each) => /^[0-9a-f]{64}$/.test(each)))
  t.same(sameNetwork, first, 'a /64 is one network')
  t.not(otherNetwork?.[0], first?.[0])
  t.not(otherNetwork?.[1], first?.[1])
  t.not(otherKind?.[0], first?.[0])
  t.equal(otherKind?.[1], first?.[1])
  for (const keys of [otherNetwork, otherKind]) t.equal(keys?.[2], first?.[2], 'a /48 is one site')

  await limits.fail({ ...subject, ip: '2001:db8:1::1' }, undefined)
  t.not(asked.at(-1)?.keys[2]?.toString('hex'), first?.[2], 'another site')
  await limits.fail({ ...subject, ip: '192.0.2.1' }, undefined)
  t.equal(asked.at(-1)?.keys.length, 2, 'IPv4 has no sites')
})

t.test('the parts of a pair cannot be shifted into each other', async (t) => {
  const { limits, asked } = open()
  await limits.fail({ kind: 'client', id: 'a\u0000b', ip: '192.0.2.1' }, undefined)
  await limits.fail({ kind: 'client', id: 'a', ip: 'b\u0000192.0.2.1' }, undefined)
  t.notSame(asked[0]?.keys[0], asked[1]?.keys[0])
})

t.test('windows have one length, and begin at times of their own', async (t) => {
  const { limits, asked, clock } = open({ window: 600 })
  const ends = new Map<string, number>()
  for (let second = 0; second < 600; second += 10) {
    for (const id of ['a', 'b']) await limits.fail({ ...subject, id, ip: `192.0.2.${second % 200}` }, undefined)
    for (const { keys, windows } of asked.splice(0)) {
      const name = `${keys[0]!.toString('hex')} ${windows[0]}`
      if (!ends.has(name)) ends.set(name, second)
    }
    clock.advance(10)
  }
  // Each of the two pairs changes its window once in 600 seconds, and not at the same time.
  t.equal(ends.size, 4)
  t.equal(new Set([...ends.values()].filter((second) => second > 0)).size, 2)
})

t.test('notifications are understood, and what is none is harmless', async (t) => {
  const { limits, asked } = open()
  await limits.fail(subject, undefined)
  const name = asked[0]!.keys[0]!.toString('hex')
  const window = asked[0]!.windows[0]
  limits.check(subject)
  limits.hear(`${name}:${window}:1`)
  limits.check(subject)
  limits.hear(`${name}:${window}:2`)
  t.throws(() => limits.check(subject), past)
  for (const nonsense of [
    '',
    ':',
    'x',
    `${name}:${window}:`,
    `${name}:${window}:NaN`,
    `${name}:${window}:-1`,
    '::9',
    ':9',
  ]) {
    t.doesNotThrow(() => limits.hear(nonsense))
  }
  limits.hear(`${name}:${window}:2`)
  t.throws(() => limits.check(subject), past)
  limits.hear(`${name}:${window}:0`)
  limits.check(subject)
  limits.hear(`${name}:${Number(window) - 1}:9`)
  limits.check(subject)
})

t.test('attack 101: a site of 65,536 networks has one bound more', async (t) => {
  let stored = 0
  const { limits, asked } = open({ count: async () => stored })
  const from = (network: number): FailureSubject => ({ ...subject, id: `${network}`, ip: `2001:db8:0:${network}::1` })
  await limits.fail(from(1), undefined)
  const site = asked[0]!.keys[2]!.toString('hex')
  limits.hear(`${site}:${asked[0]!.windows[2]}:7`)
  limits.check(from(2))
  limits.hear(`${site}:${asked[0]!.windows[2]}:8`)
  t.throws(() => limits.check(from(3)), past)
  limits.check({ ...subject, ip: '2001:db8:1::1' })
  limits.check({ ...subject, ip: '192.0.2.1' })
  // Many networks of one site at once: so many are under way as is said, and the others wait.
  limits.hear(`${site}:${asked[0]!.windows[2]}:0`)
  stored = 0
  const begun: string[] = []
  const attempts = Array.from({ length: 40 }, (_, index) =>
    limits.attempt(from(index + 10)).then((attempt) => {
      begun.push(`${index}`)
      return attempt
    }),
  )
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(begun.length, 16)
  for (const attempt of attempts) await (await attempt).abandoned()
  t.equal(begun.length, 40)
})

t.test('memory is bounded: the oldest counts are forgotten first', async (t) => {
  const { limits, asked } = open()
  await limits.fail(subject, undefined)
  const name = asked[0]!.keys[0]!.toString('hex')
  limits.hear(`${name}:${asked[0]!.windows[0]}:2`)
  t.throws(() => limits.check(subject), past)
  for (let n = 0; n < 50_000; n++) limits.hear(`${n}:1:1`)
  limits.check(subject)
})

t.test('who waits for its turn is bounded too', async (t) => {
  const { limits } = open()
  const first = await limits.attempt(subject)
  const waiting = Array.from({ length: 1000 }, () => limits.attempt(subject))
  await t.rejects(limits.attempt(subject), QueueFullError)
  await first.abandoned()
  for (const attempt of waiting) await (await attempt).abandoned()
  await (await limits.attempt(subject)).abandoned()
})

t.test('where the database fails, an attempt is refused and lets the next one begin', async (t) => {
  let away = true
  const { limits } = open({
    count: async () => {
      if (away) throw new Error('Connection terminated unexpectedly')
      return 1
    },
  })
  await t.rejects(limits.attempt(subject), { message: /terminated/ })
  away = false
  const attempt = await limits.attempt(subject)
  away = true
  await t.rejects(attempt.failed(undefined), { message: /terminated/ })
  away = false
  const next = await limits.attempt(subject)
  away = true
  await t.rejects(next.succeeded(), { message: /terminated/ })
  await next.abandoned()
  away = false
  await (await limits.attempt(subject)).abandoned()
})

t.test('an attempt that is ended twice lets one begin, not two', async (t) => {
  const { limits } = open()
  const first = await limits.attempt(subject)
  let begun = 0
  const others = [1, 2].map(() =>
    limits.attempt(subject).then((attempt) => {
      begun++
      return attempt
    }),
  )
  await first.abandoned()
  await first.abandoned()
  await others[0]
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(begun, 1)
  await (await others[0]!).abandoned()
  await (await others[1]!).abandoned()
})

t.test('who hands others on without their address is a network of its own', async (t) => {
  const { limits, asked } = open()
  const keysOf = async (more: Partial<FailureSubject>) => {
    await limits.fail({ ...subject, ip: '', ...more }, undefined)
    return asked.at(-1)!.keys.map((each) => each.toString('hex'))
  }
  const [none, one, two] = [await keysOf({}), await keysOf({ via: 'one' }), await keysOf({ via: 'two' })]
  t.equal(one.length, 2, 'pair and network, and no site')
  t.equal(new Set([...none, ...one, ...two]).size, 6)
  t.same(await keysOf({ via: 'one', ip: '192.0.2.1' }), one, 'whatever address stands beside it')
  limits.hear(`${one[1]}:${asked[1]!.windows[1]}:5`)
  t.throws(() => limits.check({ ...subject, id: 'another', via: 'one' }), past)
  limits.check({ ...subject, id: 'another', via: 'two' })
  limits.check({ ...subject, id: 'another', ip: '' })
})
