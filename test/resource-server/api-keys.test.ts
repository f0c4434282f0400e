import t from 'tap'
import {
  apiKey,
  basic,
  bearer,
  type ExposedApiKey,
  protect,
  type RequestLike,
  signature,
} from '../../packages/resource-server/src/index.js'
import { signRequest } from '../../packages/resource-server/src/sign.js'
import { drawSuccessors } from '../../src/api-keys/create.js'
import { drawApiKey } from '../../src/api-keys/format.js'
import { endApiKey, endApiKeys, findApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { successorOf } from '../../src/api-keys/rotate.js'
import { disableClient, enableClient, updateClient } from '../../src/clients/index.js'
import { createTier } from '../../src/limits/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { apiKeys } from '../../src/store/index.js'
import { SeededRandom } from '../support/random.js'
import { registration, sql } from '../support/server.js'
import { audience } from './support/issuer.js'
import { by, cause, openApi, openKeyScene, withBearer, withKey } from './support/keys.js'
import { longAgo, until } from './support/platform.js'
import { makeSigningKey, origin } from './support/signed.js'

// The package and the server itself, at one time.

t.setTimeout(180_000)

const scene = await openKeyScene(t)
const { server, make, service } = scene
const { clock, ctx } = server
const second = () => Math.floor(clock.now().getTime() / 1000)

t.test('a key is taken as a bearer token or by a header of its own, and asked about once', async (t) => {
  const { api, outcome, asked } = await openApi(t, scene)
  const { id, text } = await make()
  const decision = await api.check(withKey(text), { scopes: ['orders:read'] })
  t.match(decision, { ok: true, token: { sub: service.clientId, clientId: id, scope: ['orders:read'] } })
  t.notOk('headers' in decision, 'nothing is said of a key without a successor')
  for (const request of [
    withBearer(text),
    withKey(text),
    { ...withKey(text), headers: new Headers({ 'X-Api-Key': text }) },
  ]) {
    t.equal(await outcome(request), 'ok')
  }
  t.equal(asked(), 1)
  t.match(await api.check(withKey(text), { scopes: ['orders:write'] }), { status: 403, reason: 'scope_missing' })
  const forever = await make({ lifetime: 'never' })
  t.match(await api.check(withKey(forever.text)), { ok: true, token: { expiresAt: Number.POSITIVE_INFINITY } })
  const tokens = { grant_type: 'client_credentials', scope: 'orders:read' }
  const jwt = (await server.post('/token', tokens, { authorization: service.basic })).json().access_token
  t.equal(await outcome(withBearer(jwt)), 'ok', 'a JWT is one as before')
})

t.test('attack 113: what cannot be a key is refused without a request, and so is what is repeated', async (t) => {
  const { api, outcome, asked } = await openApi(t, scene)
  const { text } = await make()
  const changed = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  for (const [none, reason] of [
    [changed, 'key_malformed'],
    [text.slice(0, -1), 'key_malformed'],
    [`${text}0`, 'key_malformed'],
    [text.toUpperCase(), 'key_malformed'],
    ['x', 'key_malformed'],
    ['', 'request_malformed'],
    [`${text} ${text}`, 'request_malformed'],
    [`${text}, ${text}`, 'request_malformed'],
  ] as const) {
    t.equal(await outcome(withKey(none)), reason, none.slice(0, 12))
  }
  t.equal(await outcome(withBearer(changed)), 'key_malformed', 'it looks like a key, and is no token')
  t.equal(await outcome(withBearer(`${text}, Bearer ${text}`)), 'request_malformed')
  const both = { ...withBearer(text), headers: { authorization: `Bearer ${text}`, 'x-api-key': text } }
  t.match(await api.check(both), { status: 400, reason: 'request_malformed' })
  const twice = { ...withKey(text), rawHeaders: ['X-API-Key', text, 'x-api-key', text] }
  t.match(await api.check(twice), { status: 400, reason: 'request_malformed' })
  const bearers = {
    ...withBearer(text),
    rawHeaders: ['Authorization', 'Basic eDp5', 'authorization', `Bearer ${text}`],
  }
  t.match(await api.check(bearers), { status: 400, reason: 'request_malformed' })
  t.equal(asked(), 0)

  const guessed = drawApiKey(new SeededRandom('guessed'), { prefix: 'sk', environment: 'live', id: text.slice(8, 24) })
  t.equal(await outcome(withKey(guessed)), 'inactive')
  t.equal(await outcome(withKey(guessed)), 'inactive')
  t.equal(asked(), 1, 'what is not good is remembered, too')
})

t.test('each 401 names what would do, and its text speaks of what was shown', async (t) => {
  const { api } = await openApi(t, scene)
  const none = await api.check({ headers: {} })
  const metadata = 'resource_metadata="https://orders.example/.well-known/oauth-protected-resource"'
  t.match(none, { status: 401, headers: { 'www-authenticate': `Bearer ${metadata}, Signature ${metadata}` } })
  const wrong = await api.check(withKey('x'))
  const description = 'error_description="The API key is malformed, expired, revoked or not for this API."'
  t.match(wrong, { status: 401 })
  if (!wrong.ok) t.ok(wrong.headers['www-authenticate']?.includes(`Bearer error="invalid_token", ${description}`))
  t.notMatch(JSON.stringify([none, wrong]), /access token/)
})

t.test('attack 113: a key in an address is refused, and its owner hears of it', async (t) => {
  const reported: ExposedApiKey[] = []
  const scheme = apiKey({ report: (exposed) => reported.push(exposed) })
  const { api, outcome, warnings, asked } = await openApi(t, scene, { schemes: [bearer, scheme] })
  const { id, text } = await make()
  const bytes = [...text].map((each) => `%${each.charCodeAt(0).toString(16)}`).join('')
  const queries = [
    ...[`api_key=${text}`, `access_token=${text}`, `x=1&q=${text}&y=2`, text, `${text}=1`, `x=a${'%20'}${text}`],
    ...[bytes, encodeURIComponent(bytes), `redirect=${encodeURIComponent(`https://x.example/?k=${text}`)}`],
    ...[`x[a]=${text}`, `a=b;k=${text}`, `my_${text}`, `k=${text}#x`],
  ]
  const paths = [text, bytes, encodeURIComponent(bytes), `${text}/lines?page=2`, `a_${text}_b;v=1`, `a%2Fb%20${text}`]
  const urls = [...queries.map((query) => `/orders?${query}`), ...paths.map((path) => `/orders/${path}`)]
  for (const url of [...urls, `https://orders.example/orders/${text}`]) {
    const request = { method: 'GET', url, headers: {} }
    t.match(await api.check(request), { status: 400, reason: 'credentials_in_query' }, url.slice(0, 30))
  }
  await until('it was reported', () => reported.length > 0)
  t.equal(asked(), 1)
  t.same(reported, [{ prefix: 'sk', environment: 'live', id, owner: service.clientId }])
  t.equal(warnings.length, 1, 'once')
  t.match(warnings[0], id)
  t.notOk(JSON.stringify([warnings, reported]).includes(text.slice(24)), 'attack 118: without the secret')

  const also = { ...withKey(text), url: `/orders?key=${text}` }
  t.equal(await outcome(also), 'credentials_in_query', 'whatever the headers say')
  const mistyped = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  t.equal(await outcome({ headers: {}, url: `/?k=${mistyped}` }), 'credentials_in_query', 'it looks like one')
  for (const url of [
    `/orders?id=${id}&cursor=${'a_b-'.repeat(40)}&page=2`,
    // A name that looks like one by chance has no checksum.
    `/orders/${mistyped}`,
    `/orders/${encodeURIComponent(mistyped)}?page=50%25`,
    `/orders/${text.slice(0, -1)}`,
    `/orders/${text}x`,
  ]) {
    t.equal(await outcome({ ...withKey(text), url }), 'ok', url.slice(0, 30))
  }
  t.equal(reported.length, 1, 'what is no key is no leak')
})

t.test(
  'attack 113: an API that takes no keys refuses one in an address as well, and its owner hears of it',
  async (t) => {
    const { text, id } = await make()
    const tokens = { grant_type: 'client_credentials', scope: 'orders:read' }
    const jwt = (await server.post('/token', tokens, { authorization: service.basic })).json().access_token
    const { api, outcome, warnings } = await openApi(t, scene, { schemes: [bearer] })
    const shown = (url: string) => ({ ...withBearer(jwt), url })
    t.equal(await outcome(shown('/orders')), 'ok')
    for (const url of [`/orders?api_key=${text}`, `/orders?x=1&q=a%20${text}`, `/orders/${text}`]) {
      const refused = await api.check(shown(url))
      t.match(refused, { status: 400, reason: 'credentials_in_query', body: /belongs into a header/ }, url.slice(0, 20))
    }
    await until('it is marked', async () => (await findApiKey(ctx, id)).exposedAt !== undefined)
    t.equal(warnings.filter((message) => message.includes(id)).length, 1)
    const mistyped = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
    t.equal(await outcome(shown(`/orders?session=${mistyped}`)), 'ok', 'what has no checksum is something else')
    t.equal(await outcome(withBearer(text)), 'inactive', 'and it takes none elsewhere')

    const without = await protect({ issuer: ctx.config.server.issuer, audience, warn: () => undefined })
    t.teardown(() => without.close())
    t.match(await without.check(shown(`/orders?api_key=${text}`)), { status: 400, reason: 'credentials_in_query' })
  },
)

t.test('attack 115: a key that has ended is refused by what the feed says, and the server is not asked', async (t) => {
  const { outcome, asked, heard } = await openApi(t, scene)
  const [ended, other] = [await make(), await make()]
  for (const { text } of [ended, other]) t.equal(await outcome(withKey(text)), 'ok')
  const before = asked()
  await endApiKey(ctx, ended.id, { cause })
  await heard()
  t.equal(await outcome(withKey(ended.text)), 'revoked')
  t.equal(await outcome(withBearer(ended.text)), 'revoked')
  t.equal(await outcome(withKey(other.text)), 'ok')
  t.equal(asked(), before)
})

t.test('RFC 9745 §2, RFC 8594 §3: a rotated key is good until its overlap is over, and says so', async (t) => {
  const { api, outcome, heard } = await openApi(t, scene)
  const { id, text } = await make()
  t.notOk('headers' in (await api.check(withKey(text))))
  const rotatedAt = second()
  const { text: successor = '' } = await rotateApiKey(ctx, id, { overlap: 60, by })
  await heard()
  const sunset = new Date((rotatedAt + 60) * 1000).toUTCString()
  for (const request of [withKey(text), withBearer(text)]) {
    t.match(await api.check(request), { ok: true, headers: { deprecation: `@${rotatedAt}`, sunset } })
    const refused = await api.check(request, { scopes: ['orders:write'] })
    const challenge = { 'www-authenticate': /insufficient_scope/ }
    t.match(refused, { status: 403, headers: { deprecation: `@${rotatedAt}`, sunset, ...challenge } })
  }
  const next = await api.check(withKey(successor))
  t.equal(next.ok && next.headers, undefined)
  clock.advance(59)
  await heard()
  t.match(await api.check(withKey(text)), { ok: true, headers: { sunset } })
  clock.advance(1)
  await heard()
  t.equal(await outcome(withKey(text)), 'inactive', 'the end of the overlap needs nobody to say so')
  t.equal(await outcome(withKey(successor)), 'ok')
})

t.test(
  'RFC 9745 §2: a rotated key says so also where it may not be used, and where the other lock fails',
  async (t) => {
    const { api, heard } = await openApi(t, scene, {
      schemes: [
        bearer,
        apiKey(),
        basic(),
        signature({ origin, platform: longAgo({ now: () => clock.now().getTime() }) }),
      ],
    })
    const pages = await make({ kind: 'publishable', origins: ['https://shop.example'] })
    const bound = await make({ networks: ['192.0.2.0/24'] })
    const { privateJwk, key } = makeSigningKey()
    const signer = await make({ kind: 'signing', publicJwk: key.jwk, networks: ['192.0.2.0/24'] })
    const url = `${origin}/orders`
    const send = async (ip: string) => ({
      ...{ method: 'GET', url: '/orders', rawBody: new Uint8Array(0), ip },
      headers: await signRequest({
        key: privateJwk,
        keyId: signer.id,
        url,
        platform: { now: () => clock.now().getTime() },
      }),
    })
    const refused = await api.check({ ...withKey(bound.text), ip: '192.0.3.7' })
    t.match(refused, { status: 401, reason: 'network_not_allowed' })
    t.notOk(!refused.ok && 'deprecation' in refused.headers, 'of a key without a successor nothing is said')
    for (const { id } of [pages, bound]) await rotateApiKey(ctx, id, { overlap: 60, by })
    await rotateApiKey(ctx, signer.id, { publicJwk: makeSigningKey().key.jwk, overlap: 60, by })
    await heard()
    const headers = { deprecation: /^@\d+$/, sunset: /GMT$/, 'www-authenticate': /invalid_token/ }
    const elsewhere = { ...withKey(bound.text), ip: '192.0.3.7' }
    t.match(await api.check(elsewhere), { status: 401, reason: 'network_not_allowed', headers })
    t.match(await api.check(withKey(pages.text)), { status: 401, reason: 'origin_not_allowed', headers })
    t.match(await api.check(await send('192.0.3.7')), { status: 401, reason: 'network_not_allowed', headers })
    t.match(await api.check(await send('192.0.2.7')), { ok: true })

    const other = await server.createService('orders:read')
    const required = ['basic', 'api-key']
    for (const schemes of [
      [basic(), apiKey()],
      [apiKey(), basic()],
    ]) {
      const two = await openApi(t, scene, { schemes, require: required })
      await two.heard()
      const both = (authorization: string) => ({
        ...withKey(bound.text, { authorization }),
        socket: { encrypted: true, remoteAddress: '192.0.2.7' },
      })
      t.match(await two.api.check(both(other.basic)), { status: 401, reason: 'subjects_differ', headers })
    }
  },
)

t.test('a rotated key that is past its tier hears of its successor, too', async (t) => {
  await createTier(ctx, 'single', { limit: 1, window: 60, burst: 1 }, by)
  await server.refresh()
  const { api, heard } = await openApi(t, scene)
  const { id, text } = await make({ tier: 'single' })
  await rotateApiKey(ctx, id, { overlap: 60, by })
  await heard()
  const fields = { deprecation: /^@\d+$/, sunset: /GMT$/, RateLimit: /^"single"/ }
  t.match(await api.check(withKey(text)), { ok: true, headers: fields })
  t.match(await api.check(withKey(text)), { status: 429, headers: { ...fields, 'Retry-After': /^\d+$/ } })
})

t.test('attack 116: a thousand keys that are remembered end by one call, and their successors are good', async (t) => {
  const { outcome, asked, heard } = await openApi(t, scene)
  const one = await make({ prefix: 'bulk' })
  const like = successorOf(await findApiKey(ctx, one.id))
  const drawn = drawSuccessors(ctx, Array(999).fill(like), clock.now())
  await apiKeys.createAll(
    ctx.db,
    drawn.map(({ row }) => row),
  )
  const keys = [one.text, ...drawn.map(({ text }) => text ?? '')]
  const live = await make()
  /** A few at a time: on a slow machine the last of a thousand would wait too long for its turn. */
  async function all(texts: readonly string[]): Promise<readonly string[]> {
    const outcomes: string[] = []
    for (let start = 0; start < texts.length; start += 50) {
      outcomes.push(...(await Promise.all(texts.slice(start, start + 50).map((text) => outcome(withKey(text))))))
    }
    return outcomes
  }
  t.same(new Set(await all([...keys, live.text])), new Set(['ok']))
  t.equal(asked(), 1001)
  t.same(new Set(await all(keys)), new Set(['ok']))
  t.equal(asked(), 1001, 'all are remembered')

  const { successors } = await endApiKeys(ctx, { kind: 'prefix', prefix: 'bulk' }, { cause, replace: true })
  await heard()
  t.same(new Set(await all(keys)), new Set(['inactive']))
  t.equal(asked(), 2001, 'each was asked about once')
  t.equal(await outcome(withKey(live.text)), 'ok')
  t.equal(asked(), 2001, 'and no other')
  t.same(new Set(await all(successors.map(({ text }) => text ?? ''))), new Set(['ok']), 'made in the same second')
  t.equal(successors.length, 1000)

  await endApiKeys(ctx, { kind: 'owner', owner: scene.owner }, { cause })
  await heard()
  t.same(new Set(await all(successors.map(({ text }) => text ?? ''))), new Set(['inactive']))
  t.equal(await outcome(withKey(live.text)), 'inactive')
  clock.advance(1)
  const last = await make()
  t.equal(await outcome(withKey(last.text)), 'ok')
  await endApiKeys(ctx, { kind: 'all' }, { cause })
  const next = await make()
  await heard()
  t.equal(await outcome(withKey(last.text)), 'inactive')
  t.equal(await outcome(withKey(next.text)), 'ok', 'a key of the same second')
})

t.test('attack 86: keys end with their owner', async (t) => {
  const { outcome, heard } = await openApi(t, scene)
  const other = await server.createService('orders:read')
  const owner = { kind: 'client', id: other.clientId } as const
  clock.advance(1)
  const [mine, theirs] = [await make(), await make({ owner })]
  for (const { text } of [mine, theirs]) t.equal(await outcome(withKey(text)), 'ok')
  await revoke(ctx, { kind: 'client', clientId: other.clientId }, cause)
  await heard()
  t.equal(await outcome(withKey(theirs.text)), 'inactive')
  const next = await make({ owner })
  t.equal(await outcome(withKey(next.text)), 'ok')
  clock.advance(2)
  await disableClient(ctx, other.clientId, by)
  await heard()
  t.equal(await outcome(withKey(next.text)), 'inactive')
  await enableClient(ctx, other.clientId, by)
  await heard()
  t.equal(await outcome(withKey(next.text)), 'inactive', 'what it had stays ended')
  t.equal(await outcome(withKey(mine.text)), 'ok')
})

t.test('roles that are withdrawn take their scopes from a key at once', async (t) => {
  const roleScene = await openKeyScene(t)
  const { ctx } = roleScene.server
  const holder = { kind: 'client', holder: roleScene.service.clientId } as const
  const resource = 'https://orders.example'
  await createRole(ctx, { resource, name: 'clerk', scope: ['orders:read'] }, by)
  await grantRole(ctx, resource, 'clerk', holder, by)
  await roleScene.server.refresh()
  const { outcome, heard, asked } = await openApi(t, roleScene)
  const { text } = await roleScene.make({ scope: ['orders:read', 'orders:write'] })
  const read = () => outcome(withKey(text), { scopes: ['orders:read'] })
  t.equal(await read(), 'ok')
  t.equal(await outcome(withKey(text), { scopes: ['orders:write'] }), 'scope_missing')
  t.equal(asked(), 1)
  await withdrawRole(ctx, resource, 'clerk', holder, by)
  await heard()
  t.equal(await read(), 'inactive', 'what may do nothing here is not active here')
  t.equal(await outcome(withKey(text)), 'inactive')
})

t.test('a key may be used from its networks alone, by the address that the framework says', async (t) => {
  const { outcome } = await openApi(t, scene)
  const { text } = await make({ networks: ['192.0.2.0/24', '2001:db8::/48'] })
  const from = (where: object) => outcome({ ...withKey(text, { 'x-forwarded-for': '192.0.2.7' }), ...where })
  for (const ip of ['192.0.2.7', '::ffff:192.0.2.7', '2001:DB8:0:0::1', '[2001:db8::1]:443']) {
    t.equal(await from({ ip }), 'ok', ip)
  }
  t.equal(await from({ socket: { remoteAddress: '::ffff:192.0.2.7' } }), 'ok')
  for (const ip of ['192.0.3.7', '::1', '2001:db8:1::1', 'unknown', ''])
    t.equal(await from({ ip }), 'network_not_allowed', ip)
  t.equal(await from({}), 'network_not_allowed', 'not known: no header says it')
  t.equal(await from({ ip: '10.0.0.1', socket: { remoteAddress: '192.0.2.7' } }), 'network_not_allowed')
  const elsewhere = await openApi(t, scene, { addressOf: () => '192.0.2.9' })
  t.equal(await elsewhere.outcome(withKey(text)), 'ok', 'the API may say it itself')
})

t.test('a publishable key is for pages of its origins', async (t) => {
  const { outcome } = await openApi(t, scene)
  const shop = 'https://shop.example'
  const { text } = await make({ kind: 'publishable', origins: [shop] })
  t.match(text, /^pk_/)
  t.equal(await outcome(withKey(text, { origin: shop })), 'ok')
  for (const origin of [
    'https://shop.example.evil.example',
    'http://shop.example',
    `${shop}/`,
    `${shop}:443`,
    'null',
    '',
  ]) {
    t.equal(await outcome(withKey(text, { origin })), 'origin_not_allowed', origin)
  }
  t.equal(await outcome(withKey(text)), 'origin_not_allowed', 'absent: it is for browsers')
  const twice = { ...withKey(text), rawHeaders: ['X-API-Key', text, 'Origin', shop, 'Origin', shop] }
  t.equal(await outcome(twice), 'origin_not_allowed')
  const secret = await make()
  t.equal(await outcome(withKey(secret.text, { origin: 'https://any.example' })), 'ok')
})

t.test('a key is good from the networks of its client alone, from the second on in which they are given', async (t) => {
  const { outcome, heard, api } = await openApi(t, scene)
  const client = await server.createService('orders:read')
  const { text } = await make({ owner: { kind: 'client', id: client.clientId }, networks: ['192.0.2.0/24'] })
  const from = (ip: string): RequestLike => ({ ...withKey(text), ip })
  t.equal(await outcome(from('192.0.2.7')), 'ok')
  t.equal(await outcome(from('192.0.2.200')), 'ok')
  await updateClient(server.ctx, client.clientId, { allowed_networks: ['192.0.2.0/25'] }, registration)
  await heard()
  t.equal(await outcome(from('192.0.2.7')), 'ok')
  t.equal(await outcome(from('192.0.2.200')), 'network_not_allowed')
  await updateClient(server.ctx, client.clientId, { allowed_networks: ['203.0.113.0/24'] }, registration)
  await heard()
  for (const ip of ['192.0.2.7', '203.0.113.7']) {
    t.match(await api.check(from(ip)), { status: 401, reason: 'inactive' }, 'nothing in common')
  }
})

t.test(
  'what the roles of its owner leave nothing of is 401, counted, and good within five seconds of a grant',
  async (t) => {
    const { api, outcome } = await openApi(t, scene)
    const user = { kind: 'user', id: (await server.createUser('roles@example.com')).id } as const
    await createRole(ctx, { resource: audience, name: 'newcomer', scope: ['orders:read'] }, by)
    const { id, text } = await make({ owner: user })
    t.match(await api.check(withKey(text), { scopes: ['orders:read'] }), { status: 401, reason: 'inactive' })
    t.equal(await outcome(withKey(text)), 'inactive', 'nor where nothing is required')
    await ctx.usage.flush()
    const counted = 'SELECT outcome, count::int FROM usage_count WHERE credential = $1'
    t.same(await sql(server, counted, [id]), [{ outcome: 'insufficient_scope', count: 1 }])
    await grantRole(ctx, audience, 'newcomer', { kind: 'user', holder: user.id }, by)
    server.clock.advance(5)
    t.equal(await outcome(withKey(text), { scopes: ['orders:read'] }), 'ok')
  },
)
