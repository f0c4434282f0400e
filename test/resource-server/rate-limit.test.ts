import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { protect as protectHono } from '../../packages/resource-server/src/hono.js'
import type { AccessToken, Decision, Limit, ProtectOptions } from '../../packages/resource-server/src/index.js'
import { networkOf, normaliseAddress } from '../../packages/resource-server/src/limits/address.js'
import { ofToken } from '../../packages/resource-server/src/limits/count-request.js'
import { both } from '../../packages/resource-server/src/schemes/scheme.js'
import { conform } from '../../src/limits/gcra.js'
import { networkOf as networkOfServer, normaliseAddress as normaliseOfServer } from '../../src/platform/network.js'
import { audience, credentials, TestIssuer } from './support/issuer.js'

const policy = { limit: 10, window: 10, burst: 5 }

/** A server whose tier `gold` is that policy, and what it was asked. */
async function openScene(t: Test, tier = policy) {
  const issuer = await TestIssuer.start(t)
  issuer.metadata = { rate_limits_endpoint: `${issuer.issuer}/rate-limits` }
  const tats = new Map<string, number>()
  const asked: URLSearchParams[] = []
  let instances = 1
  let status = 200
  issuer.handlers.set('/rate-limits', (_, response, body) => {
    const form = new URLSearchParams(body)
    asked.push(form)
    if (status !== 200) return void response.writeHead(status).end()
    const leases = form.getAll('lease').map((ask) => {
      const [name = '', key = '', units = ''] = ask.split(' ')
      if (name !== 'gold') return null
      const now = issuer.platform.now()
      const { granted, tat } = conform(tier, tats.get(key) ?? 0, now, Number(units))
      tats.set(key, tat)
      return { granted, debt: Math.max(0, tat - now), ...tier }
    })
    response.writeHead(200).end(JSON.stringify({ leases, ...(form.has('instance') ? { instances } : {}) }))
  })
  const open = async (options: Partial<ProtectOptions> = {}) => {
    const { api, warnings } = await issuer.protect(t, { credentials, ...options })
    const check = (limits: readonly Limit[], { token = issuer.token(), ip = '192.0.2.1' } = {}): Promise<Decision> =>
      api.require({ limits })({ headers: { authorization: `Bearer ${token}` }, ip })
    /** How many of so many are accepted. */
    const count = async (requests: number, limits: readonly Limit[], request = {}): Promise<number> => {
      let accepted = 0
      for (let index = 0; index < requests; index++) if ((await check(limits, request)).ok) accepted++
      return accepted
    }
    return { api, warnings, check, count }
  }
  return {
    issuer,
    asked,
    open,
    count: (number: number) => {
      instances = number
    },
    answer: (number: number) => {
      status = number
    },
  }
}

const byClient: readonly Limit[] = [{ tier: 'gold', by: 'client' }]
const byNetwork: readonly Limit[] = [{ tier: 'gold', by: 'network' }]

t.test('past the limit a request is 429, with Retry-After and what the limit is', async (t) => {
  const { issuer, open } = await openScene(t)
  const { check, count } = await open()
  const first = await check(byClient)
  t.match(first, { ok: true, headers: { 'RateLimit-Policy': '"gold";q=10;w=10', RateLimit: '"gold";r=4;t=1' } })
  t.equal(await count(9, byClient), 4)
  const refused = await check(byClient)
  t.match(refused, {
    ok: false,
    status: 429,
    reason: 'rate_exceeded',
    headers: { 'RateLimit-Policy': '"gold";q=10;w=10', RateLimit: '"gold";r=0;t=5', 'Retry-After': '1' },
  })
  t.equal(JSON.parse(refused.ok ? '' : refused.body).error, 'temporarily_unavailable')
  issuer.platform.advance(1_000)
  t.equal((await check(byClient)).ok, true)
  t.equal((await check(byClient)).ok, false)
})

t.test('by client, subject, network and address', async (t) => {
  const { issuer, open } = await openScene(t)
  const { count } = await open()
  const [ann, bob] = [issuer.token({ sub: 'ann' }), issuer.token({ sub: 'bob' })]
  t.equal(await count(9, [{ tier: 'gold', by: 'subject' }], { token: ann }), 5)
  t.equal(await count(9, [{ tier: 'gold', by: 'subject' }], { token: bob }), 5)
  t.equal(await count(3, byClient, { token: ann }), 3)
  t.equal(await count(9, byClient, { token: bob }), 2, 'of one client')
  t.equal(await count(3, byNetwork, { ip: '2001:db8:0:1::1' }), 3)
  t.equal(await count(9, byNetwork, { ip: '2001:db8::1:ffff:0:0:2' }), 2, 'one /64')
  t.equal(await count(3, byNetwork, { ip: '::ffff:192.0.2.9' }), 3)
  t.equal(await count(9, byNetwork, { ip: '192.0.2.1' }), 2, 'IPv4-mapped is IPv4')
  t.equal(await count(9, [{ tier: 'gold', by: 'address' }], { ip: '192.0.2.1' }), 5)
  t.equal(await count(9, [{ tier: 'gold', by: 'address' }], { ip: '192.0.2.2' }), 5)
})

