import t from 'tap'
import { TestIssuer } from './support/issuer.js'
import { until } from './support/platform.js'
import { encode, makeKey, signWith } from './support/signing.js'

const jwksOf = (issuer: TestIssuer): number => issuer.asked.filter((path) => path === '/jwks').length

t.test('attack 79: made-up key ids fetch the keys once per interval, however many there are', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  const flood = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => outcome(issuer.token({}, { kid: `made-up-${index}` }))))
  t.same(new Set(await flood(200)), new Set(['key_unknown']))
  t.equal(jwksOf(issuer), 1, 'right after they were fetched: not at all')
  issuer.platform.advance(5_000)
  await flood(200)
  await flood(200)
  t.equal(jwksOf(issuer), 2)
  issuer.platform.advance(4_999)
  await flood(200)
  t.equal(jwksOf(issuer), 2)
  issuer.platform.advance(1)
  await flood(200)
  t.equal(jwksOf(issuer), 3)
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('attack 79: a flood of them at a server that does not answer delays no good token', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  issuer.platform.advance(5_000)
  issuer.handlers.set('/jwks', () => undefined)
  const pending = outcome(issuer.token({}, { kid: 'made-up' }))
  t.equal(await outcome(issuer.token()), 'ok')
  issuer.platform.advance(5_000)
  t.equal(await pending, 'key_unknown', 'which gives up after 5 s')
})

t.test('a new key is found by the first token of it', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  const [old] = issuer.keys
  issuer.keys = [makeKey(), ...issuer.keys]
  issuer.platform.advance(5_000)
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome(issuer.token())))
  t.same(new Set(outcomes), new Set(['ok']))
  t.equal(jwksOf(issuer), 2, 'with one request for all who wait')
  t.equal(await outcome(issuer.token({}, { kid: old?.kid }, old)), 'ok')
})

t.test('attack 79: a key that was rotated out is refused, and so is what it signed before', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  const [old] = issuer.keys
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  issuer.keys = [makeKey()]
  issuer.platform.advance(300_000)
  t.equal(await outcome(token), 'key_unknown')
  t.equal(await outcome(issuer.token({}, { kid: old?.kid }, old)), 'key_unknown')
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('RFC 9111 §5.2.2.1: keys are fetched anew before they are due, and nobody waits for it', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  issuer.platform.advance(239_999)
  t.equal(await outcome(issuer.token()), 'ok')
  t.equal(jwksOf(issuer), 1)
  issuer.platform.advance(1)
  const answers: (() => void)[] = []
  issuer.handlers.set('/jwks', (_, response) => {
    answers.push(() => response.end(JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) })))
  })
  t.equal(await outcome(issuer.token()), 'ok', 'while the answer is out')
  await until('the keys were asked for', () => answers.length === 1)
  answers[0]?.()
})

t.test('what the server says of caching is followed within bounds', async (t) => {
  const cases: readonly (readonly [Record<string, string>, number])[] = [
    [{ 'cache-control': 'max-age=100' }, 100],
    [{ 'cache-control': 'public,  MAX-AGE=100 , must-revalidate' }, 100],
    [{ 'cache-control': 'no-store' }, 300],
    [{}, 300],
    [{ 'cache-control': 'max-age=0' }, 10],
    [{ 'cache-control': 'max-age=999999999' }, 86_400],
    [{ 'cache-control': 's-maxage=7, max-age="x"' }, 300],
  ]
  for (const [headers, seconds] of cases) {
    const issuer = await TestIssuer.start(t)
    issuer.jwksHeaders = headers
    const { outcome } = await issuer.protect(t)
    const token = () => issuer.token({ exp: issuer.platform.seconds + 60 })
    issuer.platform.advance(seconds * 800 - 1)
    await outcome(token())
    t.equal(jwksOf(issuer), 1, JSON.stringify(headers))
    issuer.platform.advance(seconds * 200 + 1)
    await outcome(token())
    t.equal(jwksOf(issuer), 2, JSON.stringify(headers))
  }
})

