import pg from 'pg'
import t from 'tap'
import { createStatusLists, listUri, readListName } from '../../src/revocation/index.js'
import { drawListId, permutationOf } from '../../src/revocation/status-lists/list-name.js'
import type { SecretKeys } from '../../src/secrets/index.js'
import { openDatabase, refreshTokens, revocations, type StatusOwner, statusLists } from '../../src/store/index.js'
import { addClient, addParty, addRefreshToken, openTestStore, rotation, type TestStore } from '../support/store.js'

const key = { id: 'k', derive: () => Buffer.alloc(32, 1) }
const other = { id: 'o', derive: () => Buffer.alloc(32, 2) }
const secrets: SecretKeys = { current: key, find: () => key, all: [key] }

const owner: StatusOwner = { kid: 'kid' }

function leaseOf(store: TestStore, size: number, more: Partial<Parameters<typeof statusLists.lease>[1]> = {}) {
  const now = store.now()
  const period = statusLists.statusPeriod(now.getTime() / 1000 + 600)
  return { owner, size, period, leasedAt: now, newId: drawListId(store.random, secrets), ...more }
}

t.test('two processes that lease at once get blocks that do not meet, in one list', async (t) => {
  const store = await openTestStore(t)
  const beside = openDatabase({ url: store.url, poolSize: 4 })
  t.teardown(() => beside.close())
  const leases: { list: string; first: number; size: number }[] = []
  for (let round = 0; round < 5; round++) {
    const leased = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const size = 64 << (index % 5)
        for (;;) {
          const block = await statusLists.lease(index % 2 ? store.db : beside, leaseOf(store, size))
          if (block) return { list: block.listId.toString('hex'), first: block.first, size }
        }
      }),
    )
    leases.push(...leased)
  }
  t.equal(new Set(leases.map(({ list }) => list)).size, 1)
  const sorted = [...leases].sort((a, b) => a.first - b.first)
  t.same(
    sorted.filter(({ first }, index) => index > 0 && first < sorted[index - 1]!.first + sorted[index - 1]!.size),
    [],
  )
  const [row] = await store.sql('SELECT taken FROM status_list')
  t.equal(
    row?.['taken'],
    sorted.reduce((sum, { size }) => sum + size, 0),
  )
  const [blocks] = await store.sql('SELECT count(*)::int AS count, sum(size)::int AS size FROM status_block')
  t.match(blocks, { count: 200, size: row?.['taken'] }, 'each is a row')
})

t.test('a list that is full is followed by another', async (t) => {
  const store = await openTestStore(t)
  const lists = new Set<string>()
  let taken = 0
  while (lists.size < 3) {
    const size = statusLists.largestStatusBlock
    const all = await Promise.all(Array.from({ length: 20 }, () => statusLists.lease(store.db, leaseOf(store, size))))
    for (const block of all) {
      if (!block) continue
      t.ok(block.first + size <= statusLists.statusListSize)
      lists.add(block.listId.toString('hex'))
      taken += size
    }
  }
  const [row] = await store.sql('SELECT sum(taken)::int AS taken, max(taken) AS most FROM status_list')
  t.equal(row?.['taken'], taken)
  t.ok(Number(row?.['most']) <= statusLists.statusListSize)
})

t.test('who loses the race for the end of a list gets nothing, and the next list when asking again', async (t) => {
  const store = await openTestStore(t)
  const first = await statusLists.lease(store.db, leaseOf(store, 64))
  await store.sql('UPDATE status_list SET taken = $1', [statusLists.statusListSize - 64])
  // Both saw room for one.
  const beside = openDatabase({ url: store.url, poolSize: 2 })
  t.teardown(() => beside.close())
  const both = await Promise.all([store.db, beside].map((db) => statusLists.lease(db, leaseOf(store, 64))))
  const again = await Promise.all(
    both.map((block, index) => block ?? statusLists.lease([store.db, beside][index]!, leaseOf(store, 64))),
  )
  const places = again.map((block) => `${block?.listId.toString('hex')} ${block?.first}`)
  t.equal(new Set(places).size, 2)
  t.ok(again.some((block) => block?.listId.equals(first!.listId)))
})

