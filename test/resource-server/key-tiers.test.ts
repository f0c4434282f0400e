import t, { type Test } from 'tap'
import type { Decision, RequestLike } from '../../packages/resource-server/src/index.js'
import { signRequest } from '../../packages/resource-server/src/sign.js'
import { rotateApiKey } from '../../src/api-keys/index.js'
import { createTier } from '../../src/limits/index.js'
import { exchanged } from '../support/exchange.js'
import { sql } from '../support/server.js'
import { by, openApi, openKeyScene, withBearer, withKey } from './support/keys.js'
import { makeSigningKey, origin } from './support/signed.js'

// The tier of a key, at an API to which the key is shown itself: by the package and the server, at one time.

t.setTimeout(180_000)

const scene = await openKeyScene(t)
const { server, make } = scene
await createTier(server.ctx, 'pair', { limit: 2, window: 60, burst: 2 }, by)
await createTier(server.ctx, 'single', { limit: 1, window: 60, burst: 1 }, by)

function isLimited(t: Test, decision: Decision, tier: string): void {
  t.match(decision, { ok: false, status: 429, reason: 'rate_exceeded' })
  const { headers } = decision as { headers: Record<string, string> }
  t.match(headers['Retry-After'], /^[1-9]\d*$/)
  t.match(headers['RateLimit'], new RegExp(`^"${tier}";r=0;t=\\d+$`))
  t.ok(headers['RateLimit-Policy']?.startsWith(`"${tier}";q=`))
}

t.test(
  'attack 117: a key counts for its tier, at all instances of an API together, whatever the API limits',
  async (t) => {
    const [one, two] = [await openApi(t, scene), await openApi(t, scene)]
    const { text } = await make({ tier: 'pair' })
    const first = await one.api.check(withKey(text), { scopes: ['orders:read'] })
    t.match(first, { ok: true, headers: { 'RateLimit-Policy': '"pair";q=2;w=60', RateLimit: /^"pair";r=1;t=\d+$/ } })
    t.equal(await two.outcome(withKey(text), { scopes: ['orders:write'] }), 'scope_missing', 'it costs something, too')
    isLimited(t, await one.api.check(withKey(text)), 'pair')
    isLimited(t, await two.api.check(withKey(text)), 'pair')
    const [other, free] = [await make({ tier: 'pair' }), await make()]
    t.equal(await one.outcome(withKey(other.text)), 'ok', 'each key by itself')
    const decision = await one.api.check(withKey(free.text))
    t.ok(decision.ok && decision.headers === undefined, 'a key without a tier is not counted')
    server.clock.advance(30)
    await one.heard()
    t.equal(await one.outcome(withKey(text)), 'ok', 'as Retry-After said')
    t.same([one.warnings, two.warnings], [[], []])
  },
)

t.test('a publishable key has a tier of its own, though it is never exchanged', async (t) => {
  const { api, outcome } = await openApi(t, scene)
  const page = 'https://shop.example'
  const { text } = await make({ kind: 'publishable', origins: [page], tier: 'single' })
  const fromPage: RequestLike = withKey(text, { origin: page })
  t.equal(await outcome(withKey(text)), 'origin_not_allowed', 'elsewhere it uses nothing up')
  t.match(await api.check(fromPage), { ok: true, headers: { RateLimit: /^"single";r=0;/ } })
  isLimited(t, await api.check(fromPage), 'single')
})

t.test('a key that signs has one, too; a request that it did not sign uses nothing up', async (t) => {
  const { api, platform } = await openApi(t, scene)
  const { privateJwk, key } = makeSigningKey()
  const { id } = await make({ kind: 'signing', publicJwk: key.jwk, tier: 'single' })
  async function send(signer = privateJwk) {
    const headers = await signRequest({ key: signer, keyId: id, platform, url: `${origin}/orders` })
    return api.check({ method: 'GET', url: '/orders', headers, rawBody: new Uint8Array(0) })
  }
  t.match(await send(makeSigningKey().privateJwk), { ok: false, reason: 'signature_wrong' })
  t.match(await send(), { ok: true })
  isLimited(t, await send(), 'single')
})

t.test('the tier of a key and a limit of the API on the same tier are two', async (t) => {
  const { api } = await openApi(t, scene)
  const { text } = await make({ tier: 'pair' })
  const limited = api.require({ limits: [{ tier: 'pair', by: 'key' }] })
  const decision = await limited(withKey(text))
  t.match(decision, { ok: true, headers: { RateLimit: /^"pair";r=1;t=\d+, "pair";r=1;t=\d+$/ } })
})

t.test('the server hears how often a key was over its tier', async (t) => {
  const { api } = await openApi(t, scene)
  const { id, text } = await make({ tier: 'single' })
  for (let count = 0; count < 3; count++) await api.check(withKey(text), { scopes: ['orders:read'] })
  await api.close()
  await server.ctx.usage.flush()
  const counted = await sql(
    server,
    `SELECT outcome, count::int FROM usage_count WHERE credential = $1 AND scope = 'orders:read' ORDER BY outcome`,
    [id],
  )
  t.same(counted, [
    { outcome: 'accepted', count: 1 },
    { outcome: 'rate_limited', count: 2 },
  ])
})

t.test('attack 117: keys of a client that has a tier share it; so do a key and its successor', async (t) => {
  const { api } = await openApi(t, scene)
  const client = await server.createService('orders:read', { rate_tier: 'pair' })
  const owner = { kind: 'client', id: client.clientId } as const
  const [one, two] = [await make({ owner }), await make({ owner })]
  t.match(await api.check(withKey(one.text)), { ok: true, headers: { RateLimit: /^"pair";r=1;/ } })
  t.match(await api.check(withKey(two.text)), { ok: true, headers: { RateLimit: /^"pair";r=0;/ } })
  isLimited(t, await api.check(withKey(one.text)), 'pair')

  const page = { kind: 'publishable', origins: ['https://shop.example'] } as const
  const shown = await make({ owner, ...page })
  const fromPage = withKey(shown.text, { origin: 'https://shop.example' })
  t.match(await api.check(fromPage), { ok: true, headers: { RateLimit: /^"pair";r=1;/ } }, 'what anybody has is apart')

  const old = await make({ owner, tier: 'pair' })
  const next = await rotateApiKey(server.ctx, old.id, { overlap: 31_536_000, by })
  const last = await rotateApiKey(server.ctx, next.key.id, { overlap: 31_536_000, by })
  t.match(await api.check(withKey(old.text)), { ok: true, headers: { RateLimit: /^"pair";r=1;/ } })
  t.match(await api.check(withKey(last.text!)), { ok: true, headers: { RateLimit: /^"pair";r=0;/ } })
  isLimited(t, await api.check(withKey(next.text!)), 'pair')
})

t.test('a limit by key holds over the chain, shown or exchanged', async (t) => {
  const { api } = await openApi(t, scene)
  const limited = api.require({ limits: [{ tier: 'pair', by: 'key' }] })
  const { id, text } = await make()
  const { text: next = '' } = await rotateApiKey(server.ctx, id, { by })
  const token = await exchanged(server, next)
  t.match(await limited(withKey(text)), { ok: true, headers: { RateLimit: /^"pair";r=1;/ } })
  t.match(await limited(withBearer(token)), { ok: true, headers: { RateLimit: /^"pair";r=0;/ } })
  isLimited(t, await limited(withKey(next)), 'pair')
})
