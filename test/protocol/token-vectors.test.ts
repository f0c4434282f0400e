import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import t from 'tap'
import { signingKeys } from '../../src/store/index.js'
import { isSigningAlg, type SigningAlg, signAtOnce, signOnThreadPool } from '../../src/tokens/keys/algorithms.js'
import { authorizationUrl } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import {
  printed,
  type VectorGroup,
  wycheproofCrypto,
  wycheproofJwe,
  wycheproofJwk,
  wycheproofJws,
} from '../support/jose-vectors.js'
import { createTestServer } from '../support/server.js'
import { apiIdentifier, introspect, postAs } from '../support/tokens.js'

// Published JWS, shown to the server as tokens of its own. The key of each is made one of the server's keys before, with the
// algorithm that the JWS names, so that it is refused for what it is and not for an unknown key.
//
// All are refused, those that hold too. By policy: the server signs with ES256, RS256, PS256 and EdDSA, and has no key for
// ES384, ES512, RS384, RS512, PS384, PS512, HS256, HS384, HS512 or `none`. And of its own algorithms it reads nothing but the
// header that it writes: `alg`, `typ` and `kid`, letter by letter, which no vector has. What such a key signs under that
// header is good, which is shown beside.

const server = await createTestServer(t)
const api = await server.createResource(apiIdentifier, 'read')
const { keys, db } = server.ctx

interface Vector {
  readonly name: string
  /** Undefined where there is no public key, or none of that name. */
  readonly jwk: JWK | undefined
  readonly secret: JWK | undefined
  readonly jws: unknown
  readonly valid: boolean
}

const keysOf = (one: VectorGroup['private']): readonly JWK[] => one.keys ?? [one]

const named = (set: readonly JWK[] = [], kid: unknown) => set.find((key) => key.kid === kid)

const vectors: readonly Vector[] = [
  ...wycheproofJws.testGroups.flatMap((group) =>
    group.tests.map(({ tcId, comment, jws, result }) => ({
      name: `Wycheproof JWS ${tcId} ${group.comment}: ${comment}`,
      jwk: group.public,
      secret: group.private,
      jws,
      valid: result === 'valid',
    })),
  ),
  ...[...wycheproofJwk.testGroups, ...wycheproofCrypto.testGroups].flatMap((group) =>
    group.tests.map(({ tcId, comment, jws, result }) => ({
      name: `Wycheproof JWK ${tcId} ${group.comment}: ${comment}`,
      jwk: named(group.public && keysOf(group.public), headerOf(jws)['kid']),
      secret: named(keysOf(group.private), headerOf(jws)['kid']),
      jws,
      valid: result === 'valid',
    })),
  ),
  ...wycheproofJwe.map(({ name, jwk, jwe }) => ({ name, jwk, secret: undefined, jws: jwe, valid: false })),
  ...printed.jws.map(({ section, jwk, compact }) => ({
    name: section,
    jwk: jwk.kty === 'oct' ? undefined : jwk,
    secret: undefined,
    jws: compact,
    valid: true,
  })),
]

function headerOf(jws: unknown): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(Buffer.from(String(jws).split('.')[0] ?? '', 'base64url').toString())
  } catch {
    return {}
  }
}

interface HeldKey {
  readonly kid: string
  readonly alg: SigningAlg
}

let held: (HeldKey & { readonly of: JWK }) | undefined

/**
 * Makes the key one of the server's: it verifies and does not sign, as one that another master key wraps.
 *
 * @returns undefined where the server has no algorithm for such a key
 */
async function hold({ jwk, jws }: Vector): Promise<HeldKey | undefined> {
  const { alg: saidAlg, kid: saidKid } = headerOf(jws)
  const publicKey = jwk && readPublic(jwk)
  const fitting = publicKey ? algorithmsOf(publicKey) : []
  const alg = fitting.find((each) => each === saidAlg) ?? fitting.find((each) => each === jwk?.alg) ?? fitting[0]
  const kid = typeof saidKid === 'string' ? saidKid : (jwk?.kid ?? 'vector')
  if (held && held.of === jwk && held.alg === alg && held.kid === kid) return held
  if (held) await signingKeys.remove(db, [held.kid])
  held = jwk && alg && { kid, alg, of: jwk }
  if (held) {
    const now = server.clock.now()
    const publicJwk = publicKey?.export({ format: 'jwk' }) as Record<string, unknown>
    const times = { createdAt: now, activeAt: now, retiredAt: now }
    const row = { kid, alg: held.alg, publicJwk, privateKey: Buffer.alloc(64), masterKeyId: 'another', ...times }
    await signingKeys.create(db, row)
  }
  await keys.refresh()
  return held
}

