import { randomUUID } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import pg from 'pg'
import t, { type Test } from 'tap'
import { DeadlineError } from '../../src/platform/batch.js'
import { transactionOn } from '../../src/store/database.js'
import {
  type Database,
  isDatabaseAway,
  isUniqueViolation,
  openDatabase,
  settings,
  sqlState,
  users,
} from '../../src/store/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const thrown = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

/** The ways to the database: a hot statement, Prisma by itself, and a transaction. */
const ways = (db: Database): Readonly<Record<string, () => Promise<unknown>>> => ({
  pool: () => db.query('test.select', 'SELECT 1', []),
  'longer than a request': () => db.queryFor(10_000, 'test.longer', 'SELECT 1', []),
  batch: () => db.run({ name: 'test.batch', text: 'SELECT 1', parameters: () => [], results: (items) => items }, 1),
  prisma: () => users.findById(db, randomUUID()),
  'raw Prisma': () => settings.create(db, 'demo', {}),
  transaction: () => db.transaction((tx) => settings.find(tx, 'demo')),
  'Prisma in a transaction': () => db.transaction((tx) => users.findById(tx, randomUUID())),
})

function open(t: Test, url: string, poolSize = 1): Database {
  const db = openDatabase({ url, poolSize })
  t.teardown(() => db.close())
  return db
}

