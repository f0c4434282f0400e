import t from 'tap'
import { drawApiKey } from '../../src/api-keys/format.js'
import { changeApiKey, endApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { disableClient, enableClient, updateClient } from '../../src/clients/index.js'
import { disableUser, enableUser } from '../../src/identity/index.js'
import { createTier } from '../../src/limits/index.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { type RevocationTarget, revoke } from '../../src/revocation/index.js'
import type { ApiKeyOwner } from '../../src/store/index.js'
import { TestClock } from '../support/clock.js'
import { exchange, exchanged, exchangeGrant, isActive, makeKey } from '../support/exchange.js'
import { createTestServer, registration, sql } from '../support/server.js'
import { claimsOf, revokeAt, statementsOf } from '../support/tokens.js'

const server = await createTestServer(t)
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }
const identifier = 'https://api.example'
const otherIdentifier = 'https://other.example'
const api = await server.createResource(identifier, 'read write')
const other = await server.createResource(otherIdentifier, 'other')
await beside.refresh()
const user = await server.createUser()
const client = await server.createService('read write other')
const ofUser: ApiKeyOwner = { kind: 'user', id: user.id }
const ofClient: ApiKeyOwner = { kind: 'client', id: client.clientId }
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'

type Request = Partial<Parameters<typeof makeKey>[1]>
const make = (request: Request = {}) => makeKey(server, { owner: ofUser, scope: ['read', 'write'], ...request })

/** At both processes. */
async function stands(token: string): Promise<boolean> {
  const [here, there] = await Promise.all([isActive(server, api, token), isActive(beside, api, token)])
  t.equal(here, there, 'both processes say the same')
  return here
}

function hear(): Promise<unknown> {
  return Promise.all([server.refresh(), beside.refresh()])
}

t.test('RFC 8693 §2.2.1: a key is exchanged for an access token of its resource', async (t) => {
  const { key, text } = await make()
  const reply = await exchange(server, text)
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  const answer = reply.json()
  const iat = Math.floor(clock.now().getTime() / 1000)
  t.match(answer, { issued_token_type: accessToken, token_type: 'Bearer', expires_in: 300, scope: 'read write' })
  t.match(claimsOf(answer.access_token), {
    iss: ctx.config.server.issuer,
    client_id: key.id,
    sub: user.id,
    aud: identifier,
    scope: 'read write',
    key_owner: 'user',
    key_prefix: 'sk',
    iat,
    exp: iat + 300,
    status: { status_list: {} },
  })
  t.notMatch(claimsOf(answer.access_token), { grant_id: /./ })
  t.match((await server.post('/introspect', { token: answer.access_token }, { authorization: api.basic })).json(), {
    active: true,
    client_id: key.id,
    sub: user.id,
  })
  t.same(await isActive(server, other, answer.access_token), false)
})