t.test('what expires in different periods lies in different lists', async (t) => {
  const store = await openTestStore(t)
  const period = leaseOf(store, 64).period
  const all = await Promise.all(
    [0, 1, 0, 2].map((ahead) => statusLists.lease(store.db, leaseOf(store, 64, { period: period + ahead }))),
  )
  t.equal(new Set(all.map((block) => block?.listId.toString('hex'))).size, 3)
  const rows = await store.sql('SELECT period, expires_at FROM status_list ORDER BY period')
  for (const row of rows) t.same(row['expires_at'], new Date((Number(row['period']) + 1) * 600_000))
})

t.test('a database that was started again, or is another one, leases from new lists', async (t) => {
  const store = await openTestStore(t)
  const first = await statusLists.lease(store.db, leaseOf(store, 64))
  t.ok((await statusLists.lease(store.db, leaseOf(store, 64)))?.listId.equals(first!.listId))
  // As a restored one remembers it: of a server that was started at another time.
  await store.sql(`UPDATE status_list SET incarnation = '1/1', taken = 64`)
  const later = await statusLists.lease(store.db, leaseOf(store, 64))
  t.notOk(later?.listId.equals(first!.listId))
  t.equal(later?.incarnation, first?.incarnation)
  t.ok((await statusLists.lease(store.db, leaseOf(store, 64)))?.listId.equals(later!.listId))
})

t.test('a name is ours, or costs nothing', async (t) => {
  const store = await openTestStore(t)
  const id = drawListId(store.random, secrets)
  const name = listUri('https://as.example', id).split('/').at(-1)!
  t.same(readListName(secrets, name), id)
  t.same(readListName({ ...secrets, all: [other, key] }, name), id, 'of an older key too')
  t.equal(readListName({ ...secrets, all: [other] }, name), undefined)
  for (const text of ['', 'x', `${name}=`, ` ${name}`, name.slice(1), 'A'.repeat(22)])
    t.equal(readListName(secrets, text), undefined)
  // The last of 22 characters carries four bits that decoders overlook.
  const last = name.at(-1)!
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const twin = alphabet[alphabet.indexOf(last) ^ 1]!
  t.equal(readListName(secrets, name.slice(0, -1) + twin), undefined)
})

/** What the lists say after everything was read. */
async function bitsOf(store: TestStore, id: Buffer): Promise<Uint8Array> {
  const lists = createStatusLists(store.db, store.clock, secrets)
  await lists.refresh()
  const found = lists.find(id)
  if (!found) throw new Error('there is no such list')
  return found.bits
}

const ones = (bits: Uint8Array): number =>
  bits.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
const isSet = (bits: Uint8Array, index: number): boolean => ((bits[index >> 3]! >> (index & 7)) & 1) === 1

function revocation(store: TestStore, kind: 'client' | 'role' | 'grant' | 'token' | 'user', target: string, more = {}) {
  return {
    kind,
    target,
    terminal: kind === 'grant' || kind === 'token',
    instant: store.now(),
    expiresAt: store.later(3601),
    audiences: [],
    reason: 'test',
    event: store.event(`${kind}.revoked`),
    ...more,
  }
}

t.test('a client that is ended takes its blocks along, and nobody else’s, nor a later one', async (t) => {
  const store = await openTestStore(t)
  const { clientId } = await addClient(store)
  const service = { clientId, audience: 'https://a.example' }
  const mine = await statusLists.lease(store.db, leaseOf(store, 64, { owner: { kid: 'kid', service } }))
  await statusLists.lease(
    store.db,
    leaseOf(store, 64, { owner: { kid: 'kid', service: { ...service, clientId: 'x' } } }),
  )
  await statusLists.lease(store.db, leaseOf(store, 64))
  store.clock.advance(0.9)
  await revocations.add(store.db, revocation(store, 'client', clientId))
  store.clock.advance(1)
  await statusLists.lease(store.db, leaseOf(store, 64, { owner: { kid: 'kid', service } }))

  const bits = await bitsOf(store, mine!.listId)
  const permute = permutationOf(secrets, mine!.listId)
  t.equal(ones(bits), 64)
  for (let at = 0; at < 64; at++) t.ok(isSet(bits, permute(mine!.first + at)))
})

