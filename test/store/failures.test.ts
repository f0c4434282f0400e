import t, { type Test } from 'tap'
import { createFailureLimits, type FailureLimits, type FailureSubject } from '../../src/http/index.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { givenMasterKeys, masterKey } from '../../src/platform/crypto/master-key.js'
import { openSecretKeys } from '../../src/secrets/index.js'
import { type Change, type Database, failures, listenForChanges } from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const limits = {
  failuresPerAccount: 3,
  failuresPerAccountAnywhere: 1000,
  failuresPerClient: 4,
  failuresPerNetwork: 8,
  failuresPerSite: 12,
  failureWindow: 600,
  passwordQueue: 64,
  revocationStreams: 1000,
}
const ada: FailureSubject = { kind: 'account', id: 'ada@example.com', ip: '192.0.2.1' }
const elsewhere = { ...ada, ip: '198.51.100.1' }
const past = { name: 'TooManyRequestsError', message: /^Too many failed attempts/ }

/** The limits of one process. */
async function open(
  store: TestStore,
  db: Database = store.db,
  over: Partial<typeof limits> = {},
): Promise<FailureLimits> {
  const { clock, random } = store
  const secrets = await openSecretKeys({
    db,
    masterKeys: givenMasterKeys(masterKey(Buffer.alloc(32, 7))),
    random,
    clock,
  })
  const { config } = loadConfig({ env: {} })
  return createFailureLimits({
    db,
    clock,
    config: { ...config, limits: { ...config.limits, ...limits, ...over } },
    secrets,
  })
}

async function openTwo(t: Test): Promise<{ store: TestStore; one: FailureLimits; two: FailureLimits }> {
  const store = await openTestStore(t)
  return { store, one: await open(store), two: await open(store, store.another()) }
}

const fail = async (instance: FailureLimits, subject: FailureSubject) =>
  (await instance.attempt(subject)).failed(undefined)

/** As a login does it: the hash takes a few turns, and is computed only where the attempt was let in. */
async function guess(instance: FailureLimits, subject: FailureSubject, hashes: { count: number }, right = false) {
  const attempt = await instance.attempt(subject)
  hashes.count++
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve))
  return right ? attempt.succeeded() : attempt.failed(undefined)
}

t.test('failures are counted in the database, one row for a key and a window', async (t) => {
  const store = await openTestStore(t)
  const keys = [
    { key: Buffer.alloc(32, 2), window: 7, windowStart: store.now() },
    { key: Buffer.alloc(32, 1), window: 7, windowStart: store.now() },
  ]
  t.same(await failures.count(store.db, keys), [0, 0])
  t.same(
    await failures.add(store.db, keys, store.event('login.failed', { reason: 'password_wrong', ip: '192.0.2.1' })),
    [1, 1],
  )
  t.same(await failures.add(store.db, [keys[0]!], undefined), [2])
  t.same(await failures.count(store.db, keys), [2, 1], 'in the order of the keys that were asked')
  t.same(await failures.count(store.db, [{ ...keys[0]!, window: 8 }]), [0], 'another window is another count')
  t.match(await store.sql('SELECT * FROM audit_event'), [
    { type: 'login.failed', reason: 'password_wrong', ip: '192.0.2.1' },
  ])
  await failures.clear(store.db, keys[0]!)
  t.same(await failures.count(store.db, keys), [0, 1])
  t.same(await failures.add(store.db, [], store.event()), [])
  t.equal(
    (await store.sql('SELECT FROM audit_event')).length,
    2,
    'an event that nothing is counted with is written all the same',
  )
})

t.test('200 counts of the same keys from two processes are 200, and none deadlocks', async (t) => {
  const store = await openTestStore(t)
  const pools = [store.db, store.another()]
  const [a, b] = [1, 2].map((n) => ({ key: Buffer.alloc(32, n), window: 7, windowStart: store.now() }))
  await Promise.all(
    Array.from({ length: 200 }, (_, index) => failures.add(pools[index % 2]!, index % 4 < 2 ? [a!, b!] : [b!, a!])),
  )
  t.same(await failures.count(store.db, [a!, b!]), [200, 200])
})