/** Ends the connection that runs the statement, as a failover does. */
async function terminate({ sql }: TestStore, mark: string): Promise<void> {
  const text = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()`
  while ((await sql(text, [`%${mark}%`])).length === 0) {}
}

t.test('the settings of a connection hold for its first statement', async (t) => {
  const { db } = await openTestStore(t, 4)
  const shown = await Promise.all(
    ['lock_timeout', 'statement_timeout', 'enable_seqscan', 'plan_cache_mode'].map((name) =>
      db.query(`test.${name}`, `SHOW ${name}`, []).then(([row]) => row?.[name]),
    ),
  )
  t.same(shown, ['2s', '4500ms', 'off', 'force_generic_plan'])
  t.equal(db.pool.totalCount, 4, 'each on a connection of its own')
  const [row] = await db.prisma.$queryRawUnsafe<Record<string, string>[]>('SHOW jit')
  t.equal(row?.['jit'], 'off', 'and for Prisma, which shares the pool')
})

t.test(
  'a statement of a transaction is prepared by its name, once for all transactions of the connection',
  async (t) => {
    const { db } = await openTestStore(t, 1)
    for (const value of [1, 2]) {
      const rows = await db.transaction((tx) => tx.query('test.doubled', 'SELECT 2 * $1::int AS doubled', [value]))
      t.same(rows, [{ doubled: 2 * value }])
    }
    t.same(await db.query('test.prepared', "SELECT name FROM pg_prepared_statements WHERE name LIKE 'test.d%'", []), [
      { name: 'test.doubled' },
    ])
  },
)

t.test('a statement that may take longer: it alone, and it only reads', async (t) => {
  const { url } = await openTestStore(t)
  const db = open(t, url)
  const shown = async (rows: Promise<readonly Record<string, unknown>[]>) => (await rows)[0]?.['statement_timeout']
  t.equal(await shown(db.queryFor(60_000, 'test.show', 'SHOW statement_timeout', [])), '1min')
  t.equal(await shown(db.query('test.show', 'SHOW statement_timeout', [])), '4500ms', 'on the same connection')
  const write = db.queryFor(60_000, 'test.write', 'CREATE TABLE written (n int)', [])
  t.equal(sqlState(await thrown(write)), '25006')
  t.equal(await shown(db.query('test.show', 'SHOW statement_timeout', [])), '4500ms', 'which goes on')
  t.equal(db.pool.totalCount, 1)
})

t.test('a database that cannot be reached is away, whichever way is taken', async (t) => {
  const unreachable: Readonly<Record<string, string>> = {
    'nobody listens': 'postgres://u:p@127.0.0.1:1/none',
    'on no address of the name': 'postgres://u:p@localhost:1/none',
    'no socket': 'postgres://u@%2Fnonexistent/none',
    'no such host': 'postgres://u:p@nonexistent.invalid/none',
  }
  for (const [name, url] of Object.entries(unreachable)) {
    for (const [way, work] of Object.entries(ways(open(t, url)))) {
      const error = await thrown(work())
      t.equal(isDatabaseAway(error), true, `${name}: ${way}`)
      t.equal(sqlState(error), undefined)
    }
  }
})

t.test('one that does not let us in is away too', async (t) => {
  const { url } = await openTestStore(t)
  const noDatabase = new URL(url)
  noDatabase.pathname = '/ostiary_none'
  const noPassword = new URL(url)
  noPassword.password = 'wrong'
  for (const [{ href }, state] of [
    [noDatabase, '3D000'],
    [noPassword, '28P01'],
  ] as const) {
    const db = open(t, href)
    for (const way of ['pool', 'prisma'] as const) {
      const error = await thrown(ways(db)[way]!())
      t.equal(sqlState(error), state)
      t.equal(isDatabaseAway(error), true)
    }
  }
})

t.test('a connection that is lost between two statements ends what was done on it, and nothing else', async (t) => {
  const { url, sql } = await openTestStore(t)
  const db = open(t, url)
  const loseIt = async (client: { once: (event: 'error', heard: () => void) => unknown }, pid: unknown) => {
    const lost = new Promise<void>((resolve) => client.once('error', resolve))
    await sql('SELECT pg_terminate_backend($1)', [pid])
    await lost
  }
  const connected = (): Promise<pg.PoolClient> => new Promise((resolve) => db.pool.once('acquire', resolve))
  const own = 'SELECT pg_backend_pid() AS pid'
  const eras: number[] = []

  const client = connected()
  const reading = db.reads(async (connection, era) => {
    eras.push(era)
    await loseIt(await client, (await connection.query('test.pid', own, []))[0]?.['pid'])
    return connection.query('test.pid', own, [])
  })
  t.equal(isDatabaseAway(await thrown(reading)), true)

  const transaction = transactionOn(db.pool, 'BEGIN', async (client) => {
    await loseIt(client, (await client.query(own)).rows[0]?.pid)
    await client.query(own)
  })
  t.equal(isDatabaseAway(await thrown(transaction)), true)

  const read = async () => db.reads(async (_, era) => void eras.push(era))
  await read()
  await read()
  t.equal(new Set(eras).size, 2, 'another era, and the same where nothing was lost')
  t.equal(db.pool.totalCount, 1)
})

t.test('a connection that is lost in the middle of a statement', async (t) => {
  const store = await openTestStore(t)
  const { db } = store
  const slow = `SELECT 1 FROM pg_sleep(5)`
  const lost: Readonly<Record<string, (mark: string) => Promise<unknown>>> = {
    pool: (mark) => db.query('test.slow', `${slow} /* ${mark} */`, []),
    prisma: (mark) => db.prisma.$queryRawUnsafe(`${slow} /* ${mark} */`),
    transaction: (mark) => db.transaction((tx) => tx.prisma.$queryRawUnsafe(`${slow} /* ${mark} */`)),
  }
  for (const [way, work] of Object.entries(lost)) {
    const error = thrown(work(`mark-${way}`))
    await terminate(store, `mark-${way}`)
    t.equal(sqlState(await error), '57P01', way)
    t.equal(isDatabaseAway(await error), true, way)
  }
  t.same(await settings.find(db, 'demo'), undefined, 'the pool goes on with another connection')
})

t.test('a batch whose connection is lost is not tried again: the commit may have happened', async (t) => {
  const store = await openTestStore(t)
  let runs = 0
  const statement = {
    name: 'test.lost',
    text: 'SELECT pg_sleep(5) /* mark-batch */, $1::int[]',
    parameters: (items: readonly number[]) => {
      runs++
      return [items]
    },
    results: (items: readonly number[]) => items,
  }
  const results = Promise.allSettled([1, 2, 3, 4].map((item) => store.db.run(statement, item)))
  await terminate(store, 'mark-batch')
  t.ok((await results).every((result) => result.status === 'rejected' && isDatabaseAway(result.reason)))
  t.equal(runs, 1)
})

t.test('EPIPE looks like a SQLSTATE, and is none', async (t) => {
  const { db } = await openTestStore(t)
  for (const code of ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EAI_AGAIN']) {
    const lost = Object.assign(new Error('write'), { code })
    t.equal(sqlState(lost), undefined, code)
    t.equal(isDatabaseAway(lost), true, code)
  }
  let runs = 0
  const query = db.pool.query
  db.pool.query = (async () => {
    runs++
    throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
  }) as unknown as typeof query
  const statement = {
    name: 'test.epipe',
    text: 'SELECT 1',
    parameters: () => [],
    results: (items: readonly number[]) => items,
  }
  const results = await Promise.allSettled([1, 2].map((item) => db.run(statement, item)))
  db.pool.query = query
  t.ok(results.every(({ status }) => status === 'rejected'))
  t.equal(runs, 1, 'so nothing is tried again after it')
})

t.test('what the request did wrong is not the database’s absence', async (t) => {
  const { db } = await openTestStore(t)
  await settings.create(db, 'demo', {})
  const mistakes: Readonly<Record<string, readonly [() => Promise<unknown>, string | undefined]>> = {
    'unique, by the pool': [() => db.query('test.unique', `INSERT INTO setting VALUES ('demo', '{}')`, []), '23505'],
    'unique, by Prisma': [() => db.prisma.setting.create({ data: { name: 'demo', value: {} } }), '23505'],
    'unique, by raw Prisma': [() => db.prisma.$executeRaw`INSERT INTO setting VALUES ('demo', '{}')`, '23505'],
    syntax: [() => db.query('test.syntax', 'SELEC', []), '42601'],
    'a NUL': [() => db.query('test.nul', 'SELECT $1::text', ['\0']), '22021'],
    'not found': [() => db.prisma.setting.update({ where: { name: 'x' }, data: { value: {} } }), undefined],
    'our own': [() => Promise.reject(new TypeError('of undefined')), undefined],
  }
  for (const [name, [work, state]] of Object.entries(mistakes)) {
    const error = await thrown(work())
    t.equal(sqlState(error), state, name)
    t.equal(isDatabaseAway(error), false, name)
    t.equal(isUniqueViolation(error), name.startsWith('unique'), name)
  }
  for (const nothing of [undefined, null, 'text', 7, {}]) {
    t.equal(isDatabaseAway(nothing), false)
    t.equal(sqlState(nothing), undefined)
  }
})

t.test(
  'what says that it was too slow, too full or not the primary is away, also where Prisma wrapped it',
  async (t) => {
    const { db } = await openTestStore(t)
    for (const state of [
      '08006',
      '25006',
      '25P03',
      '40001',
      '40P01',
      '53100',
      '53300',
      '55P03',
      '57014',
      '57P03',
      '58030',
    ]) {
      const text = `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${state}'; END $$`
      for (const error of [await thrown(db.prisma.$executeRawUnsafe(text)), await thrown(db.pool.query(text))]) {
        t.equal(sqlState(error), state)
        t.equal(isDatabaseAway(error), true, state)
      }
    }
    t.equal(isDatabaseAway(new DeadlineError('no answer in time')), true)
  },
)

