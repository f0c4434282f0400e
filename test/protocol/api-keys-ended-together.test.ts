import t, { type Test } from 'tap'
import {
  changeApiKey,
  continueEnd,
  createApiKey,
  endApiKey,
  endApiKeys,
  findApiKey,
  listApiKeys,
  pageOfApiKeys,
  rotateApiKey,
  writeEnds,
} from '../../src/api-keys/index.js'
import { newEvent } from '../../src/audit/index.js'
import { commitRevocation, describeRevocation, type KeySet, revoke } from '../../src/revocation/index.js'
import { apiKeys, auditEvents, revocations } from '../../src/store/index.js'
import { exchange, isActive, makeKey } from '../support/exchange.js'
import { copyKeys } from '../support/key-copies.js'
import { refused } from '../support/refused.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'

const by = { actor: 'operator' }
const cause = { ...by, reason: 'leaked' }

async function openScene(t: Test, env: Readonly<Record<string, string>> = {}) {
  const server = await createTestServer(t, { env })
  const api = await server.createResource('https://api.example', 'read write')
  const owner = { kind: 'user', id: (await server.createUser()).id } as const
  const beside = await createTestServer(t, { beside: server, env })
  await beside.refresh()
  const active = async (text: string): Promise<boolean> => {
    const [here, there] = await Promise.all([isActive(server, api, text), isActive(beside, api, text)])
    t.equal(here, there, 'both processes say the same')
    return here
  }
  const make = (prefix = 'sk') => makeKey(server, { owner, prefix, scope: ['read'] })
  return { server, ctx: server.ctx, clock: server.clock, api, owner, beside, active, make }
}

/** The end itself, of which no row of a key says anything yet. @returns its id */
async function end(server: TestServer, set: KeySet, ending: 'end' | 'replace' = 'end'): Promise<string> {
  const revocation = describeRevocation(server.ctx, { kind: 'api_keys', set, ending }, cause)
  await commitRevocation(server.ctx, revocation)
  return revocation.event.id
}

const endsLeft = async (server: TestServer) => (await sql(server, 'SELECT FROM api_key_end')).length
const rowOf = async (server: TestServer, id: string) =>
  (await sql(server, 'SELECT ended_at, end_reason, successor FROM api_key WHERE id = $1', [id]))[0]

t.test('attack 116: keys end before any of their rows says so, and everything that reads one knows', async (t) => {
  const { server, ctx, clock, owner, active, make } = await openScene(t, { API_KEYS_PER_OWNER: '2' })
  const [one, two] = [await make('bulk'), await make()]
  clock.advance(2)
  const at = clock.now()
  const sets: readonly KeySet[] = [{ kind: 'prefix', prefix: 'bulk' }, { kind: 'owner', owner }, { kind: 'all' }]
  for (const set of sets) await end(server, set)
  t.equal(await endsLeft(server), 3)

  for (const isWritten of [false, true]) {
    if (isWritten) await writeEnds(ctx)
    for (const { key, text } of [one, two]) {
      t.equal((await rowOf(server, key.id))?.['ended_at'] !== null, isWritten)
      t.equal(await active(text), false)
      t.equal((await exchange(server, text)).statusCode, 400)
      t.match(await findApiKey(ctx, key.id), { endedAt: at, endReason: 'leaked' })
      await refused(t, rotateApiKey(ctx, key.id, { by }), /is over/)
      await refused(t, changeApiKey(ctx, key.id, { request: { name: 'x' }, by }), /is over/)
      t.same(await endApiKey(ctx, key.id, { cause }), { ended: [], successors: [], needKeyPair: [] })
    }
    t.same(await listApiKeys(ctx, { liveAt: clock.now() }), [])
    t.match(await listApiKeys(ctx, { owner }), [{ endedAt: at, endReason: 'leaked' }, { endedAt: at }])
    const inState = async (state: 'live' | 'rotated' | 'expired' | 'ended') =>
      (await pageOfApiKeys(ctx, { state }, { limit: 10 })).keys.length
    t.same(await Promise.all((['live', 'rotated', 'expired', 'ended'] as const).map(inState)), [0, 0, 0, 2])
  }
  t.equal(await endsLeft(server), 0, 'what every row says nobody needs to look up')
  t.ok(await make(), 'what has ended does not count')
})

