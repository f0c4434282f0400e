import t from 'tap'
import { drawApiKey, drawApiKeyId } from '../../src/api-keys/format.js'
import { createApiKey, endApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { hashApiKey } from '../../src/api-keys/secret.js'
import { disableClient, enableClient } from '../../src/clients/index.js'
import { disableUser, enableUser, setPassword } from '../../src/identity/index.js'
import { createTier } from '../../src/limits/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { revoke } from '../../src/revocation/index.js'
import { type ApiKeyOwner, apiKeys } from '../../src/store/index.js'
import { newPublicJwk } from '../support/key-pairs.js'
import { refused } from '../support/refused.js'
import { createTestServer, type TestClient } from '../support/server.js'

const server = await createTestServer(t)
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }
const identifier = 'https://api.example'
const api = await server.createResource(identifier, 'read write')
const other = await server.createResource('https://other.example', 'other')
await beside.refresh()
const user = await server.createUser()
const owner: ApiKeyOwner = { kind: 'user', id: user.id }
const day = 86_400

async function make(request: Partial<Parameters<typeof createApiKey>[1]> = {}) {
  const { key, text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], ...request }, by)
  return { key, text }
}

async function introspect(token: string, asker: TestClient = api, at = server, hint?: string) {
  const form = { token, ...(hint === undefined ? {} : { token_type_hint: hint }) }
  const reply = await at.post('/introspect', form, { authorization: asker.basic })
  t.equal(reply.statusCode, 200)
  return reply.json()
}

/** At both processes, as the clock stands. */
async function isActive(token: string): Promise<boolean> {
  const [here, there] = await Promise.all([introspect(token), introspect(token, api, beside)])
  t.equal(here.active, there.active, 'both processes say the same')
  return here.active
}

t.test('RFC 7662 §2.2: a resource server learns what a key may do there', async (t) => {
  const { key, text } = await make({
    scope: ['read', 'write', 'other'],
    name: 'Nightly  report',
    networks: ['192.0.2.0/24'],
  })
  const now = Math.floor(clock.now().getTime() / 1000)
  t.same(await introspect(text), {
    active: true,
    token_type: 'api_key',
    iss: ctx.config.server.issuer,
    client_id: key.id,
    sub: user.id,
    aud: identifier,
    scope: 'read write',
    iat: now,
    exp: now + 90 * day,
    api_key: {
      kind: 'secret',
      prefix: 'sk',
      environment: 'live',
      name: 'Nightly report',
      owner: 'user',
      networks: ['192.0.2.0/24'],
      chain: key.id,
    },
  })
  t.match(await introspect(text, other), { active: true, aud: 'https://other.example', scope: 'other' })
})

t.test('attack 82: nobody else learns anything of a key', async (t) => {
  const { key, text } = await make()
  const stranger = await server.createClient()
  t.same(await introspect(text, stranger), { active: false })
  t.same(await introspect(text, other), { active: false }, 'an API that it is not for')
  t.same(await introspect(key.id), { active: false }, 'the id is public, and no key')
})

t.test('the client that owns a key may ask about it', async (t) => {
  const client = await server.createService('read write')
  const { text } = await make({ owner: { kind: 'client', id: client.clientId }, scope: ['read'] })
  t.match(await introspect(text, client), { active: true, sub: client.clientId, aud: identifier })
})

t.test(
  'attack 113: one that was mistyped is refused before any lookup, one that was made up by its secret',
  async (t) => {
    const { key, text } = await make()
    const lookups: string[] = []
    const { query } = ctx.db.pool
    ctx.db.pool.query = ((...args: Parameters<typeof query>) => {
      const [config] = args as unknown as [{ name?: string }]
      if (config.name?.startsWith('api_keys.')) lookups.push(config.name)
      return (query as (...all: unknown[]) => unknown).apply(ctx.db.pool, args)
    }) as typeof query
    t.teardown(() => {
      ctx.db.pool.query = query
    })
    const mistyped = `${text.slice(0, 30)}${text[30] === 'x' ? 'y' : 'x'}${text.slice(31)}`
    t.same(await introspect(mistyped), { active: false })
    t.same(lookups, [])
    const { text: another } = await make()
    t.same(await introspect(another.replace(/^(sk_live_).{16}/, `$1${key.id}`)), { active: false })
    t.same(lookups, [], 'its checksum is wrong too')
    t.match(await introspect(text), { active: true })
    t.same(lookups, ['api_keys.find'])
  },
)

