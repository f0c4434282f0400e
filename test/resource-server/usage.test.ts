import t from 'tap'
import { apiKey, basic, bearer, signature } from '../../packages/resource-server/src/index.js'
import { createUsage } from '../../packages/resource-server/src/usage.js'
import { endApiKey, findApiKey, listApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { usage } from '../../src/store/index.js'
import { adoptionOf } from '../../src/usage/index.js'
import { audience } from './support/issuer.js'
import { by, cause, openApi, openKeyScene, withKey } from './support/keys.js'
import { TestPlatform, until } from './support/platform.js'
import { origin } from './support/signed.js'

t.setTimeout(180_000)

const key = { kind: 'api_key', id: 'k'.repeat(16), superseded: false } as const
const use = { outcome: 'accepted', scope: 'read', address: '192.0.2.1' } as const

/** What is sent to a server of the test's own, which answers with this status. */
function openReports() {
  const platform = new TestPlatform()
  const sent: URLSearchParams[] = []
  const warnings: string[] = []
  const dropped: true[] = []
  let status = 202
  const reports = createUsage({
    platform: {
      now: platform.now,
      monotonic: platform.monotonic,
      random: platform.random,
      setTimer: platform.setTimer,
      fetch: async (_, { body }) => {
        sent.push(new URLSearchParams(String(body)))
        return new Response('{}', { status })
      },
    },
    endpoint: 'https://server.example/usage',
    serviceToken: { get: async () => 'token', drop: () => void dropped.push(true) },
    warn: (message) => warnings.push(message),
  })
  t.teardown(() => reports.close())
  const settled = (count: number) => until(`${count} reports were sent`, () => sent.length >= count)
  return {
    ...{ platform, sent, warnings, dropped, reports, settled },
    answer: (next: number) => {
      status = next
    },
  }
}

t.test('a thousand uses are one line of one report, after ten seconds', async (t) => {
  const { platform, sent, reports, settled } = openReports()
  for (let turn = 0; turn < 1_000; turn++) reports.count(key, { ...use, address: `192.0.2.${turn % 250}` })
  reports.count({ ...key, superseded: true }, { ...use, scope: '', address: undefined })
  platform.advance(9_999)
  t.equal(sent.length, 0)
  platform.advance(1)
  await settled(1)
  t.same(sent[0]?.getAll('use'), [
    `api_key ${key.id} accepted 1000 10 0 192.0.2.0/24 read`,
    `api_key ${key.id} accepted 1 10 1 -`,
  ])
  t.notMatch(String(sent[0]), /192\.0\.2\.[1-9]/, 'no address leaves the process')
  platform.advance(60_000)
  t.equal(platform.timers, 0, 'who has nothing to say waits for nothing')
})

t.test('what is left is sent when the API closes, in reports that the server takes', async (t) => {
  const { sent, reports } = openReports()
  for (let turn = 0; turn < 250; turn++) reports.count({ ...key, id: `k${turn}` }, use)
  await reports.close()
  t.same(
    sent.map((form) => form.getAll('use').length),
    [100, 100, 50],
  )
  const long = openReports()
  const scope = Array.from({ length: 100 }, (_, n) => `scope:${n}`).join(' ')
  for (let turn = 0; turn < 100; turn++) long.reports.count({ ...key, id: `k${turn}` }, { ...use, scope })
  await long.reports.close()
  t.ok(long.sent.length > 1)
  t.ok(long.sent.every((form) => String(form).length < 65_536))
})

t.test('while the server is away memory is bounded and nothing is lost; it is said once', async (t) => {
  const { platform, sent, warnings, dropped, reports, settled, answer } = openReports()
  answer(503)
  for (let turn = 0; turn < 20_000; turn++) reports.count({ ...key, id: `k${turn}` }, use)
  void reports.expose('e'.repeat(16))
  platform.advance(1_000)
  await settled(1)
  answer(401)
  await until('it waits again', () => platform.timers > 0)
  platform.advance(10_000)
  await settled(2)
  await until('it waits again', () => platform.timers > 0)
  t.equal(warnings.length, 1)
  t.equal(dropped.length, 1, 'the next attempt takes a new token')
  answer(202)
  await reports.close()
  const taken = sent.slice(2)
  const uses = taken.flatMap((form) => form.getAll('use'))
  const uncounted = taken.reduce((sum, form) => sum + Number(form.get('uncounted') ?? 0), 0)
  t.equal(uses.length, 5_000)
  t.equal(uses.length + uncounted, 20_000)
  t.same(
    taken.flatMap((form) => form.getAll('exposed')),
    ['e'.repeat(16)],
  )
})

t.test(
  'one credential with many networks pushes out nothing of others; past a hundred they are not told apart',
  async (t) => {
    const { platform, sent, reports, settled, answer } = openReports()
    answer(503)
    const network = (n: number) => `10.${n >> 8}.${n & 255}.1`
    for (let turn = 0; turn < 3_000; turn++)
      reports.count({ ...key, id: 'rotating' }, { ...use, address: network(turn) })
    platform.advance(10_000)
    await settled(1)
    await until('it waits again', () => platform.timers > 0)
    for (let turn = 3_000; turn < 6_000; turn++) {
      reports.count({ ...key, id: 'rotating' }, { ...use, address: network(turn) })
    }
    reports.count({ ...key, id: 'other' }, use)
    answer(202)
    await reports.close()
    const taken = sent.slice(1)
    const lines = taken.flatMap((form) => form.getAll('use').map((line) => line.split(' ')))
    const rotating = lines.filter(([, id]) => id === 'rotating')
    t.equal(rotating.length, 101, 'also of several reports that wait')
    t.equal(
      rotating.reduce((sum, [, , , count]) => sum + Number(count), 0),
      6_000,
    )
    t.equal(Number(rotating.find(([, , , , , , from]) => from === '-')?.[3]), 5_900)
    t.match(
      lines.filter(([, id]) => id === 'other'),
      [['api_key', 'other', 'accepted', '1']],
    )
    t.ok(taken.every((form) => form.get('uncounted') === null))
  },
)

t.test('what the server does not understand is not sent for ever', async (t) => {
  const { platform, sent, reports, settled, answer } = openReports()
  answer(400)
  reports.count(key, use)
  platform.advance(10_000)
  await settled(1)
  answer(202)
  await reports.close()
  t.equal(sent.length, 1)
})

t.test('attack 113: an exposed key counts as told when the server has taken it, and not before', async (t) => {
  const { platform, sent, reports, settled, answer } = openReports()
  const exposedIn = (form: URLSearchParams | undefined) => form?.getAll('exposed') ?? []
  answer(400)
  const taken = reports.expose('refused twice')
  t.equal(reports.expose('refused twice'), taken, 'it waits once')
  platform.advance(1_000)
  await settled(1)
  await until('it waits again', () => platform.timers > 0)
  platform.advance(10_000)
  await settled(2)
  await until('it waits again', () => platform.timers > 0)
  answer(202)
  platform.advance(10_000)
  t.equal(await taken, true)
  t.same(sent.map(exposedIn), [['refused twice'], ['refused twice'], ['refused twice']])

  answer(404)
  const never = reports.expose('never taken')
  for (let turn = 4; turn <= 6; turn++) {
    await until('it waits', () => platform.timers > 0)
    platform.advance(10_000)
    await settled(turn)
  }
  t.equal(await never, false, 'not for ever')

  answer(503)
  const many = Array.from({ length: 100 }, (_, n) => reports.expose(`waiting ${n}`))
  t.equal(await reports.expose('one too many'), false, 'it may be shown again')
  platform.advance(1_000)
  await settled(7)
  t.equal(await reports.expose('one too many'), false, 'what is under way has its room')
  answer(202)
  await reports.close()
  t.same(new Set(await Promise.all(many)), new Set([true]))
  t.equal(await reports.expose('too late'), false)
})

t.test('who is still on a key that was rotated is seen, and from where', async (t) => {
  const scene = await openKeyScene(t)
  const { server, make, owner, service } = scene
  const { ctx } = server
  const schemes = [bearer, apiKey(), basic({ behindProxy: true }), signature({ origin })]
  const { api, platform, heard } = await openApi(t, scene, { schemes })
  const old = await make()
  const from = (text: string, ip: string) => ({ ...withKey(text), ip })
  const read = { scopes: ['orders:read'] }
  await api.check(from(old.text, '203.0.113.5'), read)
  const { key: successor, text: next = '' } = await rotateApiKey(ctx, old.id, { by })
  await heard()
  for (const ip of ['192.0.2.7', '192.0.2.8', '2001:db8:1:2::3']) t.ok((await api.check(from(old.text, ip), read)).ok)
  t.ok((await api.check(from(next, '192.0.2.7'), read)).ok)
  await api.check(from(next, '192.0.2.7'), { scopes: ['orders:write'] })
  const password = { headers: { authorization: service.basic } }
  t.ok((await api.check(password, read)).ok)
  const requests = platform.answers.filter(({ path }) => path === '/usage').length
  t.equal(requests, 0, 'no request of an API makes one of its own')
  await api.close()
  t.match(platform.answers.at(-1), { path: '/usage', status: 202 })

  await ctx.usage.flush()
  const keys = await listApiKeys(ctx, { owner, liveAt: ctx.clock.now() })
  t.match(await adoptionOf(ctx, keys), [
    {
      key: { id: old.id },
      uses: 3,
      successorUses: 1,
      callers: [
        { network: '192.0.2.0/24', api: audience, count: 2 },
        { network: '2001:db8:1:2::/64', api: audience, count: 1 },
      ],
    },
  ])
  await ctx.apiKeyUse.flush()
  t.match(await findApiKey(ctx, old.id), { lastUsedFrom: '2001:db8:1:2::/64' })
  const since = new Date(ctx.clock.now().getTime() - 3_600_000)
  const totals = (kind: 'api_key' | 'client', credential: string) =>
    usage.totals(ctx.db, { kind, credentials: [credential], since, now: ctx.clock.now() })
  t.match(
    (await totals('api_key', successor.id)).filter(({ outcome }) => outcome === 'insufficient_scope'),
    [{ scope: '' }, { scope: 'orders:write' }],
  )
  const accepted = (await totals('client', service.clientId)).filter(({ outcome }) => outcome === 'accepted')
  t.match(accepted, [{ scope: '', count: 1 }, { scope: 'orders:read' }], 'a service account by its password')
})

t.test('attack 113: a key in an address is marked at the server, once it is known to be good', async (t) => {
  const scene = await openKeyScene(t)
  const { api, warnings } = await openApi(t, scene)
  const { ctx } = scene.server
  const [shown, ended] = [await scene.make(), await scene.make()]
  await endApiKey(ctx, ended.id, { cause })
  const exposed = async (id: string) => (await findApiKey(ctx, id)).exposedAt
  for (const { text } of [shown, ended]) {
    const refused = await api.check({ method: 'GET', url: `/orders?key=${text}`, headers: {} })
    t.match(refused, { status: 400, reason: 'credentials_in_query' })
    await until('it was asked about', () => api.health().state !== 'closed')
  }
  await until('it is marked', async () => (await exposed(shown.id)) !== undefined)
  await api.close()
  t.equal(await exposed(ended.id), undefined)
  const { logs } = scene.server
  t.notOk(
    [...logs, ...warnings].some((line) => line.includes(shown.text.slice(24))),
    'nobody writes it down',
  )
})