t.test('keys outlive a server that is away, or answers nonsense', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome, warnings } = await issuer.protect(t)
  const bad = [
    '',
    'x',
    '{}',
    '{"keys":[]}',
    '{"keys":{}}',
    `{"keys":[],"keys":[${JSON.stringify(issuer.key.jwk)}]}`,
    JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'x' }] }),
    JSON.stringify({ keys: Array.from({ length: 100 }, () => issuer.key.jwk) }),
    JSON.stringify({ keys: [issuer.key.jwk], padding: 'x'.repeat(300_000) }),
  ]
  for (const body of bad) {
    issuer.handlers.set('/jwks', (_, response) => response.end(body))
    issuer.platform.advance(300_000)
    await outcome(issuer.token())
    await until('it was asked', () => !warnings.every((each) => !each.includes('kept')))
    t.equal(await outcome(issuer.token()), 'ok', body.slice(0, 30))
    warnings.length = 0
  }
  issuer.handlers.set('/jwks', (_, response) => response.writeHead(302, { location: `${issuer.issuer}/other` }).end())
  issuer.platform.advance(300_000)
  t.equal(await outcome(issuer.token()), 'ok')
  t.notOk(issuer.asked.includes('/other'), 'a redirect is not followed')
  await issuer.stop()
  issuer.platform.advance(86_400_000)
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('attack 81: keys that are weak, or cost much, or are none, sign nothing', async (t) => {
  const issuer = await TestIssuer.start(t)
  const good = issuer.key
  const rsa = makeKey('RS256').jwk
  const modulus = Buffer.from(String(rsa['n']), 'base64url')
  const large = (bytes: number) =>
    Buffer.concat([Buffer.from([0x80]), Buffer.alloc(bytes - 2, 0x11), Buffer.from([1])]).toString('base64url')
  const bad: Record<string, object> = {
    'RSA of 512 bits': { ...rsa, n: large(64) },
    'RSA of 1024 bits': { ...rsa, n: large(128) },
    'RSA of 16384 bits': { ...rsa, n: large(2048) },
    'an RSA modulus with a zero before it': {
      ...rsa,
      n: Buffer.concat([Buffer.from([0]), modulus]).toString('base64url'),
    },
    'an even RSA modulus': {
      ...rsa,
      n: Buffer.concat([modulus.subarray(0, -1), Buffer.from([2])]).toString('base64url'),
    },
    'an RSA exponent of 1': { ...rsa, e: 'AQ' },
    'an even RSA exponent': { ...rsa, e: 'AQAA' },
    'an RSA exponent of 40 bits': { ...rsa, e: 'AQAAAAE' },
    'RSA without alg': { ...rsa, alg: undefined },
    'RSA for ES256': { ...rsa, alg: 'ES256' },
    'RSA for HS256': { ...rsa, alg: 'HS256' },
    'RSA for encryption': { ...rsa, alg: 'RSA-OAEP-256' },
    'RSA with padded numbers': { ...rsa, n: `${rsa['n']}=` },
    'a point that is not on the curve': { ...good.jwk, y: good.jwk['x'] },
    'a point of another curve': { ...good.jwk, crv: 'P-384' },
    'an unknown curve': { ...good.jwk, crv: 'secp256k1', alg: 'ES256K' },
    'a curve by the name of a method': { ...good.jwk, crv: 'constructor' },
    'another algorithm of the curve': { ...good.jwk, alg: 'ES384' },
    'a coordinate too short': { ...good.jwk, x: String(good.jwk['x']).slice(0, 40) },
    'the point at infinity': { ...good.jwk, x: 'A'.repeat(43), y: 'A'.repeat(43) },
    'an OKP key on a NIST curve': { ...good.jwk, kty: 'OKP' },
    'for encryption': { ...good.jwk, use: 'enc' },
    'for signing alone': { ...good.jwk, key_ops: ['sign'] },
    'operations that occur twice': { ...good.jwk, key_ops: ['verify', 'verify'] },
    'a private key': good.privateKey.export({ format: 'jwk' }),
    'a secret': { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' },
    'an unknown type': { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' },
  }
  issuer.handlers.set('/jwks', (_, response) => {
    const keys = Object.entries(bad).map(([kid, jwk]) => ({ ...jwk, kid }))
    response.end(JSON.stringify({ keys: [good.jwk, ...keys, null, 1, 'x', []] }))
  })
  const { api, outcome, warnings } = await issuer.protect(t)
  t.equal(api.health().keys, 1)
  t.equal(warnings.length, Object.keys(bad).length + 4, 'each is told of')
  for (const kid of Object.keys(bad)) t.equal(await outcome(issuer.token({}, { kid })), 'key_unknown', kid)
  t.equal(await outcome(issuer.token()), 'ok', 'RFC 7517 §5: the others are used')
})

t.test('RFC 7517 §4.5: of two keys of one name neither is used', async (t) => {
  const issuer = await TestIssuer.start(t)
  const good = issuer.key
  const twin = makeKey()
  issuer.keys = [
    good,
    { ...twin, jwk: { ...twin.jwk, kid: 'same' } },
    { ...twin, jwk: { ...makeKey().jwk, kid: 'same' } },
  ]
  const { api, outcome } = await issuer.protect(t)
  t.equal(api.health().keys, 1)
  t.equal(await outcome(issuer.token({}, { kid: 'same' }, twin)), 'key_unknown')
})

t.test('the same id with another key: what the old one signed is verified anew', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  issuer.keys = [{ ...makeKey(), kid: issuer.key.kid }].map((key) => ({ ...key, jwk: { ...key.jwk, kid: key.kid } }))
  issuer.platform.advance(300_000)
  t.equal(await outcome(token), 'key_unknown')
  t.equal(await outcome(token), 'signature_wrong')
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('RFC 8414 §3.3: a server that calls itself otherwise, or leads elsewhere, is not trusted', async (t) => {
  const refusals: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ issuer: 'https://evil.example' }, /calls itself/],
    [{ issuer: undefined }, /calls itself/],
    [{ jwks_uri: 'http://evil.example/jwks' }, /must be https/],
    [{ jwks_uri: undefined }, /is no URL/],
    [{ jwks_uri: 'file:///etc/passwd' }, /must be https/],
    [{ jwks_uri: 'https://user:secret@evil.example/jwks' }, /has credentials/],
    [{ introspection_endpoint: 'http://10.0.0.1/' }, /must be https/],
  ]
  for (const [metadata, message] of refusals) {
    const issuer = await TestIssuer.start(t)
    issuer.metadata = metadata
    await t.rejects(issuer.protect(t), message)
  }
})