t.test('attack 115: what has expired, was ended or was replaced is not active', async (t) => {
  const expiring = await make({ lifetime: 3600 })
  const ended = await make()
  const rotated = await make()
  const { text: successor } = await rotateApiKey(ctx, rotated.key.id, { overlap: 600, by })
  t.equal((await endApiKey(ctx, ended.key.id, { cause })).ended.length, 1)
  t.equal(await isActive(ended.text), false)
  t.equal((await endApiKey(ctx, ended.key.id, { cause })).ended.length, 0, 'it ends once')
  t.match(await introspect(rotated.text), {
    active: true,
    exp: Math.floor(clock.now().getTime() / 1000) + 600,
    api_key: { deprecated_at: Math.floor(clock.now().getTime() / 1000) },
  })
  clock.advance(599)
  t.equal(await isActive(rotated.text), true)
  clock.advance(1)
  t.equal(await isActive(rotated.text), false, 'the end of the overlap is automatic')
  t.equal(await isActive(successor ?? ''), true)
  t.equal(await isActive(expiring.text), true)
  clock.advance(3000)
  t.equal(await isActive(expiring.text), false)
})

t.test('of two rotations at once one makes a successor', async (t) => {
  const { key } = await make()
  const both = await Promise.allSettled([rotateApiKey(ctx, key.id, { by }), rotateApiKey(beside.ctx, key.id, { by })])
  const [won] = both.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const [lost] = both.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
  t.match(lost, { kind: 'conflict' })
  t.match(lost.message, won?.key.id)
  await refused(t, rotateApiKey(ctx, 'nothing', { by }), /no id of an API key/)
})

t.test('a successor has the same rights, and lives as long', async (t) => {
  await createTier(ctx, 'gold', { limit: 10, window: 10 }, by)
  const { key } = await make({
    lifetime: 30 * day,
    networks: ['192.0.2.7'],
    environment: 'test',
    prefix: 'acme',
    tier: 'gold',
  })
  clock.advance(20 * day)
  const { key: successor, previous, text = '' } = await rotateApiKey(ctx, key.id, { overlap: 30 * day, by })
  t.equal(previous.expiresAt?.getTime(), key.expiresAt?.getTime(), 'an overlap lengthens no life')
  t.match(successor, { scope: key.scope, networks: ['192.0.2.7/32'], environment: 'test', tier: 'gold', owner })
  t.match(text, /^acme_test_/)
  t.equal(successor.expiresAt?.getTime(), clock.now().getTime() + 30 * day * 1000)
  const forever = await make({ lifetime: 'never' })
  t.equal(forever.key.expiresAt, undefined)
  t.equal((await rotateApiKey(ctx, forever.key.id, { overlap: 0, by })).key.expiresAt, undefined)
  t.equal(await isActive(forever.text), false, 'without an overlap it ends at once')
})

t.test('attack 86: keys end with their owner, and those of a disabled one are good for nothing', async (t) => {
  const client = await server.createService('read write')
  const ofClient = () => make({ owner: { kind: 'client', id: client.clientId } })
  const [mine, theirs] = [await make(), await ofClient()]
  clock.advance(1)

  await revoke(ctx, { kind: 'user', userId: user.id }, cause)
  t.equal(await isActive(mine.text), false)
  t.equal(await isActive(theirs.text), true)
  const next = await make()
  t.equal(await isActive(next.text), true, 'a key that is made in the same second is good')
  clock.advance(1)
  await setPassword(ctx, user.id, 'another horse battery', by)
  t.equal(await isActive(next.text), false, 'whoever had the password may have made it')

  await revoke(ctx, { kind: 'client', clientId: client.clientId }, cause)
  t.equal(await isActive(theirs.text), false)
  const last = await ofClient()
  t.equal(await isActive(last.text), true)
  clock.advance(2)
  await disableClient(ctx, client.clientId, by)
  t.equal(await isActive(last.text), false)
  await refused(t, ofClient(), /is disabled/)
  await enableClient(ctx, client.clientId, by)
  t.equal(await isActive(last.text), false, 'what it had stays ended')
  clock.advance(2)
  const live = await make()
  await disableUser(ctx, user.id, by)
  t.equal(await isActive(live.text), false)
  await refused(t, make(), /is disabled/)
  await enableUser(ctx, user.id, by)
  clock.advance(2)
})

