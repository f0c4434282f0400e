import t, { type Test } from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { revoke } from '../../src/revocation/index.js'
import { makeFolder, type RunningProcess, startProcess, waitFor } from '../support/process.js'
import { hang, openReceiver } from '../support/receiver.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'
import { claimsOf } from '../support/tokens.js'

const masterKey = Buffer.alloc(32, 7).toString('base64')

/** `ostiary work`: the one process that has the setting, and its credential. */
async function startWorker(t: Test, server: TestServer, url: string): Promise<RunningProcess> {
  const worker = startProcess(t, {
    args: ['work'],
    cwd: await makeFolder(t),
    env: {
      DATABASE_URL: server.databaseUrl,
      MASTER_KEY: masterKey,
      REVOCATION_RECEIVERS: url,
      REVOCATION_RECEIVER_TOKENS: 'secret',
    },
  })
  await waitFor(() => worker.stdout().includes('background jobs run'), 60, 'the worker did not start')
  return worker
}

const revokeClient = ({ ctx }: TestServer, clientId: string) =>
  revoke(ctx, { kind: 'client', clientId }, { actor: 'operator', reason: 'test' })

t.test('kill -9 of the worker between claim and delivery: another delivers it again, by the same jti', async (t) => {
  const receiver = await openReceiver(t)
  const server = await createTestServer(t, { now: new Date() })
  receiver.answer(hang)
  const worker = await startWorker(t, server, receiver.url)
  // Here nobody has the setting: the worker has said who hears of it, and a notification wakes it.
  await revokeClient(server, 'one')
  await receiver.arrived(1)
  worker.child.kill('SIGKILL')
  await worker.ended
  t.match(await sql(server, 'SELECT attempts, last_error FROM outbox'), [{ attempts: 1, last_error: null }])

  receiver.answer(202)
  const other = await createTestServer(t, { beside: server, env: { REVOCATION_RECEIVERS: receiver.url } })
  const delivery = createDelivery(other.ctx)
  t.teardown(() => delivery.stop())
  await delivery.look()
  await delivery.idle()
  t.equal(receiver.received.length, 1, 'not while it may still be under way')
  server.clock.set(new Date(Date.now() + 31_000))
  await delivery.look()
  await delivery.idle()
  t.same(await sql(server, 'SELECT FROM outbox'), [])
  t.equal(receiver.received.length, 2)
  const [first, second] = receiver.received.map(({ body }) => claimsOf(body))
  t.equal(second?.['jti'], first?.['jti'])
})

t.test('what came while no worker ran is delivered when one starts; one that is told to stop lets go', async (t) => {
  const receiver = await openReceiver(t)
  const server = await createTestServer(t, { now: new Date() })
  const first = await startWorker(t, server, receiver.url)
  first.child.kill('SIGTERM')
  t.same(await first.ended, { code: 0, signal: null })
  await revokeClient(server, 'one')
  t.equal(receiver.received.length, 0)

  const second = await startWorker(t, server, receiver.url)
  await receiver.arrived(1)
  t.equal(receiver.received[0]?.headers.authorization, 'Bearer secret')
  receiver.answer(hang)
  await revokeClient(server, 'two')
  await receiver.arrived(2)
  second.child.kill('SIGTERM')
  t.same(await second.ended, { code: 0, signal: null })
  t.match(await sql(server, 'SELECT payload, claimed_until FROM outbox'), [
    { payload: { target: 'two' }, claimed_until: null },
  ])
})
