import t from 'tap'
import { createApiKey, reportExposed, rotateApiKey } from '../../src/api-keys/index.js'
import { createCommandLine } from '../support/command.js'
import { createTestServer, sql } from '../support/server.js'

const by = { actor: 'operator' }
const api = 'https://api.example'
const server = await createTestServer(t)
const { ctx, clock } = server
await server.createResource(api, 'read write delete')
const client = await server.createService('read write delete')
const { run } = createCommandLine(t, { url: server.databaseUrl })
// Commands go by the clock of the machine.
const today = new Date()
const days = (count: number) => new Date(today.getTime() - count * 86_400_000)
const owner = { kind: 'client', id: client.clientId } as const

/** Its client is older: the clock of a test begins months ago. */
async function makeKey(name: string, createdAt: Date, scope = ['read', 'write']) {
  clock.set(createdAt)
  const { key } = await createApiKey(ctx, { owner, name, scope, lifetime: 'never' }, by)
  return key
}

function use(credential: string, at: Date, from: string | undefined, more: object = {}) {
  const whose = { kind: 'api_key', credential, api, scope: 'read', outcome: 'accepted' } as const
  ctx.usage.record({ ...whose, at, from, ...more })
}

async function json(...args: readonly string[]) {
  const result = await run(['api-key', ...args, '--json'])
  t.match(result, { status: 0 }, result.stderr)
  return result.json()
}

t.test('while uses are not counted for 90 days, no scope is called unused', async (t) => {
  const key = await makeKey('Early', days(200))
  t.match(await json('status'), { rotated: [], exposed: [], removable: [], counted_since: undefined })
  use(key.id, days(60), undefined)
  await ctx.usage.flush()
  t.match(await json('status'), { removable: [] })
  await sql(server, 'DELETE FROM usage_count')
  await sql(server, 'DELETE FROM usage_network')
  await sql(server, 'DELETE FROM api_key')
})

t.test('status: who is still on the old key, what is exposed, which scopes nobody uses', async (t) => {
  const [old, young, silent, exposed] = [
    await makeKey('Import', days(100)),
    await makeKey('Young', days(10)),
    await makeKey('Silent', days(100)),
    await makeKey('Shown', days(5), ['read']),
  ]
  use(old.id, days(95), '198.51.100.0/24', { scope: 'read write' })
  use(old.id, days(3), '198.51.100.0/24')
  // An API that asks and reports nothing: which scopes were used there, nobody knows.
  use(silent.id, days(1), undefined, { scope: '', outcome: 'introspected' })
  clock.set(days(2))
  const { key: successor } = await rotateApiKey(ctx, old.id, { by })
  use(old.id, days(1), '192.0.2.0/24', { superseded: true, count: 4 })
  use(old.id, days(0.5), '2001:db8::/64', { superseded: true })
  use(successor.id, days(1), '192.0.2.0/24', { count: 2 })
  await ctx.usage.flush()
  clock.set(today)
  await reportExposed(ctx, exposed.id, { by, where: 'address' })

  const status = await json('status', '--owner', client.clientId)
  t.match(status, {
    rotated: [
      {
        ...{ id: old.id, successor: successor.id, uses: 5, successor_uses: 2, last_used_at: days(0.5).toISOString() },
        callers: [
          { network: '192.0.2.0/24', api, count: 4 },
          { network: '2001:db8::/64', api, count: 1 },
        ],
      },
    ],
    exposed: [{ id: exposed.id, exposed_at: today.toISOString() }],
  })
  t.same(
    status.removable.map(({ kind, id, scope }: { kind: string; id: string; scope: string }) => [kind, id, scope]),
    [
      ['api_key', old.id, 'write'],
      ['client', client.clientId, 'delete'],
    ],
    'neither of the young, nor of an API that does not say; and a client keeps what its keys have',
  )
  t.notOk(status.removable.some(({ id }: { id: string }) => id === young.id))
  const text = (await run(['api-key', 'status'])).stdout
  t.match(text, /Still on it:\n[\s\S]*192\.0\.2\.0\/24 +https:\/\/api\.example +4 /)
  t.match(text, /Exposed, and to be replaced:/)
  t.match((await run(['api-key', 'list'])).stdout, /live, exposed/)
  t.match((await run(['api-key', 'show', exposed.id])).stdout, /exposed +\S+ \S+: replace it/)
})

t.test('usage: by day and hour, API, scope, outcome and network', async (t) => {
  const key = await makeKey('Used', days(4))
  clock.set(today)
  use(key.id, days(2), '192.0.2.0/24', { scope: 'read write', count: 3 })
  use(key.id, days(1), undefined, { outcome: 'insufficient_scope' })
  await ctx.usage.flush()
  t.match(await json('usage', key.id, '--since', '30d'), {
    id: key.id,
    uses: [
      { api, outcome: 'accepted', count: 3, scopes: { read: 3, write: 3 } },
      { outcome: 'insufficient_scope', count: 1 },
    ],
    networks: [{ network: '192.0.2.0/24', count: 3 }, { network: 'unknown' }],
  })
  t.match((await json('usage', key.id, '--since', '36h', '--hours')).uses, [{ outcome: 'insufficient_scope' }])
  t.match(await run(['api-key', 'usage', key.id]), { status: 0, stdout: /accepted +3 +read 3, write 3\n/ })
  t.match(await run(['api-key', 'usage', key.id, '--since', '1y']), { status: 2, stderr: /at most 90d/ })
  const unused = await makeKey('Unused', days(1))
  t.match(await run(['api-key', 'usage', unused.id]), { stdout: /It was not used since/ })
})