t.test('past the bound of a pair nothing is let in, over all processes, and only from that network', async (t) => {
  const { store, one, two } = await openTwo(t)
  await fail(one, ada)
  await fail(two, ada)
  await fail(one, { ...ada, ip: '192.0.2.200' })

  for (const instance of [one, two]) {
    await t.rejects(instance.attempt(ada), past)
    await t.rejects(instance.attempt({ ...ada, ip: '192.0.2.77' }), past, 'the whole /24 is one network')
    const other = await instance.attempt(elsewhere)
    await other.abandoned()
  }
  await (await two.attempt({ ...ada, kind: 'client' })).abandoned()
  await (await two.attempt({ ...ada, id: 'eve@example.com' })).abandoned()
  t.match(await store.sql('SELECT count FROM failure_count ORDER BY count'), [{ count: 3 }, { count: 3 }])
})

t.test('past the bound of a network no account is let in from it', async (t) => {
  const { one, two } = await openTwo(t)
  for (let n = 0; n < 8; n++) await fail(n % 2 ? one : two, { ...ada, id: `account ${n}` })
  await t.rejects(one.attempt({ ...ada, id: 'nobody yet' }), {
    ...past,
    headers: { 'RateLimit-Policy': '"failures-of-network";q=8;w=600' },
  })
  await t.rejects(two.attempt({ kind: 'client', id: 'a client', ip: ada.ip }), past)
  await (await two.attempt({ ...elsewhere, id: 'account 1' })).abandoned()
})

t.test('past the bound of an IPv6 /48 no network of it is let in', async (t) => {
  const { one, two } = await openTwo(t)
  const from = (network: number) => ({ ...ada, id: `account ${network}`, ip: `2001:db8:7:${network}::1` })
  for (let n = 0; n < 12; n++) await fail(n % 2 ? one : two, from(n))
  for (const instance of [one, two]) await t.rejects(instance.attempt(from(99)), past)
  await (await two.attempt({ ...from(1), ip: '2001:db8:8:1::1' })).abandoned()
})

t.test('RFC 6585 §4: Retry-After says in seconds when the window ends, and then it is open', async (t) => {
  const { store, one } = await openTwo(t)
  for (let n = 0; n < 3; n++) await fail(one, ada)
  const error = await one.attempt(ada).catch((thrown) => thrown)
  t.match(error, { ...past, status: 429, reason: 'failures_exceeded' })
  t.ok(Number.isInteger(error.retryAfter) && error.retryAfter >= 1 && error.retryAfter <= 600)
  t.same(error.headers, {
    'RateLimit-Policy': '"failures";q=3;w=600',
    RateLimit: `"failures";r=0;t=${error.retryAfter}`,
  })

  store.clock.advance(error.retryAfter - 1)
  t.match(await one.attempt(ada).catch((thrown) => thrown), { ...past, retryAfter: 1 })
  t.throws(() => one.check(ada), past)
  store.clock.advance(1)
  one.check(ada)
  await (await one.attempt(ada)).abandoned()
})

t.test('of 200 guesses at once, one process computes exactly as many hashes as the bound', async (t) => {
  const { one } = await openTwo(t)
  const hashes = { count: 0 }
  const results = await Promise.allSettled(Array.from({ length: 200 }, () => guess(one, ada, hashes)))

  t.equal(hashes.count, 3)
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 3)
  t.ok(
    results.every((result) => result.status === 'fulfilled' || result.reason.status === 429),
    'the others are 429',
  )
})

t.test('two processes compute one hash more at most: the one that the other had begun', async (t) => {
  const { store, one, two } = await openTwo(t)
  const hashes = { count: 0 }
  await Promise.allSettled(Array.from({ length: 200 }, (_, index) => guess(index % 2 ? one : two, ada, hashes)))

  t.ok(hashes.count >= 3 && hashes.count <= 4, `${hashes.count} hashes`)
  const [row] = await store.sql('SELECT max(count) AS count FROM failure_count')
  t.ok(Number(row?.['count']) <= 4, 'and what was refused counts for nobody')
})