t.test('a key that is made in the instant in which its owner was registered is good', async (t) => {
  // Within a second, not at its beginning.
  clock.advance(0.5)
  const service = await server.createClient({
    client_id: 'new-service',
    grant_types: ['client_credentials'],
    scope: 'read',
  })
  const { key, text } = await make({ owner: { kind: 'client', id: service.clientId } })
  clock.set(key.createdAt)
  t.ok(await isActive(text))
  t.ok((await rotateApiKey(ctx, key.id, { by })).text, 'and can be rotated')
  clock.advance(0.5)
})

t.test('attack 116: all keys of an owner, of a prefix, or all end by one call', async (t) => {
  const second = await server.createUser('bob@example.com')
  const bobs = { kind: 'user', id: second.id } as const
  const [mine, bob, bulk] = [await make(), await make({ owner: bobs }), await make({ prefix: 'bulk' })]
  const still = async (): Promise<readonly boolean[]> =>
    Promise.all([mine, bob, bulk].map(({ text }) => isActive(text)))
  clock.advance(1)
  t.equal((await endApiKeys(ctx, { kind: 'prefix', prefix: 'bulk' }, { cause })).ended.length, 1)
  t.same(await still(), [true, true, false])
  t.match(
    (await endApiKeys(ctx, { kind: 'owner', owner: bobs }, { cause })).ended.map(({ id }) => id),
    [bob.key.id],
  )
  t.same(await still(), [true, false, false])
  const { ended, successors } = await endApiKeys(ctx, { kind: 'all' }, { cause, replace: true })
  t.ok(ended.length >= 1)
  t.equal(successors.length, ended.filter(({ successor }) => successor === undefined).length)
  t.same(await still(), [false, false, false])
  for (const { text } of successors) t.equal(await isActive(text ?? ''), true, 'a successor is good at once')
  const next = successors.find(({ previous }) => previous === mine.key.id)
  t.match(next?.key, { name: 'Test', scope: ['read'], owner })
})

t.test('a key may do no more than its owner: roles are asked for at each use', async (t) => {
  const strict = await server.createResource('https://strict.example', 'see change')
  await createRole(ctx, { resource: 'https://strict.example', name: 'viewer', scope: ['see'] }, by)
  await server.refresh()
  const { text } = await make({ scope: ['see', 'change'] })
  t.same(await introspect(text, strict), { active: false }, 'where its owner may do nothing')
  await grantRole(ctx, 'https://strict.example', 'viewer', { kind: 'user', holder: user.id }, by)
  t.match(await introspect(text, strict), { active: true, scope: 'see' })
  await withdrawRole(ctx, 'https://strict.example', 'viewer', { kind: 'user', holder: user.id }, by)
  t.same(await introspect(text, strict), { active: false })
})

