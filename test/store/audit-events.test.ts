import t from 'tap'
import { newEvent } from '../../src/audit/index.js'
import { revoke } from '../../src/revocation/index.js'
import { auditEvents } from '../../src/store/index.js'
import { createTestServer } from '../support/server.js'

const server = await createTestServer(t)
const { ctx, clock } = server

t.test('an event is read as it was written, by whichever way', async (t) => {
  const full = {
    type: 'way.full',
    actor: 'client:c',
    clientId: 'c',
    subject: ctx.random.uuid(),
    grantId: ctx.random.uuid(),
    ip: '2001:db8::1',
    requestId: 'r-1',
    reason: 'because',
    detail: { list: ['a', '"quoted"', '{}'], number: 1 },
    count: 3,
  }
  const bare = { type: 'way.bare', actor: 'system' }
  const events = [full, bare].flatMap((event) => Array.from({ length: 3 }, () => newEvent(ctx, event)))
  const [one, two, three, four, five, six] = events
  if (!one || !two || !three || !four || !five || !six) return
  await Promise.all([one, two, four, five].map((event) => auditEvents.add(ctx.db, event)))
  await ctx.db.transaction(async (tx) => {
    await auditEvents.create(tx, three)
    await auditEvents.create(tx, six)
  })
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)
  t.same(
    (await auditEvents.list(ctx.db, { type: 'way.full', limit: 10 })).toSorted(byId),
    [one, two, three].toSorted(byId),
  )
  t.match(await auditEvents.list(ctx.db, { type: 'way.bare', limit: 10 }), [
    { count: 1, detail: undefined, reason: undefined },
    { count: 1 },
    { count: 1 },
  ])
})

t.test('an event stands or falls with its transaction', async (t) => {
  const event = newEvent(ctx, { type: 'fallen', actor: 'system' })
  await t.rejects(
    ctx.db.transaction(async (tx) => {
      await auditEvents.create(tx, event)
      throw new Error('changed my mind')
    }),
    /changed my mind/,
  )
  t.same(await auditEvents.list(ctx.db, { type: 'fallen', limit: 10 }), [])
})

t.test('the newest that match are listed, oldest first', async (t) => {
  for (let index = 0; index < 5; index++) {
    clock.advance(86_400)
    const event = { type: 'many.x', actor: 'system', clientId: index % 2 ? 'odd' : 'even', detail: { index } }
    await auditEvents.add(ctx.db, newEvent(ctx, event))
  }
  const indexes = async (filter: object): Promise<unknown[]> =>
    (await auditEvents.list(ctx.db, { type: 'many', limit: 100, ...filter })).map(({ detail }) => detail?.index)
  t.same(await indexes({}), [0, 1, 2, 3, 4])
  t.same(await indexes({ limit: 2 }), [3, 4])
  t.same(await indexes({ clientId: 'odd' }), [1, 3])
  t.same(await indexes({ since: new Date(clock.now().getTime() - 86_400_000) }), [3, 4])
  t.same(await indexes({ until: new Date(clock.now().getTime() - 86_400_000) }), [0, 1, 2, 3])
  t.same(await indexes({ subject: 'nobody' }), [])
})

t.test('a revocation writes its event', async (t) => {
  const cause = { actor: 'operator', reason: 'test', origin: { ip: '192.0.2.1' } }
  await revoke(ctx, { kind: 'token', jti: 'j', clientId: 'c', audience: 'a', expiresAt: server.clock.now() }, cause)
  t.match(await auditEvents.list(ctx.db, { type: 'token.revoked', limit: 10 }), [
    { actor: 'operator', reason: 'test', ip: '192.0.2.1', clientId: 'c', detail: undefined },
  ])
})
