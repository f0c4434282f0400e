import t from 'tap'
import { bearer, signature } from '../../packages/resource-server/src/index.js'
import { signRequest } from '../../packages/resource-server/src/sign.js'
import { keyId, makeSigningKey, origin, post, signedScene, withHeaders } from './support/signed.js'
import { makeKey } from './support/signing.js'

const json = { 'content-type': 'application/json' }

t.test('RFC 9421 §3.2: a signed request is let through, with what its key may do', async (t) => {
  const { api, key, send } = await signedScene(t)
  const decision = await api.check(await send(post), { scopes: ['orders:read'] })
  t.equal(decision.ok && decision.token, key.token)
  t.match(await api.check(await send(post), { scopes: ['orders:write'] }), { status: 403, reason: 'scope_missing' })
})

t.test('what is signed is what is sent', async (t) => {
  const { outcome, send } = await signedScene(t)
  const urls = ['/', '', '?', '/?', '/a//b/%2e%2E/c%2fd', '/a;b=c?x=1&x=2&y=%00', "/~!$&'()*+,;=:@", '/ä/ü?ß']
  for (const path of urls) t.equal(await outcome(await send({ url: `${origin}${path}` })), 'ok', path)
  t.equal(await outcome(await send({ url: `${origin}/a#fragment` })), 'ok', 'a fragment is not sent')
  t.equal(await outcome(await send({ url: new URL('/a', origin) })), 'ok')
  for (const method of ['get', 'POST', 'DELETE', 'patch', 'QUERY']) {
    const sent = await send({ method })
    const asSent = { ...sent, method: method === 'get' ? 'GET' : method }
    t.equal(await outcome(asSent), 'ok', method)
  }
  const whole = await send()
  t.equal(await outcome({ ...whole, url: `${origin}${whole.url}` }), 'ok', 'the address as a proxy is sent it')
  for (const body of ['', 'ü', new Uint8Array([0, 255]), new Uint8Array(0), '{"item":1}']) {
    t.equal(await outcome(await send({ method: 'PUT', body })), 'ok')
  }
  const covered = { ...json, 'X-Of-The-Client': 'a,  b', accept: '*/*' }
  t.equal(await outcome(await send({ ...post, headers: covered, cover: ['X-Of-The-Client', 'accept'] })), 'ok')
})

t.test('what the origin of the API is, no request says', async (t) => {
  const { outcome, send } = await signedScene(t)
  const elsewhere = await send({ url: 'https://other.example/orders' })
  const named = withHeaders(elsewhere, { host: 'other.example', 'x-forwarded-host': 'other.example' })
  t.equal(await outcome(elsewhere), 'signature_wrong', 'signed for another API')
  t.equal(await outcome(named), 'signature_wrong', 'whatever Host says')
  t.equal(await outcome({ ...named, url: 'https://other.example/orders' }), 'signature_wrong')
  t.equal(await outcome(await send({ url: 'http://orders.example/orders' })), 'signature_wrong', 'in the clear')
  for (const url of ['*', 'orders.example:443', '', 'orders']) {
    t.equal(await outcome({ ...(await send()), url }), 'component_absent', `the target ${JSON.stringify(url)}`)
  }
  for (const wrong of [
    '',
    'orders.example',
    `${origin}/`,
    `${origin}/a`,
    'HTTPS://Orders.example',
    `${origin}:443`,
    'ftp://a',
  ]) {
    t.throws(() => signature({ origin: wrong, findKey: async () => undefined }), { name: 'ConfigurationError' }, wrong)
  }
})

t.test('a key that is none, is for something else, has ended or cannot be asked for', async (t) => {
  const { outcome, send, keys, key, platform } = await signedScene(t)
  keys.delete(keyId)
  t.equal(await outcome(await send()), 'key_unknown')
  for (const alg of ['ES256', 'RS256']) {
    keys.set(keyId, { ...key, jwk: makeKey(alg).jwk })
    t.equal(await outcome(await send()), 'key_unknown', alg)
  }
  keys.set(keyId, { ...key, jwk: { ...key.jwk, x: 'AAAA' } })
  t.equal(await outcome(await send()), 'key_unknown', 'malformed')
  keys.set(keyId, { ...key, jwk: makeSigningKey().key.jwk })
  t.equal(await outcome(await send()), 'signature_wrong', 'of somebody else')
  keys.set(keyId, { ...key, token: { ...key.token, expiresAt: platform.seconds - 5 } })
  t.equal(await outcome(await send()), 'expired')
  const away = await signedScene(t, { findKey: () => Promise.reject(new Error('away')) })
  t.match(await away.api.check(await away.send()), { status: 503, reason: 'introspection_unavailable' })
})