t.test('attack 90: what is asked for narrows, and never widens', async (t) => {
  const { text } = await make({ scope: ['read', 'other'] })
  t.match(claimsOf(await exchanged(server, text, { resource: identifier })), { aud: identifier, scope: 'read' })
  t.match(claimsOf(await exchanged(server, text, { audience: otherIdentifier })), {
    aud: otherIdentifier,
    scope: 'other',
  })
  t.match(claimsOf(await exchanged(server, text, { scope: 'other' })), { aud: otherIdentifier, scope: 'other' })
  const one = await make({ scope: ['read'] })
  const unrelated = await server.createResource('https://unrelated.example', 'unrelated')
  t.ok(unrelated)
  const cases: readonly (readonly [string, Record<string, string | readonly string[]>, string])[] = [
    [text, {}, 'invalid_scope'],
    [text, { resource: [identifier, otherIdentifier] }, 'invalid_target'],
    [text, { resource: identifier, audience: otherIdentifier }, 'invalid_target'],
    [text, { resource: identifier, scope: 'other' }, 'invalid_scope'],
    [text, { resource: identifier, scope: 'read write' }, 'invalid_scope'],
    [one.text, { scope: 'read write' }, 'invalid_scope'],
    [one.text, { scope: 'revocations' }, 'invalid_scope'],
    [one.text, { resource: 'https://unrelated.example' }, 'invalid_target'],
    [one.text, { resource: 'https://nowhere.example' }, 'invalid_target'],
    [one.text, { resource: ctx.config.server.issuer }, 'invalid_target'],
    [one.text, { audience: 'logical name' }, 'invalid_target'],
    [one.text, { subject_token_type: accessToken }, 'invalid_request'],
    [one.text, { subject_token: await exchanged(server, one.text) }, 'invalid_request'],
    [one.text, { actor_token: one.text, actor_token_type: accessToken }, 'invalid_request'],
    [one.text, { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, 'invalid_request'],
    [one.text, { subject_token: '' }, 'invalid_request'],
  ]
  for (const [key, more, error] of cases) {
    const reply = await exchange(server, key, more)
    t.match([reply.statusCode, reply.json().error], [400, error], JSON.stringify(more))
  }
})

t.test('what is exchanged is exchanged no more, nor presented as what it is not', async (t) => {
  const { text } = await make({ scope: ['read'] })
  const jwt = 'urn:ietf:params:oauth:token-type:jwt'
  t.match((await exchange(server, text, { requested_token_type: jwt })).json(), { issued_token_type: jwt })
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const viewer = await make({ scope: ['view'] })
  const reply = await exchange(server, viewer.text)
  t.match(reply.json(), { access_token: /^oat_/, issued_token_type: accessToken })
  t.equal(await isActive(server, opaque, reply.json().access_token), true)
  t.match((await exchange(server, viewer.text, { requested_token_type: jwt })).json(), { error: 'invalid_request' })
  await endApiKey(ctx, viewer.key.id, { cause })
  t.equal(await isActive(server, opaque, reply.json().access_token), false)
  const query = `/token?subject_token=${text}`
  t.match((await exchange(server, text, {})).statusCode, 200)
  t.match((await server.post(query, { grant_type: exchangeGrant })).json(), { error: 'invalid_request' })
})

t.test('attack 113: whatever is wrong with a key is answered by the same words', async (t) => {
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const origins = ['https://shop.example']
  const ended = await make()
  await endApiKey(ctx, ended.key.id, { cause })
  const expired = await make({ lifetime: 60 })
  const elsewhere = await make({ networks: ['192.0.2.0/24'] })
  const publishable = await make({ kind: 'publishable', scope: ['read'], origins })
  const signing = await make({ kind: 'signing', publicJwk })
  const live = await make()
  clock.advance(60)
  const wrongs = {
    key_malformed: `${live.text.slice(0, 30)}${live.text[30] === 'x' ? 'y' : 'x'}${live.text.slice(31)}`,
    key_ended: ended.text,
    key_expired: expired.text,
    key_network: elsewhere.text,
    key_publishable: publishable.text,
  }
  const bodies = new Set<string>()
  for (const text of [...Object.values(wrongs), signing.key.id, live.key.id]) {
    const reply = await exchange(server, text)
    t.equal(reply.statusCode, 400)
    bodies.add(reply.body)
  }
  t.same(
    [...bodies].map((body) => JSON.parse(body)),
    [{ error: 'invalid_request', error_description: 'The subject token is invalid.' }],
  )
  const reasons = (await server.audit('api_key.refused')).map(({ reason, detail }) => [reason, detail?.['key']])
  for (const [reason, key] of Object.entries({
    key_ended: ended,
    key_network: elsewhere,
    key_publishable: publishable,
  })) {
    t.ok(
      reasons.some(([each, id]) => each === reason && id === key.key.id),
      reason,
    )
  }
  t.ok(reasons.some(([reason, id]) => reason === 'key_malformed' && id === undefined))
  const lookups = await statementsOf(server, () => exchange(server, wrongs.key_malformed))
  t.same(lookups, [], 'what is mistyped costs no statement')
})

t.test('attack 113: guesses are bounded by network, as those at secrets of clients are', async (t) => {
  const strict = await createTestServer(t, { beside: server, env: { FAILURES_PER_CLIENT: '5' }, seed: 'strict' })
  const [{ text }, guessed] = [await make(), await make()]
  const right = guessed.text
  const guess = () => exchange(strict, drawApiKey(ctx.random, guessed.key))
  const replies = []
  for (let count = 0; count < 7; count++) replies.push((await guess()).statusCode)
  t.same(replies, [400, 400, 400, 400, 400, 429, 429])
  const statements = await statementsOf(strict, guess)
  t.notOk(statements.includes('failures.add'), 'past the bound nothing is written')
  t.equal((await exchange(strict, text)).statusCode, 200, 'another key is not concerned')
  t.equal((await exchange(strict, right)).statusCode, 200, 'nor is that key, which nobody guesses')
  t.equal((await guess()).statusCode, 429)
})

t.test('a key that is over is no guess: nobody is locked out by those who still show it', async (t) => {
  const own = await createTestServer(t)
  await own.createResource(identifier, 'read')
  const service = await own.createService('read')
  const owner = { kind: 'client', id: service.clientId } as const
  const old = []
  for (let count = 0; count < 11; count++) old.push(await makeKey(own, { owner, scope: ['read'] }))
  const { successors } = await endApiKeys(own.ctx, { kind: 'owner', owner }, { cause, replace: true })
  const far = await makeKey(own, { owner, scope: ['read'], networks: ['192.0.2.0/24'] })
  const publishable = await makeKey(own, {
    ...{ owner, scope: ['read'], kind: 'publishable', origins: ['https://shop.example'] },
  })
  const short = await makeKey(own, { owner, scope: ['read'], lifetime: 60 })
  // One second more: it is made in the second after the end.
  own.clock.advance(61)
  const shown = [...old, far, publishable, short]
  const statuses = new Set<number>()
  for (const { text } of shown) {
    for (let count = 0; count < 11; count++) statuses.add((await exchange(own, text)).statusCode)
  }
  t.same([...statuses], [400], 'each is refused for what it is, as often as it is shown')
  for (const { text = '' } of successors) t.equal((await exchange(own, text)).statusCode, 200, 'a successor')
  const form = { grant_type: 'client_credentials' }
  t.equal((await own.post('/token', form, { authorization: service.basic })).statusCode, 200, 'a client')
  const events = await own.audit('api_key.refused')
  t.ok(events.length <= 10 + shown.length, `${events.length} events for ${shown.length * 11} refusals`)
  t.equal(
    events.reduce((sum, { count }) => sum + (count ?? 1), 0),
    shown.length * 11,
    'none is missing in the audit',
  )
})

t.test('no client need be named; one that is named is authenticated', async (t) => {
  const { text } = await make()
  t.equal((await exchange(server, text, {}, { authorization: client.basic })).statusCode, 200)
  t.equal((await exchange(server, text, {}, { authorization: api.basic })).statusCode, 200)
  const app = await server.createClient({ token_endpoint_auth_method: 'none' })
  t.equal((await exchange(server, text, { client_id: app.clientId })).statusCode, 200)
  for (const [name, value] of [
    ['client_id', client.clientId],
    ['client_secret', 'x'],
    ['client_id', 'nobody'],
  ] as const) {
    const more = { [name]: value }

    t.match(
      (await exchange(server, text, more)).json(),
      { error: /^invalid_client|^invalid_request/ },
      JSON.stringify(more),
    )
  }
  t.equal((await exchange(server, text, {}, { authorization: 'Basic bm9ib2R5Ong=' })).statusCode, 401)
  t.equal((await server.post('/token', { grant_type: 'client_credentials' })).statusCode, 401, 'others need one')
  t.equal((await server.post('/token', {})).statusCode, 401)
})

t.test(
  'RFC 9745 §2, RFC 8594 §3: each exchange of a key that has a successor says so, also a refused one',
  async (t) => {
    await createTier(ctx, 'two', { limit: 2, window: 60, burst: 2 }, by)
    await server.refresh()
    const { key, text } = await make({ tier: 'two', lifetime: 86_400 })
    const before = await exchange(server, text)
    t.match([before.statusCode, before.headers['deprecation'], before.headers['sunset']], [200, undefined, undefined])
    clock.advance(60)
    const rotatedAt = Math.floor(clock.now().getTime() / 1000)
    const successor = await rotateApiKey(ctx, key.id, { overlap: 3600, by })
    const sunset = new Date((rotatedAt + 3600) * 1000).toUTCString()
    const tells = { deprecation: `@${rotatedAt}`, sunset }
    const good = await exchange(server, text)
    t.match(good, { statusCode: 200, headers: { ...tells, ratelimit: /^"two";r=1/ } })
    const more = await exchange(server, text, { scope: 'read other' })
    t.match(more, { statusCode: 400, headers: tells })
    t.equal(more.json().error, 'invalid_scope')
    t.match(await exchange(server, text), { statusCode: 429, headers: { ...tells, ratelimit: /^"two";r=0/ } })
    const next = await exchange(server, successor.text ?? '')
    t.match([next.statusCode, next.headers['deprecation']], [429, undefined])
  },
)

t.test('attack 117: a key that has a tier is counted by it', async (t) => {
  await createTier(ctx, 'pair', { limit: 2, window: 60, burst: 2 }, by)
  const { text } = await make({ tier: 'pair' })
  for (const left of [1, 0]) {
    const reply = await exchange(server, text)
    t.equal(reply.statusCode, 200)
    t.match(reply.headers['ratelimit'], `"pair";r=${left};`)
  }
  const refused = await exchange(server, text)
  t.equal(refused.statusCode, 429)
  t.match(refused.headers['retry-after'], /^\d+$/)
})

t.test('a key with networks is exchanged from these, and only TRUST_PROXY decides whose word counts', async (t) => {
  const near = await make({ networks: ['127.0.0.0/8'] })
  const far = await make({ networks: ['192.0.2.0/24'] })
  const forwarded = { 'x-forwarded-for': '192.0.2.7' }
  t.equal((await exchange(server, near.text)).statusCode, 200)
  t.equal((await exchange(server, near.text, {}, forwarded)).statusCode, 200)
  t.equal((await exchange(server, far.text, {}, forwarded)).statusCode, 400)
  const behind = await createTestServer(t, { beside: server, env: { TRUST_PROXY: '127.0.0.1' }, seed: 'behind' })
  t.equal((await exchange(behind, far.text, {}, forwarded)).statusCode, 200)
  t.equal((await exchange(behind, far.text, {}, { 'x-forwarded-for': '::ffff:192.0.2.9' })).statusCode, 200)
  t.equal((await exchange(behind, near.text, {}, forwarded)).statusCode, 400)
})

t.test('a token lives as others do, at most five minutes, and never longer than its key', async (t) => {
  await server.createResource('https://short.example', 'long short', {
    tokenLifetime: 200,
    scopes: [{ name: 'long' }, { name: 'short', tokenLifetime: 60 }],
  })
  const { text } = await make({ scope: ['long', 'short'] })
  t.match((await exchange(server, text, { scope: 'long' })).json(), { expires_in: 200 })
  t.match((await exchange(server, text)).json(), { expires_in: 60 })
  const { text: ending } = await make({ lifetime: 100 })
  clock.advance(40.5)
  t.match((await exchange(server, ending)).json(), { expires_in: 60 })
  clock.advance(59)
  t.match((await exchange(server, ending)).json(), { expires_in: 1 })
  clock.advance(0.5)
  t.match((await exchange(server, ending)).json(), { error: 'invalid_request' })
})

t.test('attack 115: a token ends with its key, and with what is above that', async (t) => {
  const bulk = { prefix: 'bulk' } as const
  const endings: Readonly<Record<string, readonly [Request, (id: string) => Promise<unknown>]>> = {
    'the key': [{}, (id) => endApiKey(ctx, id, { cause })],
    'its prefix': [bulk, () => endApiKeys(ctx, { kind: 'prefix', prefix: 'bulk' }, { cause })],
    'keys of the user': [{}, () => endApiKeys(ctx, { kind: 'owner', owner: ofUser }, { cause })],
    'keys of the client': [{ owner: ofClient }, () => endApiKeys(ctx, { kind: 'owner', owner: ofClient }, { cause })],
    'all keys': [{}, () => endApiKeys(ctx, { kind: 'all' }, { cause })],
    'the user': [{}, () => revoke(ctx, { kind: 'user', userId: user.id }, cause)],
    'the client': [{ owner: ofClient }, () => revoke(ctx, { kind: 'client', clientId: client.clientId }, cause)],
    'a rotation without an overlap': [{}, (id) => rotateApiKey(ctx, id, { overlap: 0, by })],
    'a rotation with a short one': [{}, (id) => rotateApiKey(ctx, id, { overlap: 60, by })],
  }
  for (const [what, [request, end]] of Object.entries(endings)) {
    const { key, text } = await make(request)
    const token = await exchanged(server, text)
    t.equal(await stands(token), true)
    clock.advance(1)
    await end(key.id)
    t.equal(await stands(token), false, what)
    const next = await make(request)
    t.equal(await stands(await exchanged(beside, next.text)), true, `${what}: a token of the next key is good at once`)
    clock.advance(2)
  }
  for (const [request, disable, enable] of [
    [{}, () => disableUser(ctx, user.id, by), () => enableUser(ctx, user.id, by)],
    [{ owner: ofClient }, () => disableClient(ctx, client.clientId, by), () => enableClient(ctx, client.clientId, by)],
  ] as const) {
    const { text } = await make(request)
    const token = await exchanged(server, text)
    clock.advance(1)
    await disable()
    t.equal(await stands(token), false)
    t.equal((await exchange(beside, text)).statusCode, 400)
    await enable()
    t.equal(await stands(token), false, 'what was ended stays so')
    t.equal((await exchange(beside, text)).statusCode, 400)
    clock.advance(2)
  }
  await hear()
})

t.test('attack 115: what was exchanged for a wider key ends when it is narrowed, and the key lives', async (t) => {
  const { key, text } = await make()
  const first = await exchanged(server, text)
  clock.advance(1)
  await changeApiKey(ctx, key.id, { request: { name: 'Another name' }, by })
  t.equal(await stands(first), true, 'a name takes nothing away')
  for (const request of [
    { scope: ['read'] },
    { networks: ['192.0.2.0/24'] },
    { expiresAt: new Date(+clock.now() + 120_000) },
  ]) {
    const token = await exchanged(server, text)
    t.equal(await stands(token), true)
    clock.advance(1)
    await changeApiKey(ctx, key.id, { request, by })
    t.equal(await stands(token), false, Object.keys(request).join())
    if (request.networks) await changeApiKey(ctx, key.id, { request: { networks: [] }, by })
  }
  t.match(claimsOf(await exchanged(server, text)), { scope: 'read' })
})

t.test('a rotation with an overlap ends no token', async (t) => {
  const { key, text } = await make()
  const token = await exchanged(server, text)
  await rotateApiKey(ctx, key.id, { by })
  t.equal(await stands(token), true)
  t.equal(await stands(await exchanged(beside, text)), true)
})

t.test(
  'a key that may do less from now on lives, and tokens of before end; the next is good, at every process',
  async (t) => {
    const { key, text } = await make()
    const before = await exchanged(server, text)
    const narrowed: RevocationTarget = { ...key, kind: 'api_key', lives: true }
    await sql(server, 'UPDATE api_key SET updated_at = $2 WHERE id = $1', [key.id, clock.now()])
    await revoke(ctx, narrowed, cause)
    t.equal(await stands(before), false)
    const after = await exchanged(beside, text)
    t.equal(await stands(after), true)
    t.ok(Number(claimsOf(after)['iat']) > Number(claimsOf(before)['iat']), 'it is of the next second')
    await endApiKey(ctx, key.id, { cause })
    t.equal(await stands(after), false)
  },
)

t.test('attack 116: tokens of 50 keys end by one call, at once and everywhere', async (t) => {
  const keys: Awaited<ReturnType<typeof make>>[] = []
  while (keys.length < 50) keys.push(await make({ scope: ['read'] }))
  const tokens = await Promise.all(keys.map(({ text }, index) => exchanged(index % 2 === 0 ? server : beside, text)))
  clock.advance(1)
  const { ended } = await endApiKeys(ctx, { kind: 'all' }, { cause })
  t.ok(ended.length >= 50)
  const standing = await Promise.all(tokens.map((token) => isActive(beside, api, token)))
  t.notOk(standing.includes(true))
  for (const { text } of keys.slice(0, 5)) t.equal((await exchange(beside, text)).statusCode, 400)
  clock.advance(1)
})

t.test('a token says no more than the roles of the owner allow, and ends with one that is withdrawn', async (t) => {
  const resource = 'https://strict.example'
  const strict = await server.createResource(resource, 'see change', { usesRoles: true })
  await createRole(ctx, { resource, name: 'viewer', scope: ['see'] }, by)
  await hear()
  for (const [owner, holder] of [
    [ofUser, { kind: 'user', holder: user.id }],
    [{ kind: 'client', id: (await server.createService('see change')).clientId }, undefined],
  ] as const) {
    const who = holder ?? ({ kind: 'client', holder: owner.id } as const)
    const { text } = await make({ owner, scope: ['see', 'change'] })
    t.match((await exchange(server, text)).json(), { error: 'invalid_scope' })
    await grantRole(ctx, resource, 'viewer', who, by)
    await hear()
    const token = await exchanged(server, text)
    t.match(claimsOf(token), { scope: 'see' })
    t.equal(await isActive(beside, strict, token), true)
    clock.advance(1)
    await withdrawRole(ctx, resource, 'viewer', who, by)
    t.equal(await isActive(beside, strict, token), false)
    await hear()
    t.match((await exchange(server, text)).json(), { error: 'invalid_scope' })
    clock.advance(2)
  }
})

t.test('the client that owns the key may ask about its token and take it back, and nobody else', async (t) => {
  const { text } = await make({ owner: ofClient })
  const token = await exchanged(server, text)
  t.equal(await isActive(server, client, token), true)
  const stranger = await server.createService('read')
  t.equal(await isActive(server, stranger, token), false)
  t.equal((await revokeAt(server, stranger, token)).statusCode, 400)
  t.equal(await stands(token), true)
  t.equal((await revokeAt(server, client, token)).statusCode, 200)
  t.equal(await stands(token), false)
})

t.test('one statement reads the key, and nothing is written; what is counted is written behind', async (t) => {
  const { key, text } = await make()
  await exchange(server, text)
  clock.advance(11)
  await server.refresh()
  t.same(await statementsOf(server, () => exchange(server, text)), ['api_keys.find'])
  const at = clock.now()
  await exchange(server, text)
  await ctx.apiKeyUse.flush()
  const read = () => sql(server, 'SELECT last_used_at, last_used_from FROM api_key WHERE id = $1', [key.id])
  t.same(await read(), [{ last_used_at: at, last_used_from: '127.0.0.0/24' }])
  clock.advance(5)
  await server.post('/introspect', { token: text }, { authorization: client.basic })
  await ctx.apiKeyUse.flush()
  t.same(await read(), [{ last_used_at: at, last_used_from: '127.0.0.0/24' }], 'a stranger uses nothing')
  t.equal(await isActive(server, api, text), true)
  await ctx.apiKeyUse.flush()
  t.same(
    await read(),
    [{ last_used_at: clock.now(), last_used_from: '127.0.0.0/24' }],
    'an API does not say from where',
  )
  const issued = (await server.audit('token.issued')).filter(({ detail }) => detail?.['key'] === key.id)
  t.equal(
    issued.reduce((sum, { count = 1 }) => sum + count, 0),
    3,
  )
  t.match(issued[0], { actor: `api-key:${key.id}`, subject: user.id, detail: { aud: identifier, scope: 'read write' } })
})

t.test('the APIs of their keys are told of the end of an owner', async (t) => {
  const bob = await server.createUser('bob@example.com')
  const limited = await server.createService('read other')
  await make({ owner: { kind: 'user', id: bob.id } })
  await make({ owner: { kind: 'client', id: limited.clientId }, scope: ['read'] })
  await updateClient(ctx, limited.clientId, { allowed_resources: [otherIdentifier] }, registration)
  // What it could reach before is over by now, but for its keys.
  clock.advance(66 * 60)
  await revoke(ctx, { kind: 'user', userId: bob.id }, cause)
  await revoke(ctx, { kind: 'client', clientId: limited.clientId }, cause)
  const read = (target: string) => sql(server, 'SELECT audiences FROM revocation WHERE target = $1', [target])
  const [[ofBob], [ofLimited]] = await Promise.all([read(bob.id), read(limited.clientId)])
  t.same([...ofBob.audiences].sort(), [identifier, ctx.config.server.issuer].sort())
  t.same([...ofLimited.audiences].sort(), [identifier, otherIdentifier].sort())
})

/** Something happens while somebody waits. */
class ChangingClock extends TestClock {
  readonly meanwhile: (() => Promise<unknown>)[] = []

  override async until(time: Date): Promise<void> {
    this.advance(0.001)
    await this.meanwhile.shift()?.()
    await super.until(time)
  }
}

t.test('a key that is rotated while the next second is waited for is exchanged as it is then', async (t) => {
  const clock = new ChangingClock()
  const own = await createTestServer(t, { clock })
  await own.createResource(identifier, 'read write')
  const owner: ApiKeyOwner = { kind: 'user', id: (await own.createUser()).id }
  const { key, text } = await makeKey(own, { owner, scope: ['read', 'write'] })
  clock.advance(5)
  await changeApiKey(own.ctx, key.id, { request: { expiresAt: new Date(+clock.now() + 3_600_000) }, by })
  clock.meanwhile.push(() => rotateApiKey(own.ctx, key.id, { overlap: 600, by }))
  const reply = await exchange(own, text)
  t.equal(reply.statusCode, 200)
  t.same(clock.meanwhile, [], 'it waited')
  t.ok(reply.headers['deprecation'])
})
