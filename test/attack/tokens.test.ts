import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import t, { type Test } from 'tap'
import { decrypt } from '../../src/platform/crypto/encryption.js'
import { sha256 } from '../../src/platform/crypto/hash.js'
import { masterKey } from '../../src/platform/crypto/master-key.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { createTestServer, sql, type TestServer, testIssuer } from '../support/server.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  introspect,
  lookupsOf,
  openScene,
  postAs,
  refresh,
  revokeAt,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const by = { actor: 'operator' }
const inactive = { active: false }

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const headerOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())

/** The key that a server signs with: what nobody outside has, so that each check behind the signature can be tried alone. */
async function signingKey(of: TestServer, kid: string): Promise<KeyObject> {
  const [row] = await sql(of, 'SELECT private_key FROM signing_key WHERE kid = $1', [kid])
  const der = decrypt(masterKey(Buffer.alloc(32, 7)).key, row?.private_key, `signing key ${kid}`)
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function es256(key: KeyObject, header: object, claims: unknown): string {
  const input = `${encode(header)}.${typeof claims === 'string' ? claims : encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** Refused to everybody, wherever a token can be presented; and nothing comes of trying to revoke it. */
async function isNoToken(t: Test, token: string, message: string): Promise<void> {
  for (const caller of [api, client]) t.same(await introspect(server, caller, token), inactive, message)
  const size = server.ctx.revocations.size()
  t.equal((await revokeAt(server, client, token)).statusCode, 200)
  t.equal(server.ctx.revocations.size(), size, message)
  // Else everything would be refused for its `jti`.
  t.match(await introspect(server, api, good), { active: true })
}

const { access_token: good } = await tokensFor(scene)
const header = headerOf(good)
const claims = claimsOf(good)
const key = await signingKey(server, header.kid)

t.test('attack 77: what is tried here would be accepted if it were signed right', async (t) => {
  t.match(await introspect(server, api, es256(key, header, { ...claims, jti: 'other' })), {
    active: true,
    jti: 'other',
  })
})

t.test('attack 77: no signature, or one by the public key as a secret', async (t) => {
  const publicKey = createPublicKey(key)
  const jwk = publicKey.export({ format: 'jwk' })
  const secrets = [
    publicKey.export({ format: 'pem', type: 'spki' }),
    publicKey.export({ format: 'der', type: 'spki' }),
    JSON.stringify(jwk),
    JSON.stringify((await server.get('/jwks')).json().keys[0]),
    '',
  ]
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '']) {
    const input = `${encode({ ...header, alg })}.${encode(claims)}`
    for (const signature of ['', good.split('.')[2]]) await isNoToken(t, `${input}.${signature}`, `alg ${alg}`)
  }
  for (const alg of ['HS256', 'HS512']) {
    const input = `${encode({ ...header, alg })}.${encode(claims)}`
    for (const secret of secrets) {
      const hash = alg === 'HS256' ? 'sha256' : 'sha512'
      await isNoToken(t, `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`, alg)
    }
  }
  await isNoToken(t, `${encode(header)}.${encode(claims)}`, 'two parts')
  await isNoToken(t, `${encode(header)}.${encode(claims)}.`, 'an empty signature')
})

t.test('attack 77: signatures that prove nothing', async (t) => {
  const input = good.slice(0, good.lastIndexOf('.'))
  const der = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'der' })
  for (const [name, signature] of Object.entries({
    'all zero': Buffer.alloc(64),
    'all ones': Buffer.alloc(64, 255),
    'the DER form': der,
    'too short': Buffer.alloc(63),
    'too long': Buffer.alloc(65),
  })) {
    await isNoToken(t, `${input}.${signature.toString('base64url')}`, name)
  }
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  await isNoToken(t, es256(other, header, claims), 'another key under our kid')
  const [, , signature] = good.split('.')
  await isNoToken(t, `${encode(header)}.${encode({ ...claims, scope: 'admin' })}.${signature}`, 'other claims')
  await isNoToken(t, `${encode({ ...header, x: 1 })}.${good.split('.').slice(1).join('.')}`, 'another header')
  const twice = Buffer.from(`{"sub":"x",${JSON.stringify(claims).slice(1)}`).toString('base64url')
  await isNoToken(t, `${encode(header)}.${twice}.${signature}`, 'a claim twice')
})

t.test('attack 77: the type says what a token is for', async (t) => {
  for (const typ of [
    'JWT',
    'id_token+jwt',
    'logout+jwt',
    'secevent+jwt',
    'client-authentication+jwt',
    'AT+JWTX',
    '',
    undefined,
    1,
    ['at+jwt'],
  ]) {
    await isNoToken(t, es256(key, { ...header, typ }, claims), `typ ${String(typ)}`)
  }
  const { typ: _, ...untyped } = header
  await isNoToken(t, es256(key, untyped, claims), 'no type')
})

t.test('attack 77: the algorithm is the key’s, and the key is one of ours', async (t) => {
  const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = attacker.publicKey.export({ format: 'jwk' })
  for (const more of [
    { jwk },
    { jwk, kid: undefined },
    { jwk: { ...jwk, kid: header.kid } },
    { jku: 'http://127.0.0.1:1/jwks', kid: undefined },
    { x5u: 'http://127.0.0.1:1/cert.pem' },
    { x5c: ['MIIB'] },
  ]) {
    await isNoToken(t, es256(attacker.privateKey, { ...header, ...more }, claims), Object.keys(more).join())
  }
  for (const kid of [
    '',
    '../../etc/passwd',
    '/dev/null',
    "' OR 1=1 --",
    '%',
    '0',
    'constructor',
    '__proto__',
    null,
    0,
    [header.kid],
    {},
  ]) {
    const statements = await lookupsOf(server, async () => {
      t.same(await introspect(server, api, es256(attacker.privateKey, { ...header, kid }, claims)), inactive)
      t.same(await introspect(server, api, es256(key, { ...header, kid }, claims)), inactive, String(kid))
    })
    t.same(statements, [], 'nothing is looked up by it')
  }
  const { kid: _, ...without } = header
  await isNoToken(t, es256(key, without, claims), 'no kid')
  for (const alg of ['RS256', 'PS256', 'ES384', 'ES256K', 'EdDSA', 'es256']) {
    await isNoToken(t, es256(key, { ...header, alg }, claims), alg)
  }
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const input = `${encode({ ...header, alg: 'RS256' })}.${encode(claims)}`
  await isNoToken(t, `${input}.${sign('sha256', Buffer.from(input), rsa).toString('base64url')}`, 'RS256 by an RSA key')
})

t.test('attack 77: what a header calls critical is not ours to ignore', async (t) => {
  for (const more of [
    { crit: ['exp'], exp: 1 },
    { crit: ['b64'], b64: false },
    { b64: false },
    { crit: ['http://example.invalid/unknown'] },
    { crit: [] },
    { crit: 'b64' },
    { crit: ['b64', 'b64'], b64: true },
  ]) {
    const token = es256(key, { ...header, ...more }, claims)
    await isNoToken(t, token, JSON.stringify(more))
  }
})

t.test('attack 77: a token has one spelling', async (t) => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(good.at(-1) ?? '')
  for (const bits of [1, 2, 4, 8]) {
    // 64 bytes leave four bits of the last character unused.
    await isNoToken(t, good.slice(0, -1) + alphabet[last ^ bits], `unused bits ${bits}`)
  }
  const [head = '', body = '', signature = ''] = good.split('.')
  const base64 = (text: string) => text.replaceAll('-', '+').replaceAll('_', '/')
  for (const [name, token] of Object.entries({
    padding: `${good}==`,
    'padding of a part': `${head}.${body}=.${signature}`,
    'trailing data': `${good}.x`,
    'an empty part': `${good}.`,
    'a space': `${good} `,
    'a space before': ` ${good}`,
    'a space within': `${head}.${body}. ${signature}`,
    JSON: JSON.stringify({ protected: head, payload: body, signature }),
    'JSON, flat': JSON.stringify({ payload: body, signatures: [{ protected: head, signature }] }),
    detached: `${head}..${signature}`,
    'a scheme': `Bearer ${good}`,
  })) {
    await isNoToken(t, token, name)
  }
  // Enough signatures that one has a character in which the two alphabets differ.
  for (let index = 0; index < 8; index++) {
    const token = es256(key, header, { ...claims, jti: `${index}` })
    const [first, second, third = ''] = token.split('.')
    if (base64(third) !== third) await isNoToken(t, `${first}.${second}.${base64(third)}`, 'the other alphabet')
  }
})

t.test('attack 77: what is signed and is no claim set', async (t) => {
  for (const payload of ['', encode(null), encode([]), encode('x'), encode(1), 'bm8', encode({})]) {
    await isNoToken(t, es256(key, header, payload), payload)
  }
})

t.test('attack 78: another issuer, another audience, several of them', async (t) => {
  for (const iss of [`${testIssuer}/`, 'http://LOCALHOST:3000', 'https://evil.example', undefined, [testIssuer]]) {
    await isNoToken(t, es256(key, header, { ...claims, iss }), `iss ${String(iss)}`)
  }
  const other = await server.createResource('https://other.example.com', 'other')
  t.same(await introspect(server, other, good), inactive, 'not for this resource server')
  for (const aud of [
    [apiIdentifier, 'https://evil.example'],
    [apiIdentifier],
    'https://api.example.com/',
    undefined,
    null,
  ]) {
    const token = es256(key, header, { ...claims, aud, client_id: 'somebody' })
    t.same(await introspect(server, api, token), inactive, `aud ${String(aud)}`)
  }
  for (const exp of [undefined, null, 'x', 0]) {
    await isNoToken(t, es256(key, header, { ...claims, exp }), `exp ${String(exp)}`)
  }
  // It may still be good by another process's clock, so it can be revoked (attack 133); it is no token here all the same.
  const expired = es256(key, header, {
    ...claims,
    jti: 'expired',
    exp: Math.floor(server.clock.now().getTime() / 1000),
  })
  for (const caller of [api, client]) t.same(await introspect(server, caller, expired), inactive, 'expired')
})

t.test('attack 79: a key that was rotated out is refused after the last token of it', async (t) => {
  const own = await openScene(t)
  const { access_token } = await tokensFor(own)
  const old = await signingKey(own.server, headerOf(access_token).kid)
  await own.server.ctx.keys.rotate('now', { actor: 'operator' })
  // As whoever stole the old key would make it.
  const forged = es256(old, headerOf(access_token), { ...claimsOf(access_token), exp: 4_102_444_800 })
  t.match(await introspect(own.server, own.api, forged), { active: true }, 'while tokens of it may live')
  const { access_token: next } = await tokensFor(own)
  t.not(headerOf(next).kid, headerOf(access_token).kid)

  own.server.clock.advance(3_600 + 60)
  const again = es256(old, headerOf(access_token), { ...claimsOf(access_token), exp: 4_102_444_800, jti: 'another' })
  t.same(await introspect(own.server, own.api, again), inactive)
  t.same(await introspect(own.server, own.api, forged), inactive, 'also one that was seen before')
  const { keys } = (await own.server.get('/jwks')).json()
  t.notOk(keys.some(({ kid }: { kid: string }) => kid === headerOf(access_token).kid))
})

t.test('attack 77: what a revoked key signs is refused by every process, whatever it says', async (t) => {
  const own = await openScene(t)
  const beside = await createTestServer(t, { beside: own.server })
  const tokens = await tokensFor(own)
  const { kid } = headerOf(tokens.access_token)
  const stolen = await signingKey(own.server, kid)
  const forged = es256(stolen, headerOf(tokens.access_token), {
    ...claimsOf(tokens.access_token),
    jti: 'forged',
    exp: 4_000_000_000,
  })
  t.match(await introspect(beside, own.api, forged), { active: true }, 'with the key in hand it is')
  await own.server.ctx.keys.end([kid], by)
  // The other process has not heard that the key is gone: introspection reads the list.
  t.ok(beside.ctx.keys.list().some((each) => each.kid === kid))
  for (const token of [tokens.access_token, forged]) {
    t.same(await introspect(own.server, own.api, token), inactive)
    t.same(await introspect(beside, own.api, token), inactive)
    t.equal((await beside.get('/revocations', { authorization: `Bearer ${token}` })).statusCode, 401)
  }
  own.server.clock.advance(40 * 86_400)
  await beside.refresh()
  t.same(await introspect(beside, own.api, forged), inactive, 'for ever')
  const next = await refresh(own.server, own.client, tokens.refresh_token)
  t.equal(next.statusCode, 400, 'past its idle time')
})

t.test('attack 79: unknown key ids make nobody read the keys again', async (t) => {
  const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  await introspect(server, api, 'warm')
  const statements = await lookupsOf(server, () =>
    Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        introspect(server, api, es256(attacker, { ...header, kid: sha256(`${index}`).toString('base64url') }, claims)),
      ),
    ),
  )
  t.same(statements, [])
})

t.test('attack 80: a truncated opaque token', async (t) => {
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const service = await server.createService('view')
  const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'view' })
  const { access_token: token } = reply.json()
  t.match(await introspect(server, opaque, token), { active: true })
  const statements = await lookupsOf(server, async () => {
    for (let length = 1; length < token.length; length++) {
      t.same(await introspect(server, opaque, token.slice(0, length)), inactive)
      t.same(await introspect(server, opaque, token.slice(length)), inactive)
    }
    t.same(await introspect(server, opaque, `${token}x`), inactive)
    t.same(await introspect(server, opaque, token.replace('oat_', 'ort_').slice(0, -1)), inactive)
  })
  t.same(statements, [], 'never looked up by a part')
  for (const token of [(await tokensFor(scene)).refresh_token]) {
    t.same(await introspect(server, client, token.slice(0, -1)), inactive)
    t.match((await refresh(server, client, token.slice(0, -1))).json(), { error: 'invalid_grant' })
  }
})

/** Counts what WebCrypto and node:crypto, by which JWTs are verified, are asked to do. */
async function cryptoCalls(work: () => Promise<unknown>): Promise<readonly string[]> {
  const calls: string[] = []
  const restore = [
    count(Object.getPrototypeOf(globalThis.crypto.subtle), [
      'verify',
      'decrypt',
      'deriveBits',
      'deriveKey',
      'unwrapKey',
      'importKey',
    ]),
    count(createRequire(import.meta.url)('node:crypto'), [
      'verify',
      'createVerify',
      'createDecipheriv',
      'privateDecrypt',
      'pbkdf2',
      'pbkdf2Sync',
      'diffieHellman',
      'createPublicKey',
      'createPrivateKey',
      'createSecretKey',
    ]),
  ]
  // What was imported by name follows.
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    for (const undo of restore) undo()
    syncBuiltinESMExports()
  }
  return calls

  function count(owner: Record<string, (...args: unknown[]) => unknown>, names: readonly string[]): () => void {
    const originals = names.map((name) => [name, owner[name]!] as const)
    for (const [name, original] of originals) {
      owner[name] = function (this: unknown, ...args: unknown[]) {
        calls.push(name)
        return original.apply(this, args)
      }
    }
    return () => {
      for (const [name, original] of originals) owner[name] = original
    }
  }
}

t.test('attack 81: tokens that cost more to read than to make', async (t) => {
  const jwe = (head: object) => [encode(head), '', encode('iv'), 'A'.repeat(4000), encode('tag')].join('.')
  const huge = 'A'.repeat(5000)
  const tokens = {
    'a zip bomb': jwe({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' }),
    'PBES2 with 2^31 rounds': jwe({ alg: 'PBES2-HS512+A256KW', enc: 'A256GCM', p2c: 2 ** 31, p2s: 'AAAA' }),
    'dir with a key of the wrong length': jwe({ alg: 'dir', enc: 'A128CBC-HS256', kid: header.kid }),
    'ECDH-ES on another curve': jwe({
      alg: 'ECDH-ES',
      enc: 'A256GCM',
      epk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' },
    }),
    'RSA with a huge modulus': `${encode({ alg: 'RS256', typ: 'at+jwt', jwk: { kty: 'RSA', n: huge, e: 'AQAB' } })}.e30.AA`,
    'RSA with a huge exponent': `${encode({ alg: 'RS256', typ: 'at+jwt', jwk: { kty: 'RSA', n: 'AQAB', e: huge } })}.e30.AA`,
    'many parts': '.'.repeat(8000),
    'a deep header': `${Buffer.from('['.repeat(3000)).toString('base64url')}.e30.AA`,
    'a deep payload': `${encode(header)}.${Buffer.from('['.repeat(4000)).toString('base64url')}.AA`,
  }
  const calls = await cryptoCalls(async () => {
    const statements = await lookupsOf(server, async () => {
      for (const [name, token] of Object.entries(tokens)) t.same(await introspect(server, api, token), inactive, name)
    })
    t.same(statements, [])
  })
  t.ok(
    calls.every((name) => name === 'verify'),
    `nothing is decrypted, derived or imported: ${calls}`,
  )
  t.ok(calls.length <= 1, 'one signature is checked at most: where a key of ours is named')
  t.same(await cryptoCalls(() => introspect(server, api, es256(key, header, { ...claims, jti: 'counted' }))), [
    'verify',
  ])
  const long = await postAs(server, api, '/introspect', { token: 'x'.repeat(8193) })
  t.match(long.json(), { error: 'invalid_request' }, 'beyond 8 KiB none is read at all')
})

t.test('attack 84: of several not-befores the stricter wins, in whatever order they came', async (t) => {
  const identifier = 'https://roles.example'
  const owner = await server.createResource(identifier, 'look', { usesRoles: true })
  await createRole(server.ctx, { resource: identifier, name: 'looker', scope: ['look'] }, by)
  const cause = { ...by, reason: 'test' }
  const kinds = ['client', 'user', 'role'] as const
  const beside = await createTestServer(t, { beside: server })

  for (const [index, early] of kinds.entries()) {
    for (const late of kinds.filter((kind) => kind !== early)) {
      const user = await server.createUser(`${early}.${late}@example.com`)
      const app = await server.createClient({ ...application, scope: 'look' })
      const holder = { kind: 'user', holder: user.id } as const
      await grantRole(server.ctx, identifier, 'looker', holder, by)
      const end = async (kind: (typeof kinds)[number]) => {
        if (kind === 'client') return revoke(server.ctx, { kind, clientId: app.clientId }, cause)
        if (kind === 'user') return revoke(server.ctx, { kind, userId: user.id }, cause)
        await withdrawRole(server.ctx, identifier, 'looker', holder, by)
        return grantRole(server.ctx, identifier, 'looker', holder, by)
      }
      const fresh = () => tokensFor({ ...scene, client: app, user }, { scope: ['look'], resources: [identifier] })
      const isActive = async ({ access_token }: { access_token: string }) =>
        (await introspect(beside, owner, access_token)).active

      const first = await fresh()
      server.clock.advance(2)
      await end(early)
      server.clock.advance(2)
      const between = await fresh()
      t.same([await isActive(first), await isActive(between)], [false, true], `${index}: ${early}`)
      server.clock.advance(2)
      await end(late)
      t.same([await isActive(first), await isActive(between)], [false, false], `${early}, then ${late}`)
      server.clock.advance(2)
      t.ok(await isActive(await fresh()))
    }
  }
})

t.test('attack 84: a not-before that comes later with an earlier instant takes nothing back', async (t) => {
  const app = await server.createClient(application)
  const inScene = { ...scene, client: app }
  const tokens = await tokensFor(inScene)
  const cause = { ...by, reason: 'test' }
  await revoke(server.ctx, { kind: 'client', clientId: app.clientId }, cause)
  server.clock.advance(-3_600)
  await revoke(server.ctx, { kind: 'client', clientId: app.clientId }, cause)
  t.same(await introspect(server, api, tokens.access_token), inactive)
  server.clock.advance(3_600 + 120)
  t.same(await introspect(server, api, tokens.access_token), inactive, 'nor when the second one has run out')
  t.match((await refresh(server, app, tokens.refresh_token)).json(), { error: 'invalid_grant' })
})