t.test('a body that nobody can read, or that is too long', async (t) => {
  const { api, outcome, send } = await signedScene(t, { bodyLimit: 10 })
  t.equal(await outcome(await send(post)), 'ok')
  const long = await send({ ...post, body: '12345678901' })
  t.match(await api.check(long), { status: 413, reason: 'body_too_large' })
  t.match(await api.check({ ...long, rawBody: async () => 'body_too_large' }), { status: 413 })
  const unread = { ...(await send(post)), rawBody: undefined }
  t.match(await api.check(unread), { status: 503, reason: 'body_unavailable' })
  const length = withHeaders(await send(post), { 'content-length': '11' })
  const neverRead = { ...length, rawBody: () => Promise.reject(new Error('it was read')) }
  t.match(await api.check(neverRead), { status: 413 })
  const forged = withHeaders(await send(post), { signature: `ostiary=:${'A'.repeat(86)}==:` })
  const notRead = { ...forged, rawBody: () => Promise.reject(new Error('it was read')) }
  t.equal(await outcome(notRead), 'signature_wrong', 'of a request that nobody signed nothing is read')
})

t.test('attack 116: a key that is ended while the body is still coming is refused', async (t) => {
  const { api, outcome, send, keys, key, platform } = await signedScene(t)
  const slowly = (sent: Awaited<ReturnType<typeof send>>, milliseconds: number, meanwhile = () => {}) => ({
    ...sent,
    rawBody: async () => {
      platform.advance(milliseconds)
      meanwhile()
      return sent.rawBody as Uint8Array<ArrayBuffer>
    },
  })
  t.equal(await outcome(slowly(await send(post), 30_000)), 'ok')
  t.equal(await outcome(slowly(await send(post), 66_000)), 'signature_expired')
  const ended = slowly(await send(post), 250, () => keys.delete(keyId))
  t.equal(await outcome(ended), 'key_unknown')
  keys.set(keyId, key)
  const { clientId, sub } = key.token
  const narrower = { ...key, token: { ...key.token, scope: [] } }
  const narrowed = slowly(await send(post), 250, () => keys.set(keyId, narrower))
  t.match(await api.check(narrowed, { scopes: ['orders:read'] }), { reason: 'scope_missing' }, 'what it may do by then')
  t.match(await api.check(await send(post)), { token: { clientId, sub, scope: [] } })
  keys.set(keyId, key)
  const { jwk } = makeSigningKey().key
  const replaced = slowly(await send(post), 250, () => keys.set(keyId, { ...key, jwk }))
  t.equal(await outcome(replaced), 'signature_wrong', 'another key by then')
  keys.set(keyId, key)
  t.equal(
    await outcome({ ...(await send(post)), rawBody: () => Promise.reject(new Error('aborted')) }),
    'body_unavailable',
  )
})

t.test('requests of the Fetch standard are checked as they are, and their body stays', async (t) => {
  const { outcome, privateJwk, platform } = await signedScene(t, { bodyLimit: 1000 })
  const url = `${origin}/orders?page=2`
  const make = async (body: string | undefined, method = 'POST') => {
    const headers = await signRequest({ key: privateJwk, keyId, platform, method, url, body })
    return new Request(url, { method, headers, body })
  }
  const good = await make('{"item":1}')
  t.equal(await outcome(good), 'ok')
  t.equal(await good.text(), '{"item":1}')
  t.equal(await outcome(await make(undefined, 'GET')), 'ok')
  t.equal(await outcome(await make('1'.repeat(1001))), 'body_too_large')
  const { headers } = await make('1')
  t.equal(await outcome(new Request(url, { method: 'POST', headers, body: '2' })), 'digest_wrong')
  const used = await make('1')
  await used.text()
  t.equal(await outcome(used), 'body_unavailable')
})

