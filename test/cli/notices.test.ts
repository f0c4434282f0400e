import t from 'tap'
import { remind } from '../../src/jobs/index.js'
import { createCommandLine } from '../support/command.js'
import { day } from '../support/notices.js'
import { createTestServer } from '../support/server.js'

// Commands go by the clock of the machine: what is due now was made long ago.
const server = await createTestServer(t, { now: new Date(Date.now() - 80 * day * 1000) })
await server.createResource('https://api.example', 'read')
const user = await server.createUser()
const service = await server.createService('read', { client_name: 'Reports' })
const { run } = createCommandLine(t, { url: server.databaseUrl })

async function json(...args: readonly string[]) {
  const result = await run([...args, '--json'])
  t.match(result, { status: 0 }, result.stderr)
  return result.json()
}

t.test('a tier says how often its keys are rotated', async (t) => {
  const numbers = ['--limit', '10', '--window', '60']
  t.match(await json('tier', 'create', 'monthly', ...numbers, '--rotate-every', '30d'), { rotate_every: 30 * day })
  t.match(await json('tier', 'create', 'plain', ...numbers), { rotate_every: undefined })
  t.match(await json('tier', 'update', 'plain', '--rotate-every', 'never'), { rotate_every: 'never', limit: 10 })
  t.match((await run(['tier', 'list'])).stdout, /monthly .* 30 days\nplain .* never\n/)
  t.match((await run(['tier', 'show', 'monthly'])).stdout, / rotate every +30 days\n/)
  t.match(await json('tier', 'update', 'plain', '--rotate-every', 'default'), { rotate_every: undefined })
  t.match(await run(['tier', 'update', 'plain', '--rotate-every', '5m']), { status: 1, stderr: /every day at most/ })
  t.match(await run(['tier', 'update', 'plain', '--rotate-every', 'often']), { status: 2, stderr: /--rotate-every/ })
})

t.test('the policy, what is due and what is overdue; what owners were told', async (t) => {
  t.same((await json('notice', 'list')).length, 0)
  t.match(await run(['notice', 'list']), { stdout: 'There is no such notice.\n' })
  const make = ['api-key', 'create', '--owner', user.email, '--scope', 'read']
  const made = await json(...make, '--name', 'Short', '--expires', '10d')
  await json(...make, '--name', 'Long')
  await json('client', 'update', service.clientId, '--rate-tier', 'monthly')
  const { policies, due, overdue } = await json('api-key', 'policy')
  t.same(policies, [
    { rotate_every: 90 * day },
    { tier: 'monthly', rotate_every: 30 * day },
    { tier: 'plain', rotate_every: 90 * day },
  ])
  t.match(overdue, [
    {
      kind: 'client_secret',
      owner: { kind: 'client', id: service.clientId },
      name: 'Reports',
      tier: 'monthly',
      ends: false,
    },
  ])
  t.match(due, [{ kind: 'client_secret' }, {}])
  t.match(
    due.find(({ kind }: { kind: string }) => kind === 'api_key'),
    { id: made.id, owner: { kind: 'user', id: user.id }, name: 'Short', due_at: made.rotation_due_at, ends: true },
  )
  const { stdout } = await run(['api-key', 'policy'])
  t.match(stdout, /^TIER +ROTATE EVERY\n\(none\) +90 days\nmonthly +30 days\n/)
  t.match(stdout, /\nOverdue:\nDUE +WHAT +NAME +OWNER +ID\n.* client secret +Reports +client /)
  t.match(stdout, /\nDue within 14 days:\n(?:.*\n)*.* API key, ends +Short +user /)

  server.clock.set(new Date())
  await server.refresh()
  await remind(server.ctx)
  const told = await json('notice', 'list', '--owner', service.clientId)
  t.match(told, [{ kind: 'rotation_overdue', subject: { kind: 'client_secret' }, name: 'Reports' }])
  t.match(told[0].text, `The client secret of “Reports” (${service.clientId}) should have been rotated on `)
  t.match((await run(['notice', 'list', '--limit', '1'])).stdout, /^TIME +KIND +OWNER +NOTICE\n[^\n]+\n$/)
})
