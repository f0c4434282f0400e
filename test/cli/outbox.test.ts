import t from 'tap'
import { outbox } from '../../src/store/index.js'
import { createCommandLine } from '../support/command.js'
import { createTestServer, sql } from '../support/server.js'

const [one, two] = ['https://one.example/events', 'https://two.example/events'] as const
const server = await createTestServer(t, { now: new Date() })
// Whoever revokes by the command line needs no setting: the process that delivers says who hears of it.
await sql(server, `INSERT INTO setting VALUES ('revocation_receivers', $1)`, [JSON.stringify([one, two])])
const { run } = createCommandLine(t, { url: server.databaseUrl })
const service = await server.createService()

t.test('nothing waits', async (t) => {
  t.match(await run(['outbox', 'list']), { status: 0, stdout: 'Nothing waits.\n' })
  t.same((await run(['outbox', 'list', '--json'])).json(), { total: 0, messages: [] })
  t.match(await run(['outbox', 'retry', '--all']), { status: 0, stdout: 'Nothing waits.\n' })
})

t.test('what waits, for whom and why', async (t) => {
  t.match(await run(['revoke', '--client', service.clientId]), { status: 0 })
  const { db } = server.ctx
  const now = new Date()
  const claim = { kind: 'revocation', destination: one, now, until: new Date(now.getTime() + 30_000), limit: 10 }
  const [message] = await outbox.claim(db, claim)
  const next = new Date(now.getTime() + 300_000)
  await outbox.postpone(db, message!, next, 'status_503')

  const { total, messages } = (await run(['outbox', 'list', '--json'])).json()
  t.equal(total, 2)
  t.match(messages, [
    {
      id: message!.id,
      kind: 'revocation',
      destination: one,
      state: 'waits',
      attempts: 1,
      next_attempt_at: next.toISOString(),
      last_error: 'status_503',
      payload: { kind: 'client', target: service.clientId },
    },
    { destination: two, attempts: 0 },
  ])
  const text = (await run(['outbox', 'list'])).stdout
  t.match(text, /^MESSAGE +KIND +TO +SINCE +STATE +TRIED +NEXT +WHY\n/)
  t.match(text, /revocation +https:\/\/one\.example\/events .* waits +1 .* status_503\n/)
  t.match((await run(['outbox', 'list', '--limit', '1'])).stdout, /\n1 more wait; --limit shows them\.\n$/)
  t.match((await run(['outbox', 'list', '--to', two, '--json'])).json(), { total: 1, messages: [{ destination: two }] })

  await outbox.claim(db, { ...claim, destination: two })
  t.match((await run(['outbox', 'list', '--to', two, '--json'])).json(), { messages: [{ state: 'under way' }] })
})

t.test('retry makes due what waits', async (t) => {
  const { messages } = (await run(['outbox', 'list', '--to', one, '--json'])).json()
  const [{ id }] = messages
  t.same((await run(['outbox', 'retry', '--id', id, '--json'])).json(), { due: 1 })
  const [due] = (await run(['outbox', 'list', '--to', one, '--json'])).json().messages
  t.ok(Date.parse(due.next_attempt_at) <= Date.now())
  t.match(await run(['outbox', 'retry', '--to', one]), { status: 0, stdout: 'One message is due now.\n' })
  t.match(await run(['outbox', 'retry', '--all']), { status: 0, stdout: '2 messages are due now.\n' })

  t.match(await run(['outbox', 'retry']), { status: 2, stderr: /One of --id, --to, --all is missing/ })
  t.match(await run(['outbox', 'retry', '--id', 'x']), { status: 2 })
  const unknown = '00000000-0000-4000-8000-000000000000'
  t.match(await run(['outbox', 'retry', '--id', unknown]), { status: 1, stderr: /No message .* waits/ })
})