t.test('of 200 guesses at as many accounts from one network, no more than its bound and those under way', async (t) => {
  const { one, two } = await openTwo(t)
  const hashes = { count: 0 }
  const at = (instance: FailureLimits, from: number) =>
    Array.from({ length: 100 }, (_, index) => guess(instance, { ...ada, id: `account ${from + index}` }, hashes))
  await Promise.allSettled(at(one, 0))
  t.ok(hashes.count >= 8 && hashes.count <= 8 + 3, `${hashes.count} hashes of one process, four at once`)
  await Promise.allSettled(at(two, 100))
  t.ok(hashes.count <= 8 + 3, 'and none of another that comes later')
})

t.test('a success is never refused, however many are under way', async (t) => {
  const { store, one, two } = await openTwo(t)
  const hashes = { count: 0 }
  await t.resolves(
    Promise.all(Array.from({ length: 60 }, (_, index) => guess(index % 2 ? one : two, ada, hashes, true))),
  )
  t.equal(hashes.count, 60)
  t.equal((await store.sql('SELECT FROM failure_count')).length, 0, 'and writes nothing where no failures stand')
})

t.test('a success forgets the failures of the pair, not those of the network', async (t) => {
  const { store, one, two } = await openTwo(t)
  await fail(one, ada)
  await fail(one, ada)
  await (await two.attempt(ada)).succeeded()
  t.match(await store.sql('SELECT count FROM failure_count'), [{ count: 2 }])
  await fail(two, ada)
  await fail(two, ada)
  await (await one.attempt(ada)).abandoned()
  await fail(one, ada)
  await t.rejects(one.attempt(ada), past)
})

t.test('what was abandoned counts for nothing, and lets the next one begin', async (t) => {
  const { store, one } = await openTwo(t)
  const first = await one.attempt(ada)
  const second = one.attempt(ada)
  await first.abandoned()
  await (await second).abandoned()
  t.equal((await store.sql('SELECT FROM failure_count')).length, 0)
})

t.test('a failure past the bound is counted, and its outcome is not told', async (t) => {
  const { one, two } = await openTwo(t)
  const late = await two.attempt(ada)
  for (let n = 0; n < 3; n++) await fail(one, ada)
  await t.rejects(late.failed(undefined), past)
})

t.test('memory alone is asked for secrets that nobody guesses: what this process counted or heard of', async (t) => {
  const { store, one, two } = await openTwo(t)
  const client: FailureSubject = { kind: 'client', id: 'service', ip: '192.0.2.1' }
  const heard: Change[] = []
  let connected = () => {}
  const isConnected = new Promise<void>((resolve) => (connected = resolve))
  const listener = await listenForChanges({
    url: store.url,
    onChange: (change) => {
      heard.push(change)
      if (change.kind === 'failures') two.hear(change.id)
    },
    onConnect: connected,
    onError: () => undefined,
  })
  t.teardown(() => listener.close())
  await isConnected

  for (let n = 0; n < 4; n++) await one.fail(client, undefined)
  t.throws(() => one.check(client), past)
  while (heard.length < 8) await new Promise((resolve) => setImmediate(resolve))
  t.throws(() => two.check(client), past, 'as notified')
  two.check({ ...client, ip: '198.51.100.1' })

  await one.succeed(client)
  for (const instance of [one, two]) t.throws(() => instance.check(client), past, 'past the bound they stand')
  const other = { ...client, id: 'another service' }
  for (let n = 0; n < 3; n++) await one.fail(other, undefined)
  await one.succeed(other)
  while (heard.length < 15) await new Promise((resolve) => setImmediate(resolve))
  t.match(heard.at(-1), { kind: 'failures', id: /:0$/ }, 'below it they are forgotten')
  for (let n = 0; n < 3; n++) {
    for (const instance of [one, two]) instance.check({ ...other, ip: '198.51.100.1' })
    await two.fail({ ...other, ip: '198.51.100.1' }, undefined)
  }
})

