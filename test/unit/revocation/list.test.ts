import t from 'tap'
import { createRevocationList, endableBy, ends } from '../../../src/revocation/index.js'
import type { Database, PositionedRevocation, RevocationKind } from '../../../src/store/index.js'
import { TEST_START, TestClock } from '../../support/clock.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const second = Math.floor(TEST_START.getTime() / 1000)
const at = (seconds: number) => new Date(TEST_START.getTime() + seconds * 1000)

/** A list over rows that the test writes; each read gives what lies behind the position, as the store does. */
function open() {
  const rows: PositionedRevocation[] = []
  const reads: bigint[] = []
  const clock = new TestClock()
  let position = 0n
  let fail = false
  let milliseconds = 0
  let era = 1
  let forgetful = false
  const relisted: { behind: bigint; known: bigint }[] = []
  /** In a transaction: what lies between gets positions behind all. */
  const client = {
    on: () => undefined,
    off: () => undefined,
    release: () => undefined,
    async query(text: string, values: readonly bigint[] = []) {
      if (forgetful) return { rows: [] }
      if (text.includes('setval')) position = values[0]! > position ? values[0]! : position
      if (!text.includes('UPDATE revocation')) return { rows: [] }
      const [behind, known] = values as [bigint, bigint]
      relisted.push({ behind, known })
      for (const row of rows.splice(0)) {
        const moves = row.position > behind && row.position <= known
        rows.push(moves ? { ...row, position: ++position } : row)
      }
      rows.sort((one, other) => Number(one.position - other.position))
      return { rows: [] }
    },
  }
  const db = {
    pool: { connect: async () => client },
    async query(name: string, _text: string, [behind, , limit]: [string, unknown, number]) {
      if (name === 'revocations.last_position') return [{ position: String(position) }]
      reads.push(BigInt(behind))
      await turn()
      if (fail) throw new Error('Connection terminated unexpectedly')
      const entries = rows
        .filter((row) => row.position > BigInt(behind))
        .slice(0, limit)
        .map(({ kind, target, terminal, instant, position, expiresAt, audiences }) => [
          kind,
          target,
          terminal,
          instant.getTime() / 1000,
          Number(position),
          expiresAt ? expiresAt.getTime() / 1000 : null,
          audiences.join(' '),
        ])
      return [{ entries }]
    },
    reads: (work: (connection: unknown, era: number) => Promise<unknown>) => work(db, era),
  } as unknown as Database
  const add = (kind: RevocationKind, target: string, more: Partial<PositionedRevocation> = {}) => {
    position++
    const terminal = kind === 'token' || kind === 'grant' || kind === 'session'
    rows.push({ kind, target, terminal, instant: clock.now(), expiresAt: at(3601), position, audiences: [], ...more })
  }
  return {
    list: createRevocationList(db, clock, () => milliseconds),
    add,
    rows,
    reads,
    clock,
    failing: (now: boolean) => (fail = now),
    relisted,
    /** Another server answers from now on, which has so many of the positions. */
    failOver(kept: bigint, forgets?: 'always') {
      era++
      forgetful = forgets === 'always'
      position = kept
      rows.splice(0, rows.length, ...rows.filter((row) => row.position <= kept))
    },
    pass: (time: number) => (milliseconds += time),
  }
}

t.test('each read goes on behind the last position', async (t) => {
  const { list, add, reads } = open()
  add('token', 'a')
  add('grant', 'b')
  await list.refresh()
  await list.refresh()
  add('session', 'c')
  await list.refresh()
  t.same(reads, [0n, 2n, 2n])
  t.equal(list.size(), 3)
  t.ok(list.find({ kind: 'session', target: 'c' }))
  t.equal(list.find({ kind: 'grant', target: 'c' }), undefined, 'the same name of another kind is another')
})

t.test('a cold start reads page by page, and ends', async (t) => {
  const { list, add, reads } = open()
  for (let n = 0; n < 40_000; n++) add('token', `t${n}`)
  await list.refresh()
  t.equal(list.size(), 40_000)
  t.same(
    reads,
    Array.from({ length: 9 }, (_, n) => BigInt(n) * 5_000n),
  )
})

t.test('a burst of notifications costs two reads', async (t) => {
  const { list, reads } = open()
  await Promise.all(
    Array.from({ length: 500 }, (_, n) => (n % 100 === 0 ? turn() : Promise.resolve()).then(() => list.refresh())),
  )
  t.ok(reads.length <= 4, `${reads.length} reads`)
})

t.test('a read that failed loses nothing', async (t) => {
  const { list, add, failing, reads } = open()
  add('token', 'a')
  failing(true)
  await t.rejects(list.refresh())
  failing(false)
  await list.refresh()
  t.same(reads, [0n, 0n])
  t.equal(list.size(), 1)
})

