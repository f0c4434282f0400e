import t from 'tap'
import { describeApiKey, endApiKey, findApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { rotateSecret } from '../../src/clients/index.js'
import { remind } from '../../src/jobs/index.js'
import { createTier, updateTier } from '../../src/limits/index.js'
import { dueRotations, listNotices, noticeText } from '../../src/notices/index.js'
import { rotations } from '../../src/store/index.js'
import { newPublicJwk } from '../support/key-pairs.js'
import { day, noticesOf, openOwners } from '../support/notices.js'
import { createTestServer, sql } from '../support/server.js'

const by = { actor: 'operator' }

t.test('an owner is reminded 14, 7 and 1 days before, and once when it is overdue', async (t) => {
  const { server, ctx, owner, key } = await openOwners(t)
  const { key: made } = await key({ name: 'Nightly report' })
  const dueAt = new Date(made.createdAt.getTime() + 90 * day * 1000).toISOString()
  t.equal(describeApiKey(ctx, made)['rotation_due_at'], dueAt)
  const start = server.clock.now().getTime()
  const told: [number, string, number | undefined][] = []
  for (const after of [0, 75.9, 76, 76.1, 82.9, 83, 83.5, 89, 89.5, 90, 90.1, 120]) {
    server.clock.set(new Date(start + after * day * 1000))
    const before = (await noticesOf(server)).length
    await remind(ctx)
    const fresh = (await noticesOf(server)).filter(({ subject_kind: kind }) => kind === 'api_key').slice(before)
    for (const { kind, detail } of fresh) told.push([after, kind, detail.days])
    await sql(server, `DELETE FROM notice WHERE subject_kind = 'client_secret'`)
  }
  t.same(told, [
    [76, 'rotation_due', 14],
    [83, 'rotation_due', 7],
    [89, 'rotation_due', 1],
    [90, 'rotation_overdue', undefined],
  ])
  const [last] = await listNotices(ctx, owner)
  t.match(last, { kind: 'rotation_overdue', owner, subject: { kind: 'api_key', id: made.id } })
  t.same(last?.detail, { name: 'Nightly report', due_at: dueAt })
  t.same(await listNotices(ctx, { kind: 'client', id: owner.id }), [], 'nobody else is told')
  const events = (await server.audit('notice.created')).filter(({ subject }) => subject === owner.id)
  t.equal(events.length, 4)
  t.match(events[0], { actor: 'system', reason: 'rotation_due', detail: { key: made.id, days: 14 } })
})

t.test('what ends by itself before that is due then, and never overdue', async (t) => {
  const { server, ctx, key } = await openOwners(t, { env: { ROTATE_EVERY: '0' } })
  const { key: month } = await key({ lifetime: 30 * day })
  const { key: never } = await key()
  t.equal(describeApiKey(ctx, month)['rotation_due_at'], month.expiresAt?.toISOString())
  t.equal(describeApiKey(ctx, never)['rotation_due_at'], undefined)
  server.clock.advance(16 * day)
  await remind(ctx)
  t.match(await noticesOf(server), [{ kind: 'rotation_due', subject: month.id, detail: { days: 14, ends: true } }])
  server.clock.advance(20 * day)
  await remind(ctx)
  t.equal((await noticesOf(server)).length, 1)
  t.same(await dueRotations(ctx), { due: [], overdue: [] })
})

t.test('nobody is reminded of a time that they have just chosen', async (t) => {
  const { server, ctx, key } = await openOwners(t)
  for (const lifetime of [3600, day, 10 * day]) await key({ lifetime })
  await remind(ctx)
  t.same(await noticesOf(server), [])
  server.clock.advance(9 * day)
  await remind(ctx)
  t.match(await noticesOf(server), [{ detail: { days: 1 } }])
})

t.test('after a time in which nobody reminded there is one reminder, the last', async (t) => {
  const { server, ctx, key } = await openOwners(t)
  const { key: near } = await key()
  server.clock.advance(40 * day)
  const { key: far } = await key()
  server.clock.advance(46 * day)
  await remind(ctx)
  const ofKeys = async () => (await noticesOf(server)).filter(({ subject_kind: kind }) => kind === 'api_key')
  t.match(await ofKeys(), [{ subject: near.id, kind: 'rotation_due', detail: { days: 7 } }])
  server.clock.advance(60 * day)
  await remind(ctx)
  const later = (await ofKeys()).slice(1)
  t.equal(later.length, 2)
  for (const { kind } of later) t.equal(kind, 'rotation_overdue')
  t.same(new Set(later.map(({ subject }) => subject)), new Set([near.id, far.id]))
})

t.test('the owner of a signing key is told that its successor needs another key pair', async (t) => {
  const { server, ctx, owner, key } = await openOwners(t)
  const { key: signer } = await key({ kind: 'signing', publicJwk: newPublicJwk() })
  const { key: plain } = await key()
  server.clock.advance(89 * day)
  await remind(ctx)
  const notices = await listNotices(ctx, owner)
  const textOf = (id: string) =>
    noticeText(notices.find(({ subject }) => subject.id === id)!, 'https://as.example').body
  t.match(
    textOf(signer.id),
    new RegExp(`Make a new key pair.*ostiary api-key rotate ${signer.id} --public-key FILE`, 's'),
  )
  t.notMatch(textOf(plain.id), /key pair/)
})

t.test('what was rotated or ended is not due; a client secret is like a key', async (t) => {
  const { server, ctx, api, key } = await openOwners(t)
  const service = await server.createService('read', { client_name: 'Reports' })
  const [rotated, ended, stays] = [await key(), await key(), await key()]
  server.clock.advance(80 * day)
  await rotateApiKey(ctx, rotated.key.id, { by })
  await endApiKey(ctx, ended.key.id, { cause: { ...by, reason: 'test' } })
  const { due } = await dueRotations(ctx)
  t.same(
    new Set(due.map(({ kind, owner, name }) => `${kind} ${owner.kind} ${name}`)),
    new Set([
      'api_key user Test',
      'client_secret client Reports',
      'client_secret client https://api.example resource server',
    ]),
  )
  t.equal(due.find(({ kind }) => kind === 'api_key')?.id, stays.key.id)
  t.equal(due.find(({ name }) => name === 'Reports')?.owner.id, service.clientId)
  t.equal(describeApiKey(ctx, await findApiKey(ctx, rotated.key.id))['rotation_due_at'], undefined)

  await rotateSecret(ctx, service.clientId, { by })
  await remind(ctx)
  const subjects = (await noticesOf(server)).map(({ owner }) => owner)
  t.notOk(subjects.includes(service.clientId), 'neither the old secret nor the new one')
  t.ok(subjects.includes(api.clientId))
  server.clock.advance(15 * day)
  t.match((await dueRotations(ctx)).overdue, [{ dueAt: new Date(stays.key.createdAt.getTime() + 90 * day * 1000) }, {}])
  await sql(server, 'UPDATE client SET disabled_at = now()')
  t.same(
    (await dueRotations(ctx)).overdue.map(({ kind }) => kind),
    ['api_key'],
  )
})

t.test('a tier has its own policy, which holds at once', async (t) => {
  const { server, ctx, key } = await openOwners(t, { env: { ROTATE_EVERY: String(60 * day) } })
  const numbers = { limit: 10, window: 60 }
  await createTier(ctx, 'monthly', { ...numbers, rotateEvery: 30 * day }, by)
  await createTier(ctx, 'lasting', { ...numbers, rotateEvery: 'never' }, by)
  await createTier(ctx, 'plain', numbers, by)
  await t.rejects(createTier(ctx, 'hourly', { ...numbers, rotateEvery: 3600 }, by), { message: /every day at most/ })
  const dues = async () => {
    const { due, overdue } = await dueRotations(ctx)
    return new Map([...overdue, ...due].map(({ id, dueAt }) => [id, dueAt.toISOString()]))
  }
  const keys = [await key(), ...(await Promise.all(['monthly', 'lasting', 'plain'].map((tier) => key({ tier }))))]
  server.clock.advance(50 * day)
  const said = await Promise.all(keys.map(async ({ key: { id } }) => describeApiKey(ctx, await findApiKey(ctx, id))))
  const found = await dues()
  for (const described of said) {
    t.equal(found.get(String(described['id'])), described['rotation_due_at'], String(described['tier']))
  }
  t.same(
    said.map(
      (each) =>
        each['rotation_due_at'] && Date.parse(String(each['rotation_due_at'])) - Date.parse(String(each['created_at'])),
    ),
    [60, 30, undefined, 60].map((days) => days && days * day * 1000),
  )
  await updateTier(ctx, 'monthly', { rotateEvery: 'default' }, by)
  await updateTier(ctx, 'lasting', { limit: 20 }, by)
  const [, monthly, lasting] = keys
  t.equal((await dues()).get(monthly!.key.id), (await dues()).get(keys[0]!.key.id))
  t.notOk((await dues()).has(lasting!.key.id), 'what is not changed stays')
})

t.test('fifty workers at once tell each thing once', async (t) => {
  const { server, ctx, key } = await openOwners(t)
  await sql(server, `INSERT INTO setting VALUES ('notice_destinations', '["mail"]')`)
  const beside = await createTestServer(t, { beside: server })
  for (let n = 0; n < 5; n++) await key()
  server.clock.advance(80 * day)
  await Promise.all(Array.from({ length: 50 }, (_, n) => remind(n % 2 ? ctx : beside.ctx)))
  const told = await noticesOf(server)
  t.equal(told.length, 6, 'five keys, and the secret of the API')
  t.equal(new Set(told.map(({ subject }) => subject)).size, 6)
  t.equal((await server.audit('notice.created')).length, 6)
  const messages = await sql(server, 'SELECT kind, destination, payload FROM outbox')
  t.equal(messages.length, 6)
  const ids = await sql(server, 'SELECT id FROM notice')
  t.same(new Set(messages.map(({ payload }) => payload.notice)), new Set(ids.map(({ id }) => id)))
  t.notOk(JSON.stringify(messages).includes('@'), 'no address waits in the outbox')
})

t.test('all that is due is found page by page, each once', async (t) => {
  const { server, ctx, key } = await openOwners(t)
  const made = []
  for (let n = 0; n < 7; n++) made.push(await key({ lifetime: n % 2 ? 'never' : 95 * day }))
  for (let n = 0; n < 3; n++) await server.createService('read')
  server.clock.advance(88 * day)
  const now = server.clock.now()
  const found: string[] = []
  const options = { now, until: new Date(now.getTime() + 14 * day * 1000), rotateEvery: 90 * day, pageSize: 2 }
  for await (const page of rotations.due(ctx.db, options)) {
    t.ok(page.length <= 2)
    found.push(...page.map(({ id }) => id))
  }
  t.equal(found.length, 7 + 3 + 1)
  t.equal(new Set(found).size, found.length)
  for (const { key: each } of made) t.ok(found.includes(each.id))
})

t.test('a notice is kept for ninety days; what is still so is told once more', async (t) => {
  const { server, ctx, owner, key } = await openOwners(t)
  await key()
  server.clock.advance(91 * day)
  await remind(ctx)
  server.clock.advance(89 * day)
  await remind(ctx)
  t.equal((await listNotices(ctx, owner)).length, 1)
  server.clock.advance(2 * day)
  await remind(ctx)
  t.same(await listNotices(ctx, owner), [])
  await remind(ctx)
  t.match(await listNotices(ctx, owner), [{ kind: 'rotation_overdue', createdAt: server.clock.now() }])
})