t.test('what may not be is refused in words', async (t) => {
  const client = await server.createService('read')
  const cases: readonly (readonly [Partial<Parameters<typeof createApiKey>[1]>, RegExp])[] = [
    [{ name: ' ' }, /name is not a text/],
    [{ name: 'x'.repeat(101) }, /name is not a text/],
    [{ scope: [] }, /at least one scope/],
    [{ scope: ['nothing'] }, /No resource has the scope nothing/],
    [{ scope: ['read'], resources: ['https://other.example'] }, /has none of the scopes/],
    [{ scope: ['read'], resources: ['https://nowhere.example'] }, /There is no resource/],
    [{ prefix: 'SK' }, /prefix is not/],
    [{ prefix: 'pk' }, /The prefix pk is not for secret keys, whose own is sk/],
    [{ prefix: 'sig' }, /is not for secret keys/],
    [{ kind: 'publishable', origins: ['https://a.example'], prefix: 'sk' }, /is not for publishable keys/],
    [{ kind: 'signing', publicJwk: newPublicJwk(), prefix: 'sk' }, /is not for signing keys/],
    [{ environment: 'a_b' }, /environment is not/],
    [{ networks: ['192.0.2.7/24'] }, /is not a network/],
    [{ lifetime: 59 }, /from a minute to ten years/],
    [{ origins: ['https://a.example'] }, /no place in a browser/],
    [{ kind: 'publishable' }, /names the origins/],
    [{ kind: 'publishable', origins: ['https://a.example'], scope: ['write'] }, /to read alone.*not write/],
    [{ kind: 'publishable', origins: ['https://a.example/'] }, /is not an origin/],
    [{ kind: 'signing' }, /Ed25519 public key/],
    [{ owner: { kind: 'client', id: client.clientId }, scope: ['write'] }, /is not registered for the scope write/],
    [{ owner: { kind: 'client', id: 'nobody' } }, /no client/i],
  ]
  for (const [request, message] of cases) await refused(t, make(request), message)
})

t.test(
  'a key of a time when any prefix could be chosen goes on, and its successor has the prefix of its kind',
  async (t) => {
    const odd = async () => {
      const { key } = await make({ prefix: 'acme' })
      const id = drawApiKeyId(ctx.random)
      const written = drawApiKey(ctx.random, { prefix: 'pk', environment: 'live', id })
      await apiKeys.createAll(ctx.db, [{ ...key, id, prefix: 'pk', secret: hashApiKey(ctx, written) }])
      return { id, text: written }
    }
    const [one, two] = [await odd(), await odd()]
    t.equal(await isActive(one.text), true)
    const rotated = await rotateApiKey(ctx, one.id, { by })
    t.match([rotated.key.prefix, rotated.text], ['sk', /^sk_live_/])
    t.equal(await isActive(rotated.text ?? ''), true)
    const { successors } = await endApiKey(ctx, two.id, { cause, replace: true })
    t.match(successors, [{ key: { prefix: 'sk' }, text: /^sk_live_/ }])
    const { text: own = '' } = await rotateApiKey(ctx, (await make({ prefix: 'acme' })).key.id, { by })
    t.match(own, /^acme_/, 'a prefix of the operator’s own stays')
  },
)

t.test('a signing key has no secret: its id is asked about, and the public key comes back', async (t) => {
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const { key, text } = await createApiKey(
    ctx,
    { owner, name: 'Signer', scope: ['read'], kind: 'signing', publicJwk },
    by,
  )
  t.equal(text, undefined)
  const hint = 'urn:ostiary:params:oauth:token-type:api-key-id'
  t.match(await introspect(key.id, api, server, hint), { active: true, client_id: key.id, api_key: { jwk: publicJwk } })
  t.same(await introspect(key.id), { active: false }, 'unless it is said that it is an id')
  const secret = await make()
  t.same(await introspect(secret.key.id, api, server, hint), { active: false }, 'an id of another kind proves nothing')
  const owned = { ...publicJwk, d: 'x' }
  await refused(t, make({ kind: 'signing', publicJwk: owned }), /private half/)
})

t.test('each act is an event, and no key is in one', async (t) => {
  const { key, text } = await make()
  const { text: successor = '' } = await rotateApiKey(ctx, key.id, { by })
  await endApiKey(ctx, key.id, { cause })
  const events = await server.audit()
  const about = events.filter(({ detail }) => (detail as { key?: string } | undefined)?.key === key.id)
  t.same(about.map(({ type }) => type).sort(), ['api_key.changed', 'api_key.created', 'api_key.revoked'])
  const all = JSON.stringify(events) + server.logs.join('')
  for (const secret of [text, successor]) t.notOk(all.includes(secret.slice(24)), 'attack 118: no key material')
})