t.test('a role that is withdrawn from a client ends what it has at that resource', async (t) => {
  const store = await openTestStore(t)
  const [a, b] = await Promise.all(
    ['https://a.example', 'https://b.example'].map((audience) =>
      statusLists.lease(
        store.db,
        leaseOf(store, 64, { owner: { kid: 'kid', service: { clientId: 'shop', audience } } }),
      ),
    ),
  )
  const event = { ...store.event('role.withdrawn'), clientId: 'shop' }
  await revocations.add(store.db, revocation(store, 'role', 'shop https://a.example', { event }))
  const bits = await bitsOf(store, a!.listId)
  const permute = permutationOf(secrets, a!.listId)
  t.equal(ones(bits), 64)
  t.ok(isSet(bits, permute(a!.first)))
  t.notOk(isSet(bits, permute(b!.first)))
})

t.test('a signing key that is revoked takes all that it signed along', async (t) => {
  const store = await openTestStore(t)
  const block = await statusLists.lease(store.db, leaseOf(store, 64, { owner: { kid: 'stolen' } }))
  await statusLists.lease(store.db, leaseOf(store, 64, { owner: { kid: 'good' } }))
  await store.sql(
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
     VALUES (1000000, 'key', 'stolen', nextval('revocation_position'), true, $1, '{}', 'test', $2)`,
    [store.now(), store.later(3601)],
  )
  t.equal(ones(await bitsOf(store, block!.listId)), 64)
})

t.test('a token whose statement was under way when its grant was ended is set by the next read', async (t) => {
  const store = await openTestStore(t)
  const party = await addParty(store)
  const token = await addRefreshToken(store, party)
  const block = await statusLists.lease(store.db, leaseOf(store, 64))
  const lists = createStatusLists(store.db, store.clock, secrets)
  const { grant } = token
  const event = { ...store.event('grant.revoked'), subject: grant.userId }
  await revocations.add(store.db, revocation(store, 'grant', grant.id, { event }))
  await lists.refresh()
  t.equal(ones(lists.find(block!.listId)!.bits), 0)
  // Its own statement had seen the grant standing, and commits now.
  await store.sql(
    `INSERT INTO status_index (bucket, user_id, list_id, idx, grant_id, client_id, audience, iat)
     SELECT bucket, $1, id, 77, $2, 'x', 'https://api.example.com', $3 FROM status_list`,
    [grant.userId, grant.id, Math.floor(store.now().getTime() / 1000)],
  )
  store.clock.advance(5)
  await lists.refresh()
  t.ok(isSet(lists.find(block!.listId)!.bits, 77))
})

t.test('the index is written with the successor, for the winner of a refresh alone', async (t) => {
  const store = await openTestStore(t)
  const token = await addRefreshToken(store, await addParty(store))
  const block = await statusLists.lease(store.db, leaseOf(store, 64))
  const withIndex = (idx: number) => {
    const one = rotation(store, token)
    const statusIndex = {
      bucket: token.bucket,
      listId: block!.listId,
      idx,
      audience: 'https://api.example.com',
      iat: 1,
    }
    return refreshTokens.rotate(store.db, { ...one, tokens: { ...one.tokens, statusIndex } })
  }
  const won = await Promise.all([withIndex(1), withIndex(2)])
  t.same(won, [true, false])
  const rows = await store.sql('SELECT idx, user_id, grant_id FROM status_index')
  t.match(rows, [{ idx: 1, user_id: token.grant.userId, grant_id: token.grant.id }])
})

t.test('what a statement has no time for is read by one that may take longer', async (t) => {
  const store = await openTestStore(t)
  await statusLists.lease(store.db, leaseOf(store, 64))
  const times = { now: store.now(), since: store.now(), settled: store.now(), limit: 10 }
  const ended = (code: string) => Object.assign(new pg.DatabaseError('ended', 0, 'error'), { code })
  const failing = (code: string) => ({ ...store.db, query: () => Promise.reject(ended(code)) })
  const { lists } = await statusLists.listChanges(failing('57014'), 0n, times)
  t.equal(lists.length, 1)
  await t.rejects(statusLists.listChanges(failing('57P01'), 0n, times), { code: '57P01' }, 'and nothing else is')
})