t.test('an issuer is https, or http on loopback', async (t) => {
  const issuer = await TestIssuer.start(t)
  for (const wrong of [
    'http://auth.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.nip.io',
    'http://127.0.0.1@evil.example',
    'http://[::ffff:10.0.0.1]',
    'http://0.0.0.0',
    'ftp://localhost',
    'https://auth.example?x',
    'https://auth.example#x',
    'auth.example',
    '',
  ]) {
    await t.rejects(issuer.protect(t, { issuer: wrong }), { name: 'ConfigurationError' }, wrong)
  }
  t.equal(issuer.asked.length, 0)
})

t.test('options that make no sense are refused at once', async (t) => {
  const issuer = await TestIssuer.start(t)
  for (const wrong of [
    { audience: '' },
    { clockSkew: 11 },
    { clockSkew: -1 },
    { tolerance: 0 },
    { tolerance: Number.NaN },
    { onStale: 'introspect' as const },
    { credentials: { clientId: 'x', clientSecret: '' } },
  ]) {
    await t.rejects(issuer.protect(t, wrong), { name: 'ConfigurationError' }, JSON.stringify(wrong))
  }
})

t.test('a server that is away at the start: 503, and then it works', async (t) => {
  const issuer = await TestIssuer.start(t)
  await issuer.stop()
  let returned = false
  const protecting = issuer.protect(t).finally(() => {
    returned = true
  })
  await issuer.platform.passUntil('it gives up waiting', () => returned)
  const { api, outcome, warnings } = await protecting
  t.match(api.health(), { state: 'starting', revocation: 'undecided', problem: /cannot be reached/ })
  t.match(warnings, [/cannot be asked/])
  t.equal(await outcome(issuer.token()), 'starting')
  await issuer.startAgain()
  await until('it is ready', () => {
    issuer.platform.advance(1_000)
    return api.health().state === 'ready'
  })
  t.equal(await outcome(issuer.token()), 'ok')
})

t.test('a header that is not ours is not read for its kid', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  const token = signWith(
    issuer.key,
    `{"kid":"${issuer.key.kid}","alg":"ES256","typ":"at+jwt","kid":"x"}`,
    issuer.claims(),
  )
  t.equal(await outcome(token), 'header_malformed')
  t.match(await outcome(`${encode('"x"')}.${encode('{}')}.AAAA`), 'header_malformed')
})
