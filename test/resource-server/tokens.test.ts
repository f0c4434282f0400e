import { Buffer } from 'node:buffer'
import t from 'tap'
import { audience, TestIssuer } from './support/issuer.js'
import { encode, hmac, makeKey, signatureOf, signWith } from './support/signing.js'

const issuer = await TestIssuer.start(t)
const { outcome, check } = await issuer.protect(t)
const { key } = issuer

t.test('RFC 9068: a token of the server for this API is accepted, with what it says', async (t) => {
  const token = issuer.token({ roles: ['clerk'] })
  t.match(await check(token), {
    ok: true,
    token: {
      sub: 'user-1',
      clientId: 'app-1',
      scope: ['orders:read', 'orders:write'],
      roles: ['clerk'],
      expiresAt: issuer.platform.seconds + 600,
      claims: { iss: issuer.issuer },
    },
  })
  t.equal(await outcome(token), 'ok', 'a second time, remembered')
  t.equal(
    await outcome(issuer.token({}, { typ: 'application/at+jwt' })),
    'ok',
    'RFC 9068 §2.1: the long form of the type',
  )
})

t.test('what requests share can be changed by none of them', async (t) => {
  const token = issuer.token({ roles: ['clerk'], act: { sub: 'x' } })
  const decision = await check(token)
  if (!decision.ok) return t.fail(decision.reason)
  t.throws(() => Object.assign(decision.token.claims, { scope: 'admin' }), TypeError)
  t.throws(() => Object.assign(decision.token.claims['act'] ?? {}, { sub: 'y' }), TypeError)
  t.throws(
    () => [...[decision.token.scope]].forEach((scope) => void Array.prototype.push.call(scope, 'admin')),
    TypeError,
  )
})

for (const alg of ['EdDSA', 'RS256', 'PS256', 'ES384']) {
  t.test(`${alg} is accepted where a key is for it`, async (t) => {
    const other = await TestIssuer.start(t)
    other.keys = [makeKey(alg)]
    const { outcome } = await other.protect(t)
    t.equal(await outcome(other.token()), 'ok')
    t.equal(await outcome(other.token({}, { alg: 'ES256' })), 'signature_wrong', 'RFC 8725 §3.1')
  })
}

t.test('attack 77: no signature, or one by the public key as a secret', async (t) => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', undefined, null, 0]) {
    for (const signature of ['', issuer.token().split('.')[2]]) {
      const token = `${encode(issuer.header({ alg }))}.${encode(issuer.claims())}.${signature}`
      t.match(await outcome(token), /^(?:token_malformed|signature_wrong)$/, `alg ${alg}`)
    }
  }
  const secrets = [
    key.publicKey.export({ format: 'pem', type: 'spki' }),
    key.publicKey.export({ format: 'der', type: 'spki' }),
    JSON.stringify(key.jwk),
    '',
  ]
  for (const secret of secrets) {
    t.equal(await outcome(hmac(secret, issuer.header({ alg: 'HS256' }), issuer.claims())), 'signature_wrong')
  }
})

t.test('attack 77: an RSA key is for the one algorithm that it names', async (t) => {
  const other = await TestIssuer.start(t)
  other.keys = [makeKey('RS256')]
  const { outcome } = await other.protect(t)
  t.equal(
    await outcome(signWith({ ...other.key, alg: 'PS256' }, other.header({ alg: 'PS256' }), other.claims())),
    'signature_wrong',
  )
  t.equal(
    await outcome(signWith({ ...other.key, alg: 'RS512' }, other.header({ alg: 'RS512' }), other.claims())),
    'signature_wrong',
  )
  const secret = other.key.publicKey.export({ format: 'pem', type: 'spki' })
  t.equal(await outcome(hmac(secret, other.header({ alg: 'HS256' }), other.claims())), 'signature_wrong')
})

t.test('attack 77: signatures that prove nothing', async (t) => {
  const token = issuer.token()
  const input = token.slice(0, token.lastIndexOf('.'))
  for (const [name, signature] of Object.entries({
    'all zero (CVE-2022-21449)': Buffer.alloc(64),
    'all ones': Buffer.alloc(64, 255),
    'too short': Buffer.alloc(63, 1),
    'too long': Buffer.alloc(65, 1),
    'of another key': signatureOf('ES256', makeKey().privateKey, input),
  })) {
    t.equal(await outcome(`${input}.${signature.toString('base64url')}`), 'signature_wrong', name)
  }
  const [header, , signature] = token.split('.')
  t.equal(await outcome(`${header}.${encode(issuer.claims({ scope: 'admin' }))}.${signature}`), 'signature_wrong')
  t.equal(await outcome(`${encode(issuer.header({ x: 1 }))}.${token.split('.').slice(1).join('.')}`), 'signature_wrong')
})

t.test('attack 77: the type says what a token is for', async (t) => {
  const wrong = [
    'JWT',
    'id_token+jwt',
    'logout+jwt',
    'secevent+jwt',
    'client-authentication+jwt',
    'at+jwtx',
    '',
    undefined,
    1,
    ['at+jwt'],
  ]
  for (const typ of wrong) t.equal(await outcome(issuer.token({}, { typ })), 'type_wrong', String(typ))
})

