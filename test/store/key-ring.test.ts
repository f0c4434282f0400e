import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { loadConfig } from '../../src/platform/config/index.js'
import { givenMasterKeys, masterKey } from '../../src/platform/crypto/master-key.js'
import { type Database, signingKeys } from '../../src/store/index.js'
import { createKeyRing, type KeyRing, signingAlgs } from '../../src/tokens/index.js'
import { openTestStore, type TestStore } from '../support/store.js'

const { config } = loadConfig({ env: {} })
const { rotationInterval, publishBefore } = config.keys
const longestToken = 3600
const by = { actor: 'operator' }
/** For clocks that differ. */
const skew = 60
const key = masterKey(Buffer.alloc(32, 7))

function ring(store: TestStore, db: Database = store.db, master = key): KeyRing {
  const { clock, random } = store
  return createKeyRing({ db, masterKeys: givenMasterKeys(master), clock, random, config, longestToken })
}

const kids = ({ keys }: { readonly keys: readonly { readonly kid?: string }[] }) => keys.map(({ kid }) => kid)
const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid
const sign = (keys: KeyRing) => keys.sign({ sub: 'x' }, { alg: 'ES256', typ: 'at+jwt' })

t.test('RFC 7515: every algorithm signs what jose verifies by the published keys', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(signingAlgs)
  const jwks = createLocalJWKSet(keys.jwks() as Parameters<typeof createLocalJWKSet>[0])

  for (const alg of signingAlgs) {
    const claims = { sub: 'ünï', n: 1, iat: 1 }
    const token = await keys.sign(claims, { alg, typ: 'at+jwt' })
    const { payload, protectedHeader } = await jwtVerify(token, jwks, { algorithms: [alg], typ: 'at+jwt' })
    t.same(payload, claims, alg)
    t.match(protectedHeader, { alg, typ: 'at+jwt', kid: /^[\w-]{43}$/ })
    t.same(await keys.verify(token, 'at+jwt'), { kid: protectedHeader.kid, claims })
    t.equal(await keys.verify(token, 'jwt'), undefined, 'RFC 8725 §3.11: of another type')
    const [header, body, signature] = token.split('.')
    const other = Buffer.from(JSON.stringify({ ...claims, sub: 'eve' })).toString('base64url')
    t.equal(await keys.verify(`${header}.${other}.${signature}`, 'at+jwt'), undefined)
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt', kid: protectedHeader.kid })).toString(
      'base64url',
    )
    t.equal(await keys.verify(`${none}.${body}.`, 'at+jwt'), undefined)
  }
  t.same(
    keys
      .jwks()
      .keys.map(({ alg, use, d, p }) => ({ alg, use, secret: d ?? p }))
      .sort((a, b) => (a.alg! < b.alg! ? -1 : 1)),
    [...signingAlgs].sort().map((alg) => ({ alg, use: 'sig', secret: undefined })),
    'and no private part is published',
  )
  for (const garbage of ['', 'a.b.c', 'a.b', '....', `${'a'.repeat(10_000)}.b.c`]) {
    t.equal(await keys.verify(garbage, 'at+jwt'), undefined)
  }
})

t.test('200 signatures at once are each of their own claims', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(['ES256'])
  const tokens = await Promise.all(
    Array.from({ length: 200 }, (_, n) => keys.sign({ n }, { alg: 'ES256', typ: 'at+jwt' })),
  )
  const verified = await Promise.all(tokens.map((token) => keys.verify(token, 'at+jwt')))
  t.same(
    verified.map((token) => token?.claims),
    tokens.map((_, n) => ({ n })),
  )
})