t.test('terminal: whatever was issued, whenever; not-before: up to the second of the instant', async (t) => {
  const { list, add } = open()
  add('grant', 'g')
  add('client', 'c', { instant: at(0.9) })
  await list.refresh()

  const grant = { kind: 'grant', target: 'g' } as const
  const client = { kind: 'client', target: 'c' } as const
  t.equal(list.ends([grant], second + 1_000_000), true)
  t.equal(list.ends([client], second - 1), true)
  t.equal(list.ends([client], second), true, 'whole seconds, rounded down')
  t.equal(list.ends([client], second + 1), false)
  t.equal(list.ends([], second), false)

  t.equal(list.earliestIat([grant], at(0)), undefined, 'nothing is issued for it')
  t.equal(list.earliestIat([client], at(0)), second + 1, 'no later token gets an iat that is ended')
  t.equal(list.earliestIat([client], at(0.95)), second + 1)
  t.equal(list.earliestIat([client], at(1)), second + 1)
  t.equal(list.earliestIat([client], at(5)), second + 5)
  t.equal(list.earliestIat([], at(5.9)), second + 5)
  t.equal(list.earliestIat([client, grant], at(0)), undefined)
})

t.test('of several not-before entries the latest counts', async (t) => {
  const { list, add } = open()
  add('client', 'c', { instant: at(3) })
  add('role', 'ada https://api.example.com', { instant: at(7) })
  await list.refresh()
  const targets = [
    { kind: 'role', target: 'ada https://api.example.com' },
    { kind: 'client', target: 'c' },
  ] as const
  t.equal(list.earliestIat(targets, at(0)), second + 8)
  t.equal(list.earliestIat(targets.toReversed(), at(0)), second + 8)
})

t.test('a target may stand in two partitions: neither entry makes the other weaker', async (t) => {
  const target = { kind: 'client', target: 'c' } as const
  const lasting = { terminal: true, expiresAt: undefined }
  for (const order of ['disabled first', 'revoked first']) {
    const { list, add } = open()
    if (order === 'disabled first') add('client', 'c', lasting)
    add('client', 'c')
    if (order === 'revoked first') add('client', 'c', lasting)
    await list.refresh()
    t.match(list.find(target), { terminal: true, expiresAt: undefined }, order)
  }
})

t.test('enabled again, in whatever order its two entries were lifted', async (t) => {
  const target = { kind: 'client', target: 'c' } as const
  for (const lastingFirst of [true, false]) {
    const { list, add } = open()
    add('client', 'c', { terminal: true, expiresAt: undefined })
    add('client', 'c')
    await list.refresh()
    const lifted = { terminal: false, instant: at(10) }
    add('client', 'c', lastingFirst ? { ...lifted, expiresAt: undefined } : lifted)
    add('client', 'c', lastingFirst ? lifted : { ...lifted, expiresAt: undefined })
    await list.refresh()
    t.match(list.find(target), { terminal: false, instant: at(10) })
    t.equal(list.ends([target], second + 10), true)
    t.equal(list.ends([target], second + 11), false)
  }
})

t.test('what is over is swept: the list stays small for ever', async (t) => {
  const { list, add, clock, rows } = open()
  for (let n = 0; n < 1000; n++) add('token', `t${n}`)
  add('user', 'u', { terminal: true, expiresAt: undefined })
  await list.refresh()
  t.equal(list.size(), 1001)
  rows.length = 0
  clock.advance(3600)
  await list.refresh()
  t.equal(list.size(), 1001)
  // Five minutes longer than it lives, for a clock that is corrected, and the minute until the next sweep.
  clock.advance(361)
  await list.refresh()
  t.equal(list.size(), 1, 'what has no end stays')
})

t.test('RFC 9068 §2.2: what a token can be ended by is what it says', async (t) => {
  const claims = { jti: 'j', iat: 1, client_id: 'c', sub: 'c', aud: 'https://api.example.com' }
  t.same(endableBy(claims), [
    { kind: 'token', target: 'j' },
    { kind: 'client', target: 'c' },
    { kind: 'role', target: 'c https://api.example.com' },
  ])
  t.same(endableBy({ ...claims, sub: 'u', grant_id: 'g', sid: 's' }).slice(2), [
    { kind: 'role', target: 'u https://api.example.com' },
    { kind: 'grant', target: 'g' },
    { kind: 'user', target: 'u' },
    { kind: 'session', target: 's' },
  ])
  t.same(
    endableBy({ ...claims, sub: 'u' }).some(({ kind }) => kind === 'user'),
    false,
    'a service whose client_id is somebody’s id is not that user',
  )
  const entry = { kind: 'user', target: 'u', terminal: false, instant: at(0.999) } as const
  t.equal(ends(entry, second), true)
  t.equal(ends(entry, second + 1), false)
})

