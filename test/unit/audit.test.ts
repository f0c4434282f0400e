import t from 'tap'
import { type AuditTrail, createAuditTrail } from '../../src/audit/index.js'
import type { Logger } from '../../src/platform/log.js'
import type { AuditEvent, Database } from '../../src/store/index.js'
import { TestClock } from '../support/clock.js'
import { SeededRandom } from '../support/random.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Trail {
  readonly trail: AuditTrail
  readonly written: AuditEvent[]
  readonly clock: TestClock
  readonly logs: string[]
}

/** A trail whose database answers each event as the test says. */
function open(answer: (event: AuditEvent) => unknown = () => undefined): Trail {
  const written: AuditEvent[] = []
  const logs: string[] = []
  const clock = new TestClock()
  const db = {
    async run(_statement: unknown, event: AuditEvent) {
      await answer(event)
      written.push(event)
    },
  } as unknown as Database
  const note = (_fields: unknown, message: string) => logs.push(message)
  const log = { warn: note, error: note } as unknown as Logger
  return { trail: createAuditTrail({ db, clock, random: new SeededRandom('audit'), log }), written, clock, logs }
}

const issued = (clientId: string, ip = '192.0.2.1') => ({
  type: 'token.issued',
  actor: `client:${clientId}`,
  clientId,
  ip,
  detail: { scope: 'read' },
})

const away = () => {
  throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
}

t.test('events that are alike are one, with their number and the time of the first', async (t) => {
  const { trail, written, clock } = open()
  const first = clock.now()
  for (let n = 0; n < 1000; n++) {
    trail.count(issued('a'))
    clock.advance(0.001)
  }
  trail.count(issued('b'))
  trail.count(issued('a', '192.0.2.2'))
  trail.count({ ...issued('a'), detail: { scope: 'write' } })
  trail.count({ ...issued('a'), reason: 'another' })
  t.equal(written.length, 0, 'written behind')

  await trail.flush()

  t.same(
    written.map(({ count }) => count),
    [1000, 1, 1, 1, 1],
  )
  t.match(written[0], { ...issued('a'), time: first })
  t.equal(new Set(written.map(({ id }) => id)).size, 5)
  await trail.flush()
  t.equal(written.length, 5, 'and once')
})

t.test('what is counted while it is written is another event', async (t) => {
  let release = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const { trail, written } = open(() => held)
  trail.count(issued('a'))
  const flushed = trail.flush()
  await turn()
  trail.count(issued('a'))
  release()
  await flushed
  await trail.flush()
  t.same(
    written.map(({ count }) => count),
    [1, 1],
  )
})

t.test('after ten failures a minute from one source one counted event stands for the rest', async (t) => {
  const { trail, written, clock } = open()
  const failed = {
    type: 'login.failed',
    actor: 'system',
    reason: 'password_wrong',
    subject: 'ada',
    requestId: 'r',
    ip: '192.0.2.1',
  }
  const byThemselves = (source: string, event = failed) =>
    Array.from({ length: 25 }, () => trail.writesByItself(source, event)).filter(Boolean).length

  t.equal(byThemselves('192.0.2.1'), 10)
  t.equal(byThemselves('192.0.2.2'), 10, 'another source has its own')
  t.equal(byThemselves('192.0.2.1', { ...failed, type: 'client.authentication_failed' }), 10, 'and another kind')
  await trail.flush()
  t.match(written, [
    {
      type: 'login.failed',
      reason: 'password_wrong',
      ip: '192.0.2.1',
      count: 30,
      subject: undefined,
      requestId: undefined,
    },
    { type: 'client.authentication_failed', count: 15 },
  ])

  clock.advance(60)
  t.equal(byThemselves('192.0.2.1'), 10, 'the next minute begins anew')
})

t.test('a database that is away loses nothing: the events wait, and add up', async (t) => {
  let isAway = true
  const { trail, written, logs, clock } = open(() => (isAway ? away() : undefined))
  const first = clock.now()
  for (let round = 0; round < 5; round++) {
    trail.count(issued('a'))
    trail.count(issued(`only in ${round}`))
    await trail.flush()
    clock.advance(1)
  }
  t.equal(written.length, 0)
  t.equal(logs.length, 5)

  isAway = false
  await trail.flush()
  t.equal(written.length, 6)
  t.match(
    written.find(({ clientId }) => clientId === 'a'),
    { count: 5, time: first },
  )
})

t.test('an event that the database refuses keeps no other one', async (t) => {
  const { trail, written, logs } = open((event) => {
    if (event.clientId === 'refused') throw new Error('invalid byte sequence')
  })
  for (const clientId of ['a', 'refused', 'b']) trail.count(issued(clientId))
  await trail.flush()
  t.same(
    written.map(({ clientId }) => clientId),
    ['a', 'b'],
  )
  t.same(logs, ['an audit event cannot be written'])
  await trail.flush()
  t.equal(logs.length, 1, 'nor is it tried for ever')
})

t.test('memory is bounded: past ten thousand kinds they are written early, and no number is lost', async (t) => {
  let isAway = true
  let asked = 0
  const { trail, written } = open(() => {
    asked++
    return isAway ? away() : undefined
  })
  for (let n = 0; n < 30_000; n++) trail.count(issued(`client ${n}`))
  await turn()
  await turn()
  t.ok(asked > 0, 'early, without a flush')
  await trail.flush()
  isAway = false
  asked = 0
  await trail.flush()
  await trail.flush()

  t.ok(written.length <= 10_001, `${written.length} events`)
  t.equal(
    written.reduce((sum, { count = 1 }) => sum + count, 0),
    30_000,
  )
  t.match(
    written.find(({ reason }) => reason === 'many'),
    { type: 'token.issued', actor: 'system', clientId: undefined },
  )
})

t.test('sources are bounded too', async (t) => {
  const { trail } = open()
  const failed = { type: 'login.failed', actor: 'system' }
  let byThemselves = 0
  for (let n = 0; n < 50_000; n++) if (trail.writesByItself(`source ${n}`, failed)) byThemselves++
  t.equal(byThemselves, 50_000)
})