t.test('succeed writes only where this process has heard of failures', async (t) => {
  const { store, one, two } = await openTwo(t)
  await one.fail(ada, undefined)
  let statements = 0
  for (const db of [store.db]) {
    const query = db.pool.query
    db.pool.query = ((...args: Parameters<typeof query>) => {
      statements++
      return query.apply(db.pool, args)
    }) as typeof query
  }
  await one.succeed(elsewhere)
  await one.succeed({ ...ada, id: 'somebody else' })
  t.equal(statements, 0)
  await two.succeed(ada)
  t.equal((await store.sql('SELECT FROM failure_count')).length, 3, 'what it has not heard of is left')
  await one.succeed(ada)
  t.equal(statements, 1)
  t.equal((await store.sql('SELECT FROM failure_count')).length, 2, 'the pair alone')
})

t.test(
  'failures of one account are counted from everywhere, too; another account and clients are not concerned',
  async (t) => {
    const store = await openTestStore(t)
    const [one, two] = [
      await open(store, store.db, { failuresPerAccountAnywhere: 5 }),
      await open(store, store.another(), { failuresPerAccountAnywhere: 5 }),
    ]
    for (let n = 1; n <= 5; n++) await fail(n % 2 ? one : two, { ...ada, ip: `203.0.${n}.1` })
    for (const instance of [one, two]) {
      await t.rejects(instance.attempt({ ...ada, ip: '203.0.99.1' }), past)
      await (await instance.attempt({ ...ada, id: 'eve@example.com', ip: '203.0.1.1' })).abandoned()
      await (await instance.attempt({ ...ada, kind: 'client', ip: '203.0.1.1' })).abandoned()
    }
    store.clock.advance(600)
    await (await one.attempt({ ...ada, ip: '203.0.99.1' })).abandoned()
  },
)

t.test('a success does not forget the failures from everywhere: a botnet gets no new guesses by it', async (t) => {
  const store = await openTestStore(t)
  const limited = await open(store, store.db, { failuresPerAccountAnywhere: 3 })
  for (let n = 1; n <= 2; n++) await fail(limited, { ...ada, ip: `203.0.${n}.1` })
  await (await limited.attempt(ada)).succeeded()
  await fail(limited, { ...ada, ip: '203.0.3.1' })
  await t.rejects(limited.attempt({ ...ada, ip: '203.0.4.1' }), past)
})

t.test('a known device is counted by itself, wherever it is, and strangers not with it', async (t) => {
  const store = await openTestStore(t)
  const limited = await open(store, store.db, { failuresPerAccountAnywhere: 3, failuresPerNetwork: 3 })
  const known = { ...ada, device: 'a' }
  for (let n = 1; n <= 3; n++) await fail(limited, { ...ada, ip: `203.0.${n}.1` })
  await t.rejects(limited.attempt(ada), past)
  await (await limited.attempt(known)).succeeded()

  for (let n = 1; n <= 3; n++) await fail(limited, { ...known, ip: `198.51.${n}.1` })
  await t.rejects(limited.attempt({ ...known, ip: '192.0.2.77' }), past)
  await (await limited.attempt({ ...known, device: 'b' })).abandoned()
  await (await limited.attempt({ ...ada, id: 'eve@example.com', ip: '198.51.1.1' })).abandoned()
  await (await limited.attempt({ ...known, id: 'eve@example.com' })).abandoned()
  store.clock.advance(600)
  await fail(limited, known)
  await (await limited.attempt(known)).succeeded()
  for (let n = 1; n <= 3; n++) await fail(limited, known)
  await t.rejects(limited.attempt(known), past, 'its success forgot its failures, not more')
})

t.test(
  'of many guesses at one account from many networks at once, few more than the bound compute a hash',
  async (t) => {
    const store = await openTestStore(t)
    const limited = await open(store, store.db, { failuresPerAccountAnywhere: 10 })
    const hashes = { count: 0 }
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        guess(limited, { ...ada, ip: `203.0.${n}.1` }, hashes).catch((error) => t.match(error, past)),
      ),
    )
    t.ok(hashes.count >= 10 && hashes.count <= 13, `${hashes.count} hashes`)
  },
)