t.test('processes that start together make one key for each algorithm', async (t) => {
  const store = await openTestStore(t)
  const rings = [ring(store), ring(store, store.another()), ring(store, store.another())]
  await Promise.all(rings.map((keys) => keys.ensure(['ES256', 'EdDSA', 'ES256'])))

  const rows = await store.sql('SELECT alg FROM signing_key ORDER BY alg')
  t.same(
    rows.map(({ alg }) => alg),
    ['ES256', 'EdDSA'],
  )
  for (const keys of rings) t.same(kids(keys.jwks()), kids(rings[0]!.jwks()))
  t.ok(await rings[1]!.verify(await sign(rings[0]!), 'at+jwt'))

  await rings[0]!.ensure(['ES256', 'EdDSA'])
  t.equal((await store.sql('SELECT FROM signing_key')).length, 2, 'what is there is left alone')
})

t.test('without a key nothing is signed', async (t) => {
  const store = await openTestStore(t)
  await t.rejects(sign(ring(store)), { message: 'there is no signing key for ES256' })
})

t.test('what rests in the database is ciphertext, bound to its row', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(signingAlgs)
  const rows = await signingKeys.list(store.db, store.now())
  t.equal(rows.length, signingAlgs.length)
  for (const { privateKey, publicJwk, masterKeyId } of rows) {
    t.equal(masterKeyId, key.id)
    t.notOk(['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].some((name) => name in publicJwk))
    // PKCS #8 begins with a sequence and a version.
    t.notOk(privateKey.includes(Buffer.from('020100', 'hex')) && privateKey[0] === 0x30)
    t.notOk(privateKey.includes('PRIVATE KEY'))
  }
  const [one, two] = rows
  await store.sql('UPDATE signing_key SET private_key = $2 WHERE kid = $1', [one!.kid, two!.privateKey])
  await t.rejects(ring(store).refresh(), 'the private half of another row is no key of this one')
})

t.test('another master key is an error that says what to do', async (t) => {
  const store = await openTestStore(t)
  await ring(store).ensure(['ES256'])
  const other = ring(store, store.db, masterKey(Buffer.alloc(32, 8)))
  await t.rejects(other.refresh(), { name: 'WrongMasterKeyError', message: /MASTER_KEY_FILE/ })
  await t.rejects(other.refresh(), { message: new RegExp(key.id.slice(0, 8)) })
})

t.test('a successor is published before it signs, and the old key until its last token has expired', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(['ES256'])
  const [first] = kids(keys.jwks())
  const token = await sign(keys)

  store.clock.advance(rotationInterval - publishBefore - 1)
  t.same(await keys.rotate('due', by), [], 'not a second too early')
  store.clock.advance(1)
  const [second] = await keys.rotate('due', by)
  t.same(kids(keys.jwks()), [first, second], 'both are published')
  t.equal(kidOf(await sign(keys)), first, 'but the first one signs')
  t.same(await keys.rotate('due', by), [], 'and no third is made')
  t.same(await keys.rotate('next', by), [])
  t.equal(
    (await store.sql(`SELECT FROM audit_event WHERE type = 'key.rotated'`)).length,
    1,
    'and what did nothing is none',
  )

  store.clock.advance(publishBefore - 1)
  const last = await sign(keys)
  t.equal(kidOf(last), first)
  store.clock.advance(1)
  t.equal(kidOf(await sign(keys)), second, 'then the second, to the second')
  t.same(await keys.rotate('due', by), [])

  store.clock.advance(longestToken + skew - 1)
  await keys.refresh()
  t.same(kids(keys.jwks()), [first, second])
  t.ok(await keys.verify(last, 'at+jwt'))
  store.clock.advance(1)
  t.same(kids(keys.jwks()), [second], 'without having read again')
  t.equal(await keys.verify(token, 'at+jwt'), undefined)
  await keys.refresh()
  t.same(kids(keys.jwks()), [second])
})

t.test('a rotation that is due is done once by two workers', async (t) => {
  const store = await openTestStore(t)
  const workers = [ring(store), ring(store, store.another())]
  await workers[0]!.ensure(['ES256', 'EdDSA'])
  store.clock.advance(rotationInterval)

  const made = (await Promise.all([...workers, ...workers].map((keys) => keys.rotate('due', by)))).flat()

  t.equal(made.length, 2, 'one for each algorithm')
  t.equal((await store.sql('SELECT FROM signing_key')).length, 4)
})