t.test('a client signs with a key that it cannot give away, and is told what it cannot sign', async (t) => {
  const { outcome, send, privateJwk, keys, key } = await signedScene(t)
  const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])
  if (!('publicKey' in pair)) return t.fail('no pair')
  keys.set(keyId, { ...key, jwk: { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)) } })
  t.equal(await outcome(await send({ key: pair.privateKey })), 'ok')
  const url = `${origin}/`
  const sign = (options: object) => signRequest({ key: privateJwk, keyId, url, ...options })
  await t.rejects(sign({ cover: ['date'] }), TypeError, 'a header that is not there')
  await t.rejects(sign({ headers: { 'x-a': 'ü' }, cover: ['x-a'] }), TypeError)
  await t.rejects(sign({ keyId: 'a"b' }), TypeError)
  await t.rejects(sign({ url: 'https://a:b@orders.example/' }), TypeError)
  await t.rejects(sign({ url: '/orders' }), TypeError)
  await t.rejects(sign({ key: { kty: 'OKP' } }))
})

t.test('RFC 6750 §2: a request shows one thing, unless two are required', async (t) => {
  const { issuer, outcome, send, platform, keys, scheme } = await signedScene(t, {}, {})
  const { api } = await issuer.protect(t, { schemes: [bearer, scheme] })
  const token = `Bearer ${issuer.token()}`
  t.match(await api.check({ headers: { authorization: token } }), { ok: true })
  t.match(await api.check(withHeaders(await send(), { authorization: token })), { status: 400 })
  t.match(await api.check({ headers: {} }), {
    status: 401,
    headers: { 'www-authenticate': /^Bearer resource_metadata="[^"]+", Signature resource_metadata=/ },
  })
  t.equal(await outcome(await send()), 'ok')
  t.ok(keys.size === 1 && platform.now() > 0)
})

t.test('two locks: both are required, of the same subject, and what each permits', async (t) => {
  const scene = await signedScene(t)
  const { issuer, send, keys, key, scheme } = scene
  const { api } = await issuer.protect(t, { schemes: [bearer, scheme], require: ['bearer', 'signature'] })
  const token = (claims: object) => ({ authorization: `Bearer ${issuer.token({ scope: 'orders:read', ...claims })}` })
  const both = async (claims: object) => withHeaders(await send(), token(claims))

  t.match(await api.check(await both({ sub: 'service-1' }), { scopes: ['orders:read'] }), {
    ok: true,
    token: { sub: 'service-1', clientId: 'app-1', scope: ['orders:read'] },
  })
  t.match(await api.check(await both({ sub: 'service-2' })), { status: 401, reason: 'subjects_differ' })
  t.match(await api.check(await send()), { status: 401, reason: 'credentials_missing' })
  t.match(await api.check({ headers: token({ sub: 'service-1' }) }), { status: 401, reason: 'credentials_missing' })
  const wider = await both({ sub: 'service-1', scope: 'orders:read orders:write' })
  t.match(await api.check(wider, { scopes: ['orders:write'] }), { status: 403 }, 'the other lock has no such scope')
  const forged = withHeaders(await both({ sub: 'service-1' }), { signature: `ostiary=:${'A'.repeat(86)}==:` })
  t.match(await api.check(forged), { status: 401, reason: 'signature_wrong' })
  keys.set(keyId, { ...key, token: { ...key.token, expiresAt: 3e9 } })
  const decision = await api.check(await both({ sub: 'service-1' }))
  t.equal(decision.ok && decision.token.expiresAt, issuer.platform.seconds + 600, 'until the first of them ends')

  const wrong = { schemes: [bearer], require: ['bearer', 'signature'] }
  await t.rejects(issuer.protect(t, wrong), { name: 'ConfigurationError' })
  await t.rejects(issuer.protect(t, { schemes: [bearer, bearer] }), { name: 'ConfigurationError' })
})

t.test('options have bounds', async (t) => {
  const make = (options: object) => () => signature({ origin, findKey: async () => undefined, ...options })
  for (const wrong of [
    { maxAge: 4 },
    { maxAge: 301 },
    { maxAge: 60.5 },
    { clockSkew: 11 },
    { clockSkew: -1 },
    { capacity: 0 },
  ]) {
    t.throws(make(wrong), { name: 'ConfigurationError' }, JSON.stringify(wrong))
  }
  t.doesNotThrow(make({ maxAge: 300, clockSkew: 10, capacity: 1, bodyLimit: 0 }))
})