/** The targets that the list gives behind a position. */
const behind = (list: ReturnType<typeof open>['list'], audience: string, position = 0n) =>
  [...list.behind(audience, position)].map(({ target }) => target)

t.test('what concerns an audience is given in commit order from any position', async (t) => {
  const { list, add } = open()
  for (let n = 1; n <= 100; n++)
    add('token', `t${n}`, { audiences: [[], ['one'], ['two'], ['one', 'two']][n % 4] ?? [] })
  await list.refresh()
  t.equal(list.position(), 100n)
  for (let position = 0; position <= 101; position++) {
    const expected = Array.from({ length: 100 }, (_, n) => n + 1).filter((n) => n > position && n % 4 !== 2)
    t.same(
      behind(list, 'one', BigInt(position)),
      expected.map((n) => `t${n}`),
    )
  }
})

t.test('more changes than are found by their position: all are read, and none is missed', async (t) => {
  const { list, add } = open()
  for (let n = 1; n <= 40_000; n++) add('token', `t${n}`)
  await list.refresh()
  for (const position of [0n, 1n, 23_000n, 30_000n, 39_999n, 40_000n]) {
    const given = behind(list, 'one', position)
    t.equal(given.length, 40_000 - Number(position), `behind ${position}`)
    t.equal(given.at(-1), position === 40_000n ? undefined : 't40000')
  }
})

t.test('whoever reads in pieces gets what is listed meanwhile', async (t) => {
  for (const count of [10, 20_000]) {
    const { list, add } = open()
    for (let n = 1; n <= count; n++) add('token', `t${n}`)
    await list.refresh()
    const reader = list.behind('one', 0n)[Symbol.iterator]()
    reader.next()
    // One that it has, and one that it has not, are changed; another is new.
    add('token', 't1', { expiresAt: at(7000) })
    add('token', 't5', { expiresAt: at(7000) })
    add('token', 'new')
    await list.refresh()
    const rest: string[] = []
    for (let each = reader.next(); !each.done; each = reader.next()) rest.push(each.value.target)
    t.same(rest.slice(-3), ['t1', 't5', 'new'])
    t.equal(rest.length, count + 1, 'each that was changed once, where it now stands')
  }
})

t.test('followers hear the stricter of two entries, once, and whom either concerns', async (t) => {
  const { list, add } = open()
  const heard: unknown[] = []
  const stop = list.follow({ onNews: (entries, position) => heard.push([position, ...entries]) })
  add('client', 'c', { terminal: true, expiresAt: undefined, audiences: ['one'] })
  await list.refresh()
  add('client', 'c', { instant: at(5), audiences: ['two'] })
  add('client', 'd', { audiences: ['one'] })
  add('client', 'd', { audiences: [] })
  await list.refresh()
  await list.refresh()
  t.match(heard, [
    [1n, { target: 'c', terminal: true, audiences: ['one'] }],
    [
      4n,
      { target: 'c', terminal: true, instant: at(5).getTime(), expiresAt: undefined, audiences: ['one', 'two'] },
      { target: 'd', terminal: false, audiences: [] },
    ],
  ])
  t.equal(heard.length, 2)
  stop()
  add('client', 'e')
  await list.refresh()
  t.equal(heard.length, 2)
})

t.test('the age is that of the last read that succeeded, from its beginning', async (t) => {
  const { list, failing, pass } = open()
  pass(1000)
  t.equal(list.age(), 1000)
  const reading = list.refresh()
  // It has begun when its turn has come.
  await Promise.resolve()
  pass(30)
  await reading
  t.equal(list.age(), 30)
  failing(true)
  for (let turn = 1; turn <= 3; turn++) {
    pass(500)
    await t.rejects(list.refresh())
    t.equal(list.age(), 30 + turn * 500, 'a server that cannot see does not look fresh')
  }
  failing(false)
  await list.refresh()
  t.equal(list.age(), 0)
})

t.test('attack 133: the clock is set back: what comes back is in its place, and who follows begins anew', async (t) => {
  const { list, add, clock, rows } = open()
  let resets = 0
  list.follow({ onNews: () => undefined, onReset: () => resets++ })
  add('token', 'early')
  add('token', 'late', { expiresAt: at(50_000) })
  const early = rows.shift()!
  await list.refresh()
  rows.unshift(early)
  t.same(behind(list, 'one'), ['late'])
  clock.advance(-3600)
  await list.refresh()
  t.equal(resets, 1)
  t.same(behind(list, 'one'), ['early', 'late'])
  add('token', 'new')
  await list.refresh()
  t.equal(resets, 1)
  t.same(behind(list, 'one', 2n), ['new'])
})