function readPublic(jwk: JWK): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...jwk } as JsonWebKey, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** Those of the server. */
function algorithmsOf(key: KeyObject): readonly SigningAlg[] {
  if (key.asymmetricKeyType === 'rsa') return ['RS256', 'PS256']
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA']
  return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? ['ES256'] : []
}

/** Whether the server takes what the private half of the key signs under the header that the server writes. */
async function takesItsOwn({ kid, alg }: HeldKey, secret: JWK): Promise<boolean> {
  const key = createPrivateKey({ key: { ...secret } as JsonWebKey, format: 'jwk' })
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg, typ: 'at+jwt', kid })}.${encode({ sub: 'user' })}`
  const sign = alg === 'ES256' || alg === 'EdDSA' ? signAtOnce : signOnThreadPool
  const signature = await sign(alg, key, Buffer.from(input))
  const verified = await keys.verify(`${input}.${signature.toString('base64url')}`, 'at+jwt')
  return verified?.kid === kid
}

const application = await server.createClient({ scope: 'openid' })
const browser = new TestBrowser(server)

/** What a client is answered who sends it as an ID token of ours. OIDC Core §3.1.2.1 */
async function hinted(id_token_hint: string) {
  const request = { scope: 'openid', prompt: 'none', id_token_hint }
  return (await browser.open(authorizationUrl(application, request))).answer
}

t.test('RFC 8725 §3.1: a JWS that is not a token of ours is refused, also where its signature holds', async (t) => {
  const refusedAlgs = new Set<unknown>()
  const heldAlgs = new Set<SigningAlg>()
  let holding = 0
  for (const vector of vectors) {
    const { name, jws, secret, valid } = vector
    const key = await hold(vector)
    const { alg, typ = 'JWT' } = headerOf(jws)
    const text = typeof jws === 'string' ? jws : JSON.stringify(jws)
    for (const each of new Set(['at+jwt', 'JWT', String(typ)])) t.equal(await keys.verify(text, each), undefined, name)
    if (text !== '') t.match(await hinted(text), { error: 'invalid_request' }, `${name}: as id_token_hint`)
    const answer = await introspect(server, api, text)
    if (text === '') t.match(answer, { error: 'invalid_request' }, `${name}: no token at all`)
    else t.same(answer, { active: false }, `${name}: introspected`)
    if (!valid) continue
    if (!isSigningAlg(String(alg))) refusedAlgs.add(alg)
    if (!key || key.alg !== alg) continue
    holding++
    heldAlgs.add(key.alg)
    if (secret) t.ok(await takesItsOwn(key, secret), `${name}: the same key under our header`)
  }
  const files = [wycheproofJws, wycheproofJwk, wycheproofCrypto]
  const published = files.reduce((sum, { numberOfTests }) => sum + numberOfTests, 0)
  t.equal(vectors.length, published + wycheproofJwe.length + printed.jws.length)
  t.same(
    [...refusedAlgs].sort(),
    ['ES512', 'HS256', 'HS384', 'HS512', 'PS384', 'PS512', 'RS384', 'RS512', 'none'],
    'algorithms of vectors that hold and that the server has no key for',
  )
  t.same([...heldAlgs].sort(), ['ES256', 'EdDSA', 'PS256', 'RS256'], 'and every one of its own was tried')
  t.ok(holding > 15, `${holding} vectors that hold, with a key that the server had`)
})

t.test('RFC 7517 A.2, RFC 8037 A.1: with a printed key the server takes its own header alone', async (t) => {
  const withSecret = printed.jwk.filter(({ jwk }) => jwk.d !== undefined)
  let tried = 0
  for (const { section, jwk } of withSecret) {
    const key = await hold({ name: section, jwk, secret: jwk, jws: '', valid: true })
    if (!key) continue
    tried++
    t.ok(await takesItsOwn(key, jwk), section)
    t.equal(JSON.stringify(keys.jwks()).includes(jwk.d ?? ''), false, `${section}: its private half is not published`)
  }
  t.ok(tried >= 2, `${tried} keys`)
})

t.test('and the same server takes a token of its own', async (t) => {
  const service = await server.createService('read')
  const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  t.match(await introspect(server, api, reply.json().access_token), { active: true })
})
