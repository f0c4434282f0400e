import t from 'tap'
import { bearer, protect, signature } from '../../packages/resource-server/src/index.js'
import { type SignOptions, signRequest } from '../../packages/resource-server/src/sign.js'
import { endApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { audience, TestIssuer } from './support/issuer.js'
import { by, cause, type NewKey, openApi, openKeyScene, withKey } from './support/keys.js'
import { makeSigningKey, origin } from './support/signed.js'

t.setTimeout(180_000)

const scene = await openKeyScene(t)
const { server, make, service } = scene
const { ctx, clock } = server

async function makeSigner(request: NewKey = {}) {
  const { privateJwk, key } = makeSigningKey()
  const { id } = await make({ kind: 'signing', publicJwk: key.jwk, ...request })
  return { id, privateJwk }
}

t.test('a signed request is checked with the key that is registered at the server', async (t) => {
  const { api, platform, outcome, asked, heard } = await openApi(t, scene)
  async function send({ id, privateJwk }: Awaited<ReturnType<typeof makeSigner>>, more: Partial<SignOptions> = {}) {
    const url = `${origin}/orders`
    const headers = await signRequest({ key: privateJwk, keyId: id, platform, url, ...more })
    return { method: 'GET', url: '/orders', headers, rawBody: new Uint8Array(0) }
  }
  const signer = await makeSigner()
  const decision = await api.check(await send(signer), { scopes: ['orders:read'] })
  t.match(decision, { ok: true, token: { sub: service.clientId, clientId: signer.id } })
  t.equal(await outcome(await send(signer)), 'ok')
  t.equal(asked(), 1, 'asked about once')
  t.equal(await outcome(await send(signer), { scopes: ['orders:write'] }), 'scope_missing')

  const other = await makeSigner()
  t.equal(await outcome(await send({ ...signer, privateJwk: other.privateJwk })), 'signature_wrong')
  const forged = await api.check(await send({ ...signer, privateJwk: other.privateJwk }))
  t.match(forged, { status: 401, body: /The signature is malformed, expired, revoked or not for this API\./ })
  t.equal(await outcome(await send({ ...signer, id: 'noSuchKey0000001' })), 'inactive')
  const secret = await make()
  t.equal(await outcome(await send({ ...signer, id: secret.id })), 'inactive', 'the id of a key that is shown as text')
  t.equal(await outcome(withKey(signer.id)), 'key_malformed', 'an id is no key')

  const bound = await makeSigner({ networks: ['192.0.2.0/24'] })
  t.equal(await outcome({ ...(await send(bound)), ip: '192.0.2.7' }), 'ok')
  t.equal(await outcome({ ...(await send(bound)), ip: '192.0.3.7' }), 'network_not_allowed')
  t.equal(await outcome(await send(bound)), 'network_not_allowed')

  const before = asked()
  await endApiKey(ctx, signer.id, { cause })
  await heard()
  t.equal(await outcome(await send(signer)), 'revoked')
  t.equal(asked(), before, 'the feed said so')

  t.equal(await outcome(await send(other)), 'ok')
  const rotatedAt = Math.floor(clock.now().getTime() / 1000)
  const successor = makeSigningKey()
  const { key: next } = await rotateApiKey(ctx, other.id, { publicJwk: successor.key.jwk, overlap: 60, by })
  await heard()
  t.match(await api.check(await send(other)), { ok: true, headers: { deprecation: `@${rotatedAt}` } })
  t.equal(await outcome(await send({ id: next.id, privateJwk: successor.privateJwk })), 'ok')
  t.equal(await outcome(await send({ id: next.id, privateJwk: other.privateJwk })), 'signature_wrong')
  clock.advance(60)
  await heard()
  t.equal(await outcome(await send(other)), 'inactive')
  t.equal(await outcome(await send({ id: next.id, privateJwk: other.privateJwk })), 'signature_wrong')
  clock.advance(1)
  const last = await makeSigner()
  t.equal(await outcome(await send(last)), 'ok')
  await endApiKeys(ctx, { kind: 'all' }, { cause })
  await heard()
  t.equal(await outcome(await send(last)), 'inactive')
})

t.test('without findKey it needs credentials', async (t) => {
  const issuer = await TestIssuer.start(t)
  const options = { issuer: issuer.issuer, audience, platform: issuer.platform }
  const schemes = [bearer, signature({ origin })]
  await t.rejects(protect({ ...options, schemes }), {
    name: 'ConfigurationError',
    message: /signature needs credentials/,
  })
})
