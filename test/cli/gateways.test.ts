import t from 'tap'
import { createCommandLine } from '../support/command.js'
import { createTestServer } from '../support/server.js'

const server = await createTestServer(t)
const identifier = 'https://orders.example'
await server.createResource(identifier, 'read write', { acceptsBasic: true })
const { run } = createCommandLine(t, { url: server.databaseUrl })
server.clock.set(new Date())

async function json(args: readonly string[]) {
  const result = await run(['gateway', ...args, '--json'])
  t.match(result, { status: 0 }, result.stderr)
  return result.json()
}

const basics = ['--audience', identifier, '--scope', 'read']

t.test('a gateway is registered, shown, changed and deleted', async (t) => {
  const made = await json(['create', 'orders', ...basics, '--forwards-address'])
  const { client_secret: secret, ...described } = made
  t.match(secret, /^[\w-]{43}$/)
  t.match(described, {
    name: 'orders',
    audience: identifier,
    scope: 'read',
    accept: ['access-token', 'api-key'],
    token_lifetime: 60,
    forwards_address: true,
  })
  t.same(await json(['show', 'orders']), described, 'the secret is never shown again')
  t.same(await json(['list']), [described])

  const changes = ['--scope', 'write read', '--accept', 'basic', '--token-lifetime', '30', '--no-forwards-address']
  t.match(await json(['update', 'orders', ...changes]), {
    audience: identifier,
    scope: 'write read',
    accept: ['basic'],
    token_lifetime: 30,
    forwards_address: false,
    client_id: made.client_id,
  })
  t.match(await run(['client', 'delete', made.client_id]), { status: 1, stderr: /delete that gateway/ })
  t.match(await run(['resource', 'delete', identifier]), { status: 1, stderr: /The gateway orders is for/ })
  t.match(await run(['client', 'update', made.client_id, '--public']), { status: 1, stderr: /gateway orders/ })

  t.match(await json(['rotate-secret', 'orders', '--now']), { client_id: made.client_id, overlap: 0 })
  t.match(await json(['delete', 'orders']), { deleted: true, client_id: made.client_id })
  t.match(await run(['client', 'show', made.client_id]), { status: 1, stderr: /There is no client/ })
  t.match(await run(['gateway', 'show', 'orders']), { status: 1, stderr: /There is no gateway "orders"/ })
  t.same(
    (await server.audit()).filter(({ type }) => type.startsWith('gateway.')).map(({ type, actor }) => [type, actor]),
    ['created', 'updated', 'deleted'].map((what) => [`gateway.${what}`, 'operator']),
  )
})

t.test('a gateway takes passwords for an API that has Basic on', async (t) => {
  const strict = 'https://strict.example'
  await server.createResource(strict, 'read')
  const create = ['gateway', 'create', 'strict', '--audience', strict, '--scope', 'read', '--accept', 'basic']
  const command = `ostiary resource update ${strict} --accepts-basic`
  t.match(await run(create), { status: 1, stderr: `${strict} has Basic off: \`${command}\` switches it on.` })
  t.match(await run(command.split(' ').slice(1)), { status: 0 })
  t.match(await run(create), { status: 0 })
  t.match(await run(['resource', 'update', strict, '--no-accepts-basic']), {
    status: 0,
    stderr: /warning: The gateway strict is registered for passwords, and refuses them from now on\./,
  })
  t.match(await json(['update', 'strict', '--token-lifetime', '30']), { accept: ['basic'] }, 'the rest can be changed')
})

t.test('what no gateway can be is refused, and says why', async (t) => {
  t.match(await run(['gateway', 'create', 'Orders', ...basics]), { status: 1, stderr: /The name is not/ })
  t.match(await run(['gateway', 'create', 'a/b', ...basics]), { status: 1, stderr: /The name is not/ })
  for (const [args, stderr] of [
    [['--audience', 'https://other.example', '--scope', 'read'], /There is no resource/],
    [['--audience', identifier, '--scope', 'other'], /does not have the scope other/],
    [['--audience', identifier, '--scope', ''], /at least one scope/],
    [[...basics, '--accept', 'cookie'], /accepts access-token, api-key, basic; not cookie/],
  ] as const) {
    t.match(await run(['gateway', 'create', 'bad', ...args]), { status: 1, stderr })
  }
  t.match(await run(['gateway', 'create', 'bad', ...basics, '--token-lifetime', '61']), { status: 2 })
  t.match(await run(['gateway', 'create', 'bad', '--scope', 'read']), { status: 2, stderr: /--audience IDENTIFIER/ })
  await json(['create', 'taken', ...basics])
  t.match(await run(['gateway', 'create', 'taken', ...basics]), { status: 1, stderr: /a gateway taken already/ })
})

t.test('without the addresses of callers it warns of what that means', async (t) => {
  t.match(await run(['gateway', 'create', 'blind', ...basics, '--accept', 'basic']), {
    status: 0,
    stderr: /does not say the addresses of its callers.*whoever guesses keeps others out/s,
  })
})