t.test('attack 117: further keys of a client make its limit no wider, nor do further addresses of a /64', async (t) => {
  const { issuer, open } = await openScene(t)
  const { count } = await open()
  const exchanged = (client_id: string, key_owner: string) => ({
    token: issuer.token({ client_id, sub: 'owner-1', key_owner, key_prefix: 'sk' }),
  })
  t.equal(await count(3, byClient, exchanged('key-1', 'client')), 3)
  t.equal(await count(9, byClient, exchanged('key-2', 'client')), 2, 'of one owner')
  t.equal(await count(9, byClient, { token: issuer.token({ client_id: 'owner-1' }) }), 0, 'with its own tokens')
  t.equal(await count(9, byClient, exchanged('key-3', 'user')), 5)
  const byKey: readonly Limit[] = [{ tier: 'gold', by: 'key' }]
  t.equal(await count(9, byKey, exchanged('key-1', 'client')), 5)
  t.equal(await count(9, byKey, exchanged('key-2', 'client')), 5)
  const byAddress: readonly Limit[] = [{ tier: 'gold', by: 'address' }]
  t.equal(await count(3, byAddress, { ip: '2001:db8::1' }), 3)
  t.equal(await count(9, byAddress, { ip: '2001:db8::2' }), 2, 'one /64')
})

t.test('of an API key the owner is counted by client, and the key itself by key, with two locks too', (t) => {
  const token = { sub: 'owner-1', clientId: 'key-1', scope: [], roles: [], expiresAt: 4e9 }
  const key = { ...token, claims: { api_key: { owner: 'client' } } }
  const account = { ...token, clientId: 'owner-1', claims: {} }
  const users = { ...key, claims: { api_key: { owner: 'user' } } }
  const limits = (['client', 'key', 'subject'] as const).map((by) => ({ tier: 'gold', by }))
  const counted = (shown: AccessToken) => ofToken(limits, shown).map(({ who }) => who.split('\0')[1])
  t.same(counted(key), ['owner-1', 'key-1', 'owner-1'])
  t.same(counted(users), ['key-1', 'key-1', 'owner-1'])
  t.same(counted(account), ['owner-1', 'owner-1', 'owner-1'])
  t.same(counted(both(account, key)), ['owner-1', 'key-1', 'owner-1'])
  t.same(counted(both(key, account)), ['owner-1', 'key-1', 'owner-1'])
  t.end()
})

t.test('a network is counted before its tokens are looked at', async (t) => {
  const { open } = await openScene(t)
  const { check, count } = await open()
  t.equal(await count(5, byNetwork, { token: 'made up' }), 0)
  const refused = await check(byNetwork)
  t.match(refused, { ok: false, status: 429 })
})

t.test('all limits must allow it, those of protect too, and each says what it is', async (t) => {
  const { issuer, open } = await openScene(t)
  const { check } = await open({ limits: byNetwork })
  t.match(await check(byClient), { headers: { RateLimit: '"gold";r=4;t=1, "gold";r=4;t=1' } })
  for (let index = 0; index < 4; index++) await check(byClient)
  t.match(await check([], { ip: '198.51.100.1' }), { ok: true })
  t.match(await check(byClient, { ip: '198.51.100.1' }), { ok: false, status: 429 })
  t.match(await check([], { token: issuer.token({ client_id: 'another' }) }), { ok: false, status: 429 })
})

t.test('keys leave the API as keyed hashes alone', async (t) => {
  const { issuer, asked, open } = await openScene(t)
  const { check } = await open()
  await check([...byClient, ...byNetwork])
  await check(byClient, { token: issuer.token({ client_id: 'another' }) })
  const sent = asked.flatMap((form) => form.getAll('lease'))
  t.ok(
    sent.every((ask) => /^gold [\w-]{43} \d+$/.test(ask)),
    sent.join(),
  )
  t.equal(new Set(sent.map((ask) => ask.split(' ')[1])).size, 3)
})

t.test('many at once are one request, and blocks are leased ahead', async (t) => {
  const { asked, open } = await openScene(t, { limit: 10_000, window: 10, burst: 10_000 })
  const { check } = await open()
  await Promise.all(Array.from({ length: 50 }, (_, index) => check(byNetwork, { ip: `192.0.${index}.1` })))
  t.ok(asked.length <= 4, `${asked.length} requests for 50 keys`)
  asked.length = 0
  for (let index = 0; index < 1_000; index++) t.equal((await check(byClient)).ok, true)
  t.ok(asked.length < 40, `${asked.length} requests for 1,000 of one key`)
})