t.test('what had expired before stays expired, and what is made afterwards lives', async (t) => {
  const { server, ctx, clock, owner, active, make } = await openScene(t)
  const old = await makeKey(server, { owner, scope: ['read'], lifetime: 60 })
  clock.advance(90)
  await end(server, { kind: 'all' })
  const [next, narrow] = [await make(), await make()]
  t.ok(next.key.createdAt > clock.now(), 'in the second of the end it is of the next')
  for (const isWritten of [false, true]) {
    if (isWritten) t.equal((await endApiKeys(ctx, { kind: 'prefix', prefix: 'none' }, { cause })).ended.length, 0)
    if (isWritten) await writeEnds(ctx)
    t.equal(await active(next.text), true)
    t.same((await findApiKey(ctx, old.key.id)).endedAt, undefined)
    const expired = (await pageOfApiKeys(ctx, { state: 'expired' }, { limit: 10 })).keys.map(({ id }) => id)
    t.same(expired, [old.key.id])
  }
  t.equal(await endsLeft(server), 0)
  await changeApiKey(ctx, narrow.key.id, { request: { name: 'still there' }, by })
  // A second end in the same second ends what took the next one.
  await end(server, { kind: 'owner', owner })
  t.equal(await active(next.text), false)
  const last = await make()
  await writeEnds(ctx)
  clock.advance(2)
  t.equal(await active(next.text), false)
  t.equal(await active(last.text), true)
})

t.test('attack 133: a key in its overlap is ended where the audit holds a time that is ahead', async (t) => {
  const { server, ctx, clock, active, make } = await openScene(t)
  const [rotated, short] = [await make(), await make()]
  await rotateApiKey(ctx, rotated.key.id, { overlap: 3_600, by })
  await changeApiKey(ctx, short.key.id, { request: { expiresAt: new Date(clock.now().getTime() + 60_000) }, by })
  const ahead = new Date(clock.now().getTime() + 20 * 3_600_000)
  await auditEvents.create(ctx.db, { ...newEvent(ctx, { ...by, type: 'test.event' }), time: ahead })
  const at = clock.now()
  await end(server, { kind: 'all' })
  const [entry] = await sql(server, `SELECT instant FROM revocation WHERE kind = 'api_keys'`)
  t.ok(entry?.['instant'] instanceof Date && entry['instant'] > ahead, 'the entry is of the time that is ahead')

  for (const isWritten of [false, true]) {
    if (isWritten) await writeEnds(ctx)
    for (const { key, text } of [rotated, short]) {
      t.equal(await active(text), false)
      t.match(await findApiKey(ctx, key.id), { endedAt: at, endReason: 'leaked' })
    }
    await refused(t, changeApiKey(ctx, short.key.id, { request: { expiresAt: 'never' }, by }), /is over/)
    t.same(await listApiKeys(ctx, { liveAt: at }), [])
  }
  t.equal(await endsLeft(server), 0)
})