t.test('attack 133: a reading anew that breaks off is done again, whatever the clock says then', async (t) => {
  const { list, add, clock, rows, reads, failing } = open()
  let resets = 0
  list.follow({ onNews: () => undefined, onReset: () => resets++ })
  add('token', 'early')
  // More than one read gives.
  for (let index = 0; index < 5_000; index++) add('token', `t${index}`, { expiresAt: at(50_000) })
  const early = rows.shift()!
  await list.refresh()
  rows.unshift(early)
  clock.advance(-3600)
  const before = reads.length
  const reading = list.refresh()
  while (reads.length < before + 2) await turn()
  failing(true)
  await t.rejects(reading)
  t.equal(resets, 0)
  failing(false)
  clock.advance(3600)
  await list.refresh()
  t.equal(resets, 1)
  t.equal(behind(list, 'one')[0], 'early')
  t.equal(behind(list, 'one', 1n)[0], 't0')
  t.equal(behind(list, 'one').length, 5_001)
})

/** Everything a follower is told. */
function told(list: ReturnType<typeof createRevocationList>): string[] {
  const heard: string[] = []
  list.follow({
    onNews: (entries) => heard.push(...entries.map(({ target }) => target)),
    onReset: () => heard.push('reset'),
  })
  return heard
}

t.test('of another server a position may be another entry: these get new ones, and are read', async (t) => {
  const { list, add, reads, failOver, relisted } = open()
  for (const target of ['a', 'b', 'lost']) add('token', target)
  await list.refresh()
  const heard = told(list)
  failOver(2n)
  add('token', 'c')
  await list.refresh()
  t.ok(list.find({ kind: 'token', target: 'c' }), 'though it had the position of the one that was lost')
  t.same(relisted, [{ behind: -4997n, known: 3n }])
  t.same(heard, ['a', 'b', 'c'], 'as news, to whoever has a position of before')
  t.equal(list.position(), 6n)

  const before = reads.length
  add('token', 'd')
  await list.refresh()
  t.same(reads.slice(before), [6n], 'then all is as before')
  t.same(heard.slice(3), ['d'])
})

t.test('another server that has given fewer positions: those that come are not missed', async (t) => {
  const { list, add, failOver } = open()
  for (const target of ['a', 'lost', 'lost too']) add('token', target)
  await list.refresh()
  const heard = told(list)
  failOver(1n)
  await list.refresh()
  add('token', 'b')
  await list.refresh()
  t.same(heard, ['a', 'b'])
})

t.test('a look at another server that failed is made again', async (t) => {
  const { list, add, failing, failOver } = open()
  for (const target of ['a', 'lost']) add('token', target)
  await list.refresh()
  failOver(1n)
  add('token', 'b')
  failing(true)
  await t.rejects(list.refresh())
  failing(false)
  await list.refresh()
  t.ok(list.find({ kind: 'token', target: 'b' }))
})

t.test('a server that gives positions anew for ever is not relied on', async (t) => {
  const { list, add, failOver } = open()
  add('token', 'a')
  await list.refresh()
  failOver(0n, 'always')
  await t.rejects(list.refresh(), /again and again/)
})

t.test('a new connection costs what was listed in the last seconds, and tells nothing twice', async (t) => {
  const { list, add, reads, pass, failOver, relisted } = open()
  for (let n = 0; n < 12_000; n++) add('token', `t${n}`)
  await list.refresh()
  const heard = told(list)
  failOver(12_000n)
  reads.length = 0
  await list.refresh()
  t.same(reads, [7_000n, 12_000n], 'of a first read nobody knows how old it is: one page')

  for (const target of ['b', 'c', 'd']) {
    pass(10_000)
    add('token', target)
    await list.refresh()
  }
  failOver(12_003n)
  reads.length = 0
  add('token', 'e')
  await list.refresh()
  t.same(reads, [12_002n, 12_003n], 'from where it was ten seconds ago')
  t.same(heard, ['b', 'c', 'd', 'e'])
  t.same(relisted, [])
})

t.test('what is over is no news of another server', async (t) => {
  const { list, add, clock, failOver, relisted } = open()
  // As one that was lifted: without an end, and older than any token.
  add('user', 'u', { terminal: false, instant: at(-90_000), expiresAt: undefined })
  await list.refresh()
  clock.advance(61)
  await list.refresh()
  t.equal(list.size(), 0, 'it was swept')
  failOver(1n)
  await list.refresh()
  t.same(relisted, [])
})