t.test('rotate now: a new key signs at once, and the old one stays for what it signed', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  const other = ring(store, store.another())
  await keys.ensure(['ES256'])
  await other.refresh()
  const [first] = kids(keys.jwks())

  store.clock.advance(10)
  const [second] = await keys.rotate('now', by)
  t.equal(kidOf(await sign(keys)), second)
  // A process that has not heard goes on for a moment: what it signs is good.
  const behind = await sign(other)
  t.equal(kidOf(behind), first)
  t.ok(await keys.verify(behind, 'at+jwt'))
  await other.refresh()
  t.equal(kidOf(await sign(other)), second)

  store.clock.advance(longestToken + skew)
  t.same(kids(keys.jwks()), [second])
})

t.test('end: what a key signed is worth nothing, at once, and another signs', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  const other = ring(store, store.another())
  await keys.ensure(['ES256', 'EdDSA'])
  await other.refresh()
  await keys.rotate('next', by)
  const before = kids(keys.jwks())
  const token = await sign(keys)
  t.ok(await keys.verify(token, 'at+jwt'))

  const ended = await keys.end(undefined, by)
  t.same([...ended].sort(), [...before].sort(), 'also those that wait: they lay in the same place')
  t.equal(kids(keys.jwks()).length, 2)
  t.notOk(kids(keys.jwks()).some((kid) => before.includes(kid)))
  t.equal(await keys.verify(token, 'at+jwt'), undefined, 'remembered or not')
  t.ok(await keys.verify(await sign(keys), 'at+jwt'))
  t.match(
    await store.sql(`SELECT target, terminal, expires_at, audiences FROM revocation WHERE kind = 'key'`),
    before.map(() => ({ terminal: true, expires_at: null, audiences: [] })),
  )
  t.same(
    (await store.sql(`SELECT detail FROM audit_event WHERE type = 'key.revoked'`))
      .map(({ detail }) => (detail as { kid: string }).kid)
      .sort(),
    [...before].sort(),
  )
  t.same(await store.sql('SELECT FROM signing_key WHERE kid = ANY($1)', [before]), [], 'the private half is gone')
  await other.refresh()
  t.equal(await other.verify(token, 'at+jwt'), undefined)
})

t.test('end of one key: the one that waits for its place signs, and nothing else ends', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(['ES256', 'EdDSA'])
  const waiting = await keys.rotate('next', by)
  const first = kidOf(await sign(keys))
  t.same(await keys.end([first], by), [first])
  const second = kidOf(await sign(keys))
  t.ok(waiting.includes(second))
  t.equal(kids(keys.jwks()).length, 3)
  t.same(await keys.end(['unknown'], by), [])
  t.equal(kids(keys.jwks()).length, 3)
})

t.test('rotate now takes the key that waits, and ends the old one now instead of then', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(['ES256'])
  const [first] = kids(keys.jwks())
  const [second] = await keys.rotate('next', by)
  t.equal(kidOf(await sign(keys)), first)

  store.clock.advance(60)
  t.same(await keys.rotate('now', by), [], 'no third is made')
  t.equal(kidOf(await sign(keys)), second)
  t.match(
    await store.sql(`SELECT actor, detail FROM audit_event WHERE type = 'key.rotated' ORDER BY time`),
    [false, true].map((now) => ({ actor: 'operator', detail: { keys: [second], now } })),
    'each is an event',
  )
  store.clock.advance(longestToken + skew)
  t.same(kids(keys.jwks()), [second])
})

t.test('reads of several processes and of one at once never bring an older state back', async (t) => {
  const store = await openTestStore(t)
  const keys = ring(store)
  await keys.ensure(['ES256'])
  for (let round = 0; round < 5; round++) {
    store.clock.advance(1)
    const reads = Promise.all([keys.refresh(), keys.refresh()])
    const [made] = await keys.rotate('now', by)
    await Promise.all([reads, keys.refresh()])
    t.equal(kidOf(await sign(keys)), made)
  }
})