t.test('a key is ended that is committed while the end waits for its turn', async (t) => {
  const { server, ctx, owner, clock, active, make } = await openScene(t)
  const { key } = await make()
  let ending: Promise<unknown> = Promise.resolve()
  let late = ''
  await ctx.db.transaction(async (tx) => {
    await revocations.lock(tx)
    // Its statement has taken its snapshot, and sees nothing of what this transaction writes.
    ending = revoke(ctx, { kind: 'api_keys', set: { kind: 'all' }, ending: 'end' }, cause)
    const waits = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`
    while ((await sql(server, waits)).length === 0) await new Promise(setImmediate)
    late = 'late000000000000'
    await apiKeys.createAll(tx, [{ ...key, id: late, createdAt: new Date(clock.now().getTime() + 1_000) }])
  })
  await ending
  t.match(await findApiKey(ctx, late), { endReason: 'leaked' })
  const next = await makeKey(server, { owner, scope: ['read'] })
  t.equal(await active(next.text), true)
})

/** As a process of the previous release makes one, whatever its clock says: it knows of no position. */
async function makeAsBefore(server: TestServer, id: string, createdAt: Date): Promise<void> {
  const columns = 'prefix, environment, kind, owner_kind, owner, name'
  await sql(
    server,
    `INSERT INTO api_key (id, created_at, updated_at, ${columns})
     SELECT $1::text, $2::timestamptz, $2::timestamptz, ${columns} FROM api_key LIMIT 1`,
    [id, createdAt],
  )
}

t.test('a key that the previous release makes has its position, and no clock decides whether it ended', async (t) => {
  const { server, ctx, clock, make } = await openScene(t)
  await make()
  const second = (seconds: number) => new Date(clock.now().getTime() + seconds * 1_000)
  await makeAsBefore(server, 'before0000000000', second(-30))
  await makeAsBefore(server, 'early00000000000', second(30))
  await end(server, { kind: 'all' })
  await makeAsBefore(server, 'late000000000000', second(-30))
  clock.advance(60)
  for (const isWritten of [false, true]) {
    if (isWritten) await writeEnds(ctx)
    const live = (await listApiKeys(ctx, { liveAt: clock.now() })).map(({ id }) => id)
    t.same(live, ['late000000000000'])
    for (const id of ['before0000000000', 'early00000000000'])
      t.match(await findApiKey(ctx, id), { endReason: 'leaked' })
  }
})

t.test('200 creations, rotations and changes during an end of all, at two processes', async (t) => {
  const { server, ctx, beside, owner, active, make } = await openScene(t, { API_KEYS_PER_OWNER: '500' })
  const first = await Promise.all(Array.from({ length: 40 }, () => make()))
  const contexts = [ctx, beside.ctx]
  const made: { readonly id: string; readonly text: string }[] = []
  const act = async (n: number): Promise<void> => {
    const at = contexts[n % 2]!
    const { key } = first[n % first.length]!
    if (n % 3 === 2) return void (await changeApiKey(at, key.id, { request: { name: `Name ${n}` }, by }))
    const request = { owner, name: 'New', scope: ['read'] }
    const created = n % 3 === 0 ? createApiKey(at, request, by) : rotateApiKey(at, key.id, { by })
    const { key: another, text = '' } = await created
    made.push({ id: another.id, text })
  }
  let next = 0
  let ending: Promise<string> | undefined
  const refusals: unknown[] = []
  // As many at once as there are connections for: more would be 503.
  const worker = async (): Promise<void> => {
    while (next < 200) {
      const n = next++
      if (n === 80) ending = end(beside, { kind: 'all' })
      await act(n).catch((error) => refusals.push(error))
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  const id = await ending
  for (const refusal of refusals) t.match(String(refusal), /is over|has a successor already/)
  const positions = new Map(
    (await sql(server, 'SELECT id, position FROM api_key')).map((row) => [row['id'], BigInt(String(row['position']))]),
  )
  const [mark] = await sql(server, 'SELECT position FROM api_key_end WHERE id = $1', [id])
  const before = (key: string) => positions.get(key)! < BigInt(String(mark?.['position']))
  const sides = new Set<boolean>()
  for (const isWritten of [false, true]) {
    if (isWritten) await writeEnds(beside.ctx)
    const live = await Promise.all([...first, ...made].map(({ text }) => active(text)))
    t.notOk(live.slice(0, first.length).includes(true))
    made.forEach(({ id }, index) => {
      sides.add(before(id))
      t.equal(live[first.length + index], !before(id))
    })
  }
  t.same([...sides].sort(), [false, true], 'some came before the end, and some behind it')
})

t.test('a row that somebody holds is ended by the next pass, and nobody waits', async (t) => {
  const { server, ctx, make } = await openScene(t)
  const [held, free] = [await make(), await make()]
  await ctx.db.transaction(async (tx) => {
    await tx.prisma.$executeRaw`SELECT FROM api_key WHERE id = ${held.key.id} FOR UPDATE`
    const { ended, isComplete } = await endApiKeys(ctx, { kind: 'all' }, { cause })
    t.equal(isComplete, false)
    t.same(
      ended.map(({ id }) => id),
      [free.key.id],
    )
    t.match(await findApiKey(ctx, held.key.id), { endReason: 'leaked' }, 'it has ended all the same')
    const id = await end(server, { kind: 'prefix', prefix: 'sk' }, 'replace')
    t.match(await continueEnd(ctx, id, { cause }), { isComplete: false }, 'it is there, though no row says so')
  })
  t.equal(await endsLeft(server), 2)
  await writeEnds(ctx)
  t.equal(await endsLeft(server), 0)
  t.match(await rowOf(server, held.key.id), { end_reason: 'leaked' })
})

t.test('a row that somebody holds for a moment is come back to a moment later', async (t) => {
  const { server, ctx, make } = await openScene(t)
  const { key } = await make()
  let release = (): void => undefined
  const isReleased = new Promise<void>((resolve) => {
    release = resolve
  })
  let holding: Promise<unknown> = Promise.resolve()
  await new Promise<void>((isHeld) => {
    holding = ctx.db.transaction(async (tx) => {
      await tx.prisma.$executeRaw`SELECT FROM api_key WHERE id = ${key.id} FOR UPDATE`
      isHeld()
      await isReleased
    })
  })
  const waits: number[] = []
  const until = async (time: Date): Promise<void> => {
    waits.push(time.getTime() - ctx.clock.now().getTime())
    release()
    await holding
  }
  const clock = { now: () => ctx.clock.now(), until }
  const { ended, isComplete } = await endApiKeys({ ...ctx, clock }, { kind: 'all' }, { cause })
  t.match([ended.length, isComplete, waits], [1, true, [50]])
  t.equal(await endsLeft(server), 0)
})

t.test('an end whose answer was lost is gone on with by the id that was told before it', async (t) => {
  const { ctx, active, make } = await openScene(t)
  const { key, text } = await make()
  const told: string[] = []
  const run: typeof ctx.db.run = async (statement, item) => {
    await ctx.db.run(statement, item)
    throw new Error('the connection was lost behind the commit')
  }
  const options = {
    cause,
    replace: true,
    onBegin: (id: string) => told.push(id),
    onEnd: () => t.fail('nobody knows it'),
  }
  const lossy = { ...ctx, db: Object.create(ctx.db, { run: { value: run } }) }
  await t.rejects(endApiKeys(lossy, { kind: 'all' }, options), /lost behind the commit/)
  t.equal(await active(text), false)
  const { successors, isComplete } = await continueEnd(ctx, told[0] ?? '', { cause })
  t.match([isComplete, successors.map(({ previous }) => previous)], [true, [key.id]])
})

t.test('successors that were broken off are handed out by whoever goes on, each once', async (t) => {
  const { server, ctx, clock, beside, active, make } = await openScene(t)
  const { key, text } = await make()
  await copyKeys(server, key.id, 249)
  clock.advance(2)
  const stop = new AbortController()
  const seen: string[] = []
  const onSuccessors = (made: readonly { readonly previous: string }[]) => {
    seen.push(...made.map(({ previous }) => previous))
    stop.abort()
  }
  const options = { cause, replace: true, signal: stop.signal, onSuccessors }
  const broken = await endApiKeys(ctx, { kind: 'all' }, options)
  t.match(broken, { isComplete: false, ended: { length: 250 }, successors: { length: 100 } })
  t.equal(seen.length, 100)
  t.equal(await active(text), false)

  const rest = await Promise.all([ctx, beside.ctx, ctx].map((at) => continueEnd(at, broken.id, { cause })))
  t.ok(rest.every(({ isComplete }) => isComplete))
  const all = [broken, ...rest].flatMap(({ successors }) => successors)
  t.equal(all.length, 250)
  t.same(new Set(all.map(({ previous }) => previous)), new Set(broken.ended.map(({ id }) => id)))
  const named = await sql(server, 'SELECT id, successor FROM api_key WHERE successor IS NOT NULL')
  t.same(
    new Map(named.map((row) => [row['id'], row['successor']])),
    new Map(all.map(({ previous, key }) => [previous, key.id])),
  )
  t.equal(await active(all.find(({ previous }) => previous === key.id)?.text ?? ''), true)
  t.match(await continueEnd(ctx, broken.id, { cause }), { isComplete: true, successors: [] })
  await refused(t, continueEnd(ctx, ctx.random.uuid(), { cause }), /No API keys were ended by/)
})

t.test('attack 116: a chain of three that ends is followed by one key, and not by three', async (t) => {
  const { ctx, clock, owner, active, make } = await openScene(t)
  const chain = async () => {
    clock.advance(2)
    const first = await make('chain')
    const second = await rotateApiKey(ctx, first.key.id, { overlap: 3_600, by })
    const third = await rotateApiKey(ctx, second.key.id, { overlap: 3_600, by })
    return [first, second, third].map(({ key, text = '' }) => ({ id: key.id, text }))
  }
  for (const set of [{ kind: 'prefix', prefix: 'chain' }, { kind: 'owner', owner }, { kind: 'all' }] as const) {
    const keys = await chain()
    t.same(await Promise.all(keys.map(({ text }) => active(text))), [true, true, true])
    const { ended, successors, isComplete } = await endApiKeys(ctx, set, { cause, replace: true })
    t.equal(isComplete, true)
    t.ok(keys.every(({ id }) => ended.some((key) => key.id === id)))
    t.same(
      successors.map(({ previous }) => previous),
      [keys[2]?.id],
    )
    t.equal((await listApiKeys(ctx, { owner, liveAt: clock.now() })).length, 1)
    t.match(await findApiKey(ctx, keys[0]!.id), { successor: keys[1]?.id }, 'it still says who followed it')
    await endApiKeys(ctx, { kind: 'all' }, { cause })
  }
  const [old, , newest] = await chain()
  t.match(await endApiKey(ctx, old!.id, { cause, replace: true }), { ended: [{ id: old?.id }], successors: [] })
  t.equal(await active(newest!.text), true)
  t.match(await endApiKey(ctx, newest!.id, { cause, replace: true }), { successors: [{ previous: newest?.id }] })
})

t.test(
  'attack 116: where all behind a key are over it is followed, and by one where several of a chain end',
  async (t) => {
    const { ctx, clock, owner, active, make } = await openScene(t)
    const rotate = async (id: string) => (await rotateApiKey(ctx, id, { overlap: 86_400, by })).key.id
    /** Of three, the last one over. */
    const [first, lone] = [await make(), await make()]
    const second = await rotate(first.key.id)
    const third = await rotate(second)
    await endApiKey(ctx, third, { cause })
    // The second is over, the third lives.
    const kept = await rotate(await rotate(lone.key.id))
    const { successor } = await findApiKey(ctx, lone.key.id)
    await endApiKey(ctx, successor ?? '', { cause })
    t.same((await endApiKey(ctx, lone.key.id, { cause, replace: true })).successors, [], 'one behind it lives')
    t.equal((await findApiKey(ctx, kept)).endedAt, undefined)
    await endApiKey(ctx, kept, { cause })
    clock.advance(2)
    const { successors } = await endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
    t.same(
      successors.map(({ previous }) => previous),
      [second],
    )
    t.equal(await active(successors[0]?.text ?? ''), true)
    t.equal((await findApiKey(ctx, first.key.id)).successor, second)
  },
)

t.test(
  'attack 116: nor is a key followed while the row of its successor does not say yet that it ended, too',
  async (t) => {
    const { ctx, owner, active, make } = await openScene(t)
    const { key } = await make()
    const next = await rotateApiKey(ctx, key.id, { overlap: 3_600, by })
    const broken = await ctx.db.transaction(async (tx) => {
      await tx.prisma.$executeRaw`SELECT FROM api_key WHERE id = ${next.key.id} FOR UPDATE`
      return endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
    })
    t.match(broken, { isComplete: false, successors: { length: 0 } })
    const { successors, isComplete } = await continueEnd(ctx, broken.id, { cause })
    t.match([isComplete, successors.map(({ previous }) => previous)], [true, [next.key.id]])
    t.equal(successors.length, 1)
    t.equal(await active(successors[0]?.text ?? ''), true)
  },
)

t.test('a command that died behind its end owes all successors, whoever wrote the rows', async (t) => {
  const { server, ctx, make } = await openScene(t)
  for (const isWritten of [false, true]) {
    const { key } = await make()
    const id = await end(server, { kind: 'all' }, 'replace')
    if (isWritten) await writeEnds(ctx)
    const { successors, isComplete } = await continueEnd(ctx, id, { cause })
    t.equal(isComplete, true)
    t.match(
      successors.map(({ previous }) => previous).filter((previous) => previous === key.id),
      [key.id],
    )
  }
})