t.test('attack 77: a key that the token brings along or points to is not looked at', async (t) => {
  const attacker = makeKey()
  const before = issuer.platform.fetched.length
  for (const more of [
    { jwk: attacker.jwk, kid: attacker.kid },
    { jwk: attacker.jwk },
    { jwk: attacker.jwk, kid: undefined },
    { jku: `${issuer.issuer}/evil` },
    { x5u: `${issuer.issuer}/evil` },
    { x5c: ['MIIB'] },
  ]) {
    t.match(
      await outcome(issuer.token({}, more, attacker)),
      /^(?:key_unknown|signature_wrong)$/,
      Object.keys(more).join(),
    )
  }
  t.ok(
    issuer.platform.fetched.slice(before).every((url) => url.endsWith('/jwks')),
    'and nothing else was fetched',
  )
})

t.test('attack 77: kid injection', async (t) => {
  for (const kid of [
    '',
    '../../etc/passwd',
    '/dev/null',
    "' OR 1=1 --",
    '__proto__',
    'constructor',
    'toString',
    0,
    null,
    [key.kid],
    {},
  ]) {
    t.equal(await outcome(issuer.token({}, { kid })), 'key_unknown', JSON.stringify(kid))
  }
})

t.test('attack 77: what must be understood and is not', async (t) => {
  for (const more of [
    { crit: ['exp'], exp: 1 },
    { crit: [] },
    { crit: ['b64'], b64: false },
    { b64: false },
    { b64: true },
  ]) {
    t.equal(await outcome(issuer.token({}, more)), 'header_critical', JSON.stringify(more))
  }
})

t.test('attack 77: a member that occurs twice, at any depth', async (t) => {
  const payload = JSON.stringify(issuer.claims({ act: { sub: 'a' } }))
  const header = JSON.stringify(issuer.header())
  t.equal(await outcome(signWith(key, header, payload)), 'ok', 'as it should be')
  const claims = [
    `{"sub":"x",${payload.slice(1)}`,
    `{"s\\u0075b":"x",${payload.slice(1)}`,
    payload.replace('{"sub":"a"', '{"sub":"b","sub":"a"'),
  ]
  for (const text of claims) t.equal(await outcome(signWith(key, header, text)), 'claims_malformed', text.slice(0, 20))
  t.equal(await outcome(signWith(key, `{"alg":"none",${header.slice(1)}`, payload)), 'header_malformed')
})

t.test('attack 77: claims and headers that are no object', async (t) => {
  for (const payload of ['[]', 'null', '1', '"x"', '', '{', `${JSON.stringify(issuer.claims())}x`, '\ufeff{}']) {
    t.equal(await outcome(signWith(key, issuer.header(), payload)), 'claims_malformed', payload.slice(0, 5))
    if (payload !== '') t.equal(await outcome(signWith(key, payload, issuer.claims())), 'header_malformed')
  }
  const latin1 = `${encode(issuer.header())}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}`
  const token = `${latin1}.${signatureOf('ES256', key.privateKey, latin1).toString('base64url')}`
  t.equal(await outcome(token), 'claims_malformed', 'RFC 7519 §7.2: it is UTF-8')
})

