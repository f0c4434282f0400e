import t from 'tap'
import { createApiKey, reportExposed, rotateApiKey } from '../../src/api-keys/index.js'
import { rotateSecret } from '../../src/clients/index.js'
import { createCommandLine } from '../support/command.js'
import { basicOf, createTestServer, send, sql } from '../support/server.js'

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

t.test('status: which clients still use a secret that was rotated, and from where', async (t) => {
  clock.set(days(3))
  const [moved, staying, other] = [
    await server.createService('read'),
    await server.createService('read', { client_name: 'Import' }),
    await server.createService('read'),
  ]
  const authenticate = async (basic: string, remoteAddress: string) => {
    const headers = { authorization: basic, 'content-type': 'application/x-www-form-urlencoded' }
    const request = { method: 'POST', url: '/token', headers, payload: 'grant_type=client_credentials', remoteAddress }
    t.equal((await send(server.app, { ...request, method: 'POST' })).statusCode, 200)
  }
  for (const { basic } of [moved, staying, other]) await authenticate(basic, '203.0.113.9')
  await ctx.clientUse.flush()
  clock.set(days(2))
  const overlap = 7 * 86_400
  const [ofMoved, ofStaying] = [
    await rotateSecret(ctx, moved.clientId, { overlap, by }),
    await rotateSecret(ctx, staying.clientId, { overlap, by }),
  ]
  await rotateSecret(ctx, other.clientId, { overlap: 0, by })
  clock.set(days(1))
  await authenticate(basicOf(moved.clientId, ofMoved.clientSecret), '192.0.2.1')
  await authenticate(staying.basic, '192.0.2.1')
  await authenticate(staying.basic, '192.0.2.2')
  await authenticate(staying.basic, '2001:db8::7')
  await Promise.all([ctx.clientUse.flush(), ctx.usage.flush()])
  clock.set(today)

  const idOf = async (clientId: string, is: string) =>
    (await sql(server, `SELECT id FROM client_secret WHERE client_id = $1 AND expires_at IS ${is}`, [clientId]))[0].id
  const { rotated_secrets: secrets } = await json('status')
  t.match(
    secrets.toSorted((one: { uses: number }, another: { uses: number }) => one.uses - another.uses),
    [
      {
        ...{ client_id: moved.clientId, uses: 0, last_used_at: undefined, callers: [] },
        successor_last_used_at: days(1).toISOString(),
      },
      {
        ...{ id: await idOf(staying.clientId, 'NOT NULL'), client_id: staying.clientId, name: 'Import', uses: 3 },
        ...{ rotated_at: days(2).toISOString(), ends_at: days(-5).toISOString(), last_used_at: days(1).toISOString() },
        callers: [
          { network: '192.0.2.0/24', count: 2 },
          { network: '2001:db8::/64', count: 1 },
        ],
        ...{ successor: await idOf(staying.clientId, 'NULL'), successor_last_used_at: undefined },
      },
    ],
  )
  t.equal(secrets.length, 2, 'none that ended at once')
  t.notOk(JSON.stringify(secrets).includes(ofStaying.clientSecret))
  t.match((await json('status', '--owner', moved.clientId)).rotated_secrets, [{ client_id: moved.clientId }])
  const { email } = await server.createUser('bea@example.com')
  t.match(await json('status', '--owner', email), { rotated_secrets: [] })
  const { stdout } = await run(['api-key', 'status', '--owner', staying.clientId])
  t.match(stdout, /\(Import\)\n[\s\S]*new one +never used\n {2}Still on it:\n[\s\S]*192\.0\.2\.0\/24 /)
  t.match((await run(['api-key', 'status', '--owner', moved.clientId])).stdout, /Nobody uses it any more/)
  t.match((await run(['api-key', 'status', '--owner', other.clientId])).stdout, /No client secret has a successor/)
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