t.test('a server that is away: this instance goes on with its share, and says so', async (t) => {
  const { issuer, open, count: instances, answer } = await openScene(t)
  instances(2)
  const { api, check, count, warnings } = await open()
  t.equal((await check(byClient)).ok, true)
  t.equal(api.health().limits, 'shared')
  issuer.platform.advance(1_000)
  answer(503)
  t.equal(await count(9, byClient), 2, 'the half of five')
  t.equal(api.health().limits, 'share')
  t.equal(warnings.filter((text) => /share \(1 of 2\)/.test(text)).length, 1)
  answer(200)
  issuer.platform.advance(2_000)
  await check(byClient)
  // The time stands still meanwhile.
  for (let turn = 0; turn < 500 && api.health().limits !== 'shared'; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  t.equal(api.health().limits, 'shared')
  t.equal(warnings.filter((text) => /hold over all instances again/.test(text)).length, 1)
})

t.test('a tier that there is not limits nothing, and a warning says so once', async (t) => {
  const { open } = await openScene(t)
  const { api, count, warnings } = await open()
  t.equal(await count(3, byClient), 3)
  t.equal(api.health().problem, undefined)
  t.equal(await count(20, [{ tier: 'silver', by: 'client' }]), 20)
  t.equal(warnings.filter((text) => /no tier silver/.test(text)).length, 1)
  t.match(api.health(), { state: 'ready', problem: /no tier silver/ }, 'for as long as it is so')
})

t.test('a server without such limits', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { api, warnings } = await issuer.protect(t, { credentials, limits: byClient })
  t.equal((await api.check({ headers: { authorization: `Bearer ${issuer.token()}` } })).ok, true)
  t.match(warnings, [/no rate limits/])
  t.match(api.health().problem, /no rate limits/)
})

t.test('a server without a feed counts no limits, which a warning says once', async (t) => {
  const issuer = await TestIssuer.start(t)
  issuer.metadata = { revocation_feed_endpoint: undefined, revocation_snapshot_endpoint: undefined }
  const { api, warnings } = await issuer.protect(t, { credentials, limits: byClient })
  const request = { headers: { authorization: `Bearer ${issuer.token()}` } }
  for (let count = 0; count < 3; count++) t.equal((await api.check(request)).ok, true)
  t.equal(warnings.filter((text) => /^Limits are not counted/.test(text)).length, 1)
})

t.test('Hono: limits by where a request comes from need somebody who says it', async (t) => {
  const issuer = await TestIssuer.start(t)
  const options = { issuer: issuer.issuer, audience, credentials, platform: issuer.platform, warn: () => undefined }
  await t.rejects(protectHono({ ...options, limits: byNetwork }), { name: 'ConfigurationError' })
  const api = await protectHono(options)
  t.teardown(() => api.close())
  t.throws(() => api.require({ limits: [{ tier: 'gold', by: 'address' }] }), { name: 'ConfigurationError' })
  t.doesNotThrow(() => api.require({ limits: byClient }))
  const located = await protectHono({ ...options, limits: byNetwork, address: () => '192.0.2.1' })
  t.teardown(() => located.close())
})

t.test('limits need credentials, and names that can be', async (t) => {
  const issuer = await TestIssuer.start(t)
  await t.rejects(issuer.protect(t, { limits: byClient }), /limits need credentials/)
  const { api } = await issuer.protect(t)
  t.throws(() => api.require({ limits: byClient }), /limits need credentials/)
  await t.rejects(api.check({ headers: {} }, { limits: byClient }), /limits need credentials/)
  t.equal(api.health().limits, 'off')
  const wrong = { tier: 'Gold "1"', by: 'client' } as const
  await t.rejects(issuer.protect(t, { credentials, limits: [wrong] }), /is no tier/)
})

t.test('addresses are read as the server reads them', async (t) => {
  const addresses = [
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '::FFFF:c000:0201',
    '2001:DB8::1',
    '[2001:db8::1]:443',
    '::1',
    '::',
  ]
  for (const address of [
    ...addresses,
    '192.0.2.1:80',
    'fe80::1%eth0',
    '2001:db8:1:2:3:4:5:6',
    '1:2:3:4:5::',
    '::2:3:4:5:6:7:8',
  ]) {
    t.equal(normaliseAddress(address), normaliseOfServer(address), address)
  }
  for (const address of [
    '',
    'localhost',
    '192.0.2',
    '192.0.2.256',
    '1.2.3.4.',
    '2001:db8::1::2',
    ':::',
    '999.1.1.1:80',
  ]) {
    t.equal(normaliseAddress(address), 'unknown', address)
    t.equal(networkOf(address), 'unknown', address)
  }
  t.equal(networkOf('192.0.2.77'), networkOfServer('192.0.2.77'))
  for (const address of ['2001:db8:1:2:3:4:5:6', '2001:db8::1', '::1', '1:2:3:4:5::']) {
    const bytes = (network: string): string => new URL(`http://[${network.slice(0, -3)}]/`).hostname
    t.equal(bytes(networkOf(address)), bytes(networkOfServer(address)), address)
  }
})

t.test('the algorithm of the package is that of the server', async (t) => {
  const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
  for (const name of ['gcra.ts', 'leases.ts', 'fields.ts']) {
    t.equal(read(`packages/resource-server/src/limits/${name}`), read(`src/limits/${name}`), name)
  }
})