t.test('attack 77: one token has one spelling', async (t) => {
  // 64 bytes are 86 characters, whose last one has four bits to spare.
  const token = issuer.token()
  t.equal(await outcome(token), 'ok')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.at(-1) ?? '')
  for (const other of [last + 1, last + 15]) {
    t.equal(await outcome(token.slice(0, -1) + alphabet[other]), 'token_malformed', 'bits that are left over')
  }
  const [header = '', payload = '', signature = ''] = token.split('.')
  const spellings = [
    `${header}=.${payload}.${signature}`,
    `${header}.${payload}.${signature}==`,
    `${header}.${payload}.${signature}=`,
    `${header}\n.${payload}.${signature}`,
    `${header}. ${payload}.${signature}`,
    `${token}.`,
    `${token}.x`,
    `.${token}`,
    `${header}..${signature}`,
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${header.slice(0, -1)}é.${payload}.${signature}`,
    `${header}.${payload}.${signature.slice(0, -2)}+/`,
  ]
  for (const spelling of spellings) {
    t.match(
      await outcome(spelling),
      /^(?:token_malformed|request_malformed|header_malformed|claims_malformed|signature_wrong)$/,
      spelling.slice(-4),
    )
  }
})

t.test('attack 78: another issuer or audience', async (t) => {
  const { issuer: iss } = issuer
  for (const wrong of [`${iss}/`, iss.toUpperCase(), iss.replace('http', 'https'), '', undefined, [iss], 1]) {
    t.equal(await outcome(issuer.token({ iss: wrong })), 'issuer_wrong', String(wrong))
  }
  for (const wrong of [
    'https://other.example',
    `${audience}/`,
    audience.toUpperCase(),
    '',
    undefined,
    [],
    [audience, 'https://other.example'],
    [[audience]],
    { 0: audience },
    null,
  ]) {
    t.equal(await outcome(issuer.token({ aud: wrong })), 'audience_wrong', JSON.stringify(wrong))
  }
  t.equal(await outcome(issuer.token({ aud: [audience] })), 'ok', 'RFC 7519 §4.1.3: an array of one')
})

t.test('attack 78: times that have not come, or are over, or are none', async (t) => {
  const now = issuer.platform.seconds
  const cases: readonly (readonly [object, string])[] = [
    [{ exp: now - 5 }, 'expired'],
    [{ exp: now - 4, iat: now - 60 }, 'ok'],
    [{ nbf: now + 6 }, 'not_yet_valid'],
    [{ nbf: now + 5 }, 'ok'],
    [{ iat: now + 6 }, 'issued_in_future'],
    [{ iat: now + 5 }, 'ok'],
    [{ iat: now + 3, exp: now + 2 }, 'issued_in_future'],
    ...[undefined, null, 'x', `${now + 600}`, -1, 1e300, [], {}].map((exp): [object, string] => [
      { exp },
      'claim_missing',
    ]),
    ...[undefined, null, 'x', -1].map((iat): [object, string] => [{ iat }, 'claim_missing']),
    ...[null, 'x', -1].map((nbf): [object, string] => [{ nbf }, 'claim_missing']),
  ]
  for (const [claims, expected] of cases)
    t.equal(await outcome(issuer.token({ ...claims })), expected, JSON.stringify(claims))
})

t.test('RFC 9068 §2.2: what every access token says is there, and what ends one has its type', async (t) => {
  for (const name of ['sub', 'client_id', 'jti']) {
    for (const value of [undefined, '', null, 1, ['x']])
      t.equal(await outcome(issuer.token({ [name]: value })), 'claim_missing', name)
  }
  for (const name of ['grant_id', 'sid']) {
    for (const value of ['', null, 1, ['grant-1']])
      t.equal(await outcome(issuer.token({ [name]: value })), 'claim_missing', name)
  }
  t.equal(await outcome(issuer.token({ scope: ['orders:read'] })), 'claim_missing')
  t.equal(await outcome(issuer.token({ scope: undefined, grant_id: undefined, sid: undefined })), 'ok')
})

t.test('a remembered token ends with its time', async (t) => {
  const other = await TestIssuer.start(t)
  const { api, outcome } = await other.protect(t)
  const token = other.token()
  t.equal(await outcome(token), 'ok')
  t.equal(api.health().tokens, 1)
  other.platform.advance(604_000)
  t.equal(await outcome(token), 'ok', 'with the skew of clocks')
  other.platform.advance(1_000)
  t.equal(await outcome(token), 'expired')
  t.equal(api.health().tokens, 0, 'and is forgotten')
})

t.test('a clock that is set back makes a remembered token one that has not come', async (t) => {
  const other = await TestIssuer.start(t)
  const { outcome } = await other.protect(t)
  const token = other.token()
  t.equal(await outcome(token), 'ok')
  other.platform.setClock(-60_000)
  t.equal(await outcome(token), 'not_yet_valid')
})

t.test('what is remembered is bounded', async (t) => {
  const other = await TestIssuer.start(t)
  const { api, outcome } = await other.protect(t, { cacheSize: 5 })
  for (let index = 0; index < 20; index++) t.equal(await outcome(other.token()), 'ok')
  t.equal(api.health().tokens, 5)
  for (let index = 0; index < 8; index++) t.equal(await outcome(other.token({ padding: 'x'.repeat(2_000) })), 'ok')
  t.ok(api.health().tokens < 5, 'also where tokens are long')
})

t.test('attack 72: a certificate-bound token is no bearer token', async (t) => {
  t.equal(
    await outcome(issuer.token({ cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } })),
    'token_bound',
  )
})

t.test('attack 75: a DPoP-bound token sent as Bearer', async (t) => {
  for (const cnf of [{ jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' }, {}, null, 'x', { unheard: 1 }]) {
    const decision = await check(issuer.token({ cnf }))
    t.match(decision, { ok: false, status: 401, reason: 'token_bound' })
    if (!decision.ok) t.match(decision.headers['www-authenticate'], /error="invalid_token"/)
  }
})

t.test('attack 81: tokens that cost much to read', async (t) => {
  const asked = issuer.platform.fetched.length
  const huge = [
    'a'.repeat(1_000_000),
    `${'a'.repeat(500_000)}.${'a'.repeat(500_000)}.a`,
    '.'.repeat(100_000),
    signWith(key, issuer.header(), `{"a":${'['.repeat(4_000)}${']'.repeat(4_000)}}`),
    `${encode(`{"a":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`)}.AA.AA`,
    // A JWE, with a bomb to unpack or a billion rounds of PBKDF2: five parts, whose header nobody reads.
    `${encode({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' })}..AAAA.AAAA.AAAA`,
    `${encode({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2 ** 31 - 1, p2s: 'AA' })}.AA.AAAA.AAAA.AAAA`,
  ]
  for (const token of huge) t.match(await outcome(token), /malformed/, token.slice(0, 20))
  t.equal(issuer.platform.fetched.length, asked, 'and nobody is asked')
})