t.test('a full pool, and one that was closed, are away', async (t) => {
  const store = await openTestStore(t)
  const db = openDatabase({ url: store.url, poolSize: 1 })
  await db.close()
  for (const [way, work] of Object.entries(ways(db))) t.equal(isDatabaseAway(await thrown(work())), true, way)
  for (const message of [
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Connection terminated unexpectedly',
  ]) {
    t.equal(isDatabaseAway(new Error(message)), true, message)
    t.equal(isDatabaseAway(new Error('wrapped', { cause: new Error(message) })), true, message)
  }
})

t.test('a network that swallows packets ends in an answer, and its connection is thrown away', async (t) => {
  const store = await openTestStore(t)
  const { host, port } = new pg.Client({ connectionString: store.url })
  let swallow = false
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('data', (data) => swallow || to.write(data))
      from.on('close', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  const through = new URL(store.url)
  through.searchParams.delete('host')
  through.hostname = '127.0.0.1'
  through.port = String((proxy.address() as AddressInfo).port)
  // A shorter deadline, so that nobody waits for the real one; a new connection must be made within it.
  const db = openDatabase({ url: through.href, poolSize: 1, deadline: 2_000 })
  t.teardown(() => db.close())
  const one = () => db.query('test.one', 'SELECT 1 AS one', [])
  t.same(await one(), [{ one: 1 }])

  swallow = true
  t.equal(isDatabaseAway(await thrown(one())), true)
  swallow = false
  t.same(await one(), [{ one: 1 }], 'the next statement has another connection')
})

t.test('a row that somebody holds stalls those that want it, and nobody who came with them', async (t) => {
  const store = await openTestStore(t)
  const { db, sql } = store
  await sql('CREATE TABLE held (id int PRIMARY KEY, taken int NOT NULL DEFAULT 0)')
  await sql('INSERT INTO held (id) SELECT generate_series(1, 20)')
  const holder = new pg.Client({ connectionString: store.url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('BEGIN')
  await holder.query('SELECT FROM held WHERE id = 7 FOR UPDATE')
  const take = {
    name: 'test.take',
    text: `WITH locked AS (SELECT id FROM held WHERE id = ANY($1::int[]) ORDER BY id FOR UPDATE)
           UPDATE held SET taken = taken + 1 FROM locked WHERE held.id = locked.id`,
    parameters: (ids: readonly number[]) => [[...ids]],
    results: (ids: readonly number[]) => ids,
  }

  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => db.run(take, index + 1)))

  for (const [index, result] of results.entries()) {
    t.equal(result.status, index + 1 === 7 ? 'rejected' : 'fulfilled', `${index + 1}`)
    if (result.status === 'rejected') t.equal(sqlState(result.reason), '55P03')
  }
  await holder.query('ROLLBACK')
  const rows = await sql('SELECT id, taken FROM held ORDER BY id')
  t.same(
    rows.map(({ taken }) => taken),
    rows.map(({ id }) => (id === 7 ? 0 : 1)),
    'each once',
  )
})
