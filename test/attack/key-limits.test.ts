import t from 'tap'
import { createApiKey, endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { createTier } from '../../src/limits/index.js'
import { updateResource } from '../../src/resources/index.js'
import { openKeyScene } from '../support/api-keys.js'
import { exchange, exchanged, makeKey } from '../support/exchange.js'
import { createTestGateway } from '../support/gateways.js'
import { registration } from '../support/server.js'
import { claimsOf, introspect, lookupsOf, postAs } from '../support/tokens.js'

// Attack 117: nobody has more of a tier by making keys, or by giving one a successor.

const scene = await openKeyScene(t)
const { server, api, ada, call, make, serviceToken } = scene
const { ctx } = server
const by = { actor: 'operator' }
await createTier(ctx, 'three', { limit: 3, window: 3600, burst: 3 }, by)
await createTier(ctx, 'two', { limit: 2, window: 3600, burst: 2 }, by)
await updateResource(ctx, 'https://api.example', { acceptsBasic: true }, { by })
const gateway = await createTestGateway(server, 'front', {
  resource: 'https://api.example',
  scope: ['read'],
  accept: ['api-key', 'basic'],
})

const withKey = (text: string) => gateway.ask({ 'x-api-key': text })
const is429 = ({ statusCode }: { readonly statusCode: number }): boolean => statusCode === 429

t.test('attack 117: the keys that a client makes count in its tier, with all that it does by itself', async (t) => {
  const client = await server.createService('read api_keys', { rate_tier: 'three' })
  const token = await serviceToken(client)
  const [one, two] = [await make(token), await make(token)]
  const reply = await exchange(server, one.key)
  t.equal(reply.statusCode, 200)
  t.match(reply.headers['ratelimit'], /^"three";r=1;/, 'the request for a token was the first')
  t.match((await withKey(two.key)).headers, { ratelimit: /^"three";r=0;/ }, 'at a gateway, by another key')
  const refused = await exchange(server, two.key)
  t.match(refused, { statusCode: 429, headers: { 'retry-after': /^[1-9]\d*$/ } })
  t.equal((await withKey(one.key)).statusCode, 429)
  t.equal((await postAs(server, client, '/token', { grant_type: 'client_credentials' })).statusCode, 429)
  const third = await makeKey(server, { owner: { kind: 'client', id: client.clientId }, scope: ['read'] })
  t.equal((await exchange(server, third.text)).statusCode, 429, 'whoever made it')
})

t.test('a client that is given a tier has it for the keys that it has; a key’s own comes first', async (t) => {
  const client = await server.createService('read')
  const owner = { kind: 'client', id: client.clientId } as const
  const plain = await makeKey(server, { owner, scope: ['read'] })
  const tiered = await makeKey(server, { owner, scope: ['read'], tier: 'two' })
  t.equal((await exchange(server, plain.text)).headers['ratelimit'], undefined)
  await updateClient(ctx, client.clientId, { rate_tier: 'three' }, registration)
  t.match((await exchange(server, plain.text)).headers, { ratelimit: /^"three";r=2;/ })
  t.match((await exchange(server, tiered.text)).headers, { ratelimit: /^"two";r=1;/ })
  t.match((await exchange(server, plain.text)).headers, { ratelimit: /^"three";r=1;/ })
})

t.test('a publishable key, which anybody can read, uses up nothing of its client', async (t) => {
  const client = await server.createService('read', { rate_tier: 'two' })
  const page = 'https://shop.example'
  const owner = { kind: 'client', id: client.clientId } as const
  const request = { owner, scope: ['read'], kind: 'publishable', origins: [page] } as const
  const [one, two] = [await makeKey(server, request), await makeKey(server, request)]
  const show = (text: string) => gateway.ask({ 'x-api-key': text, origin: page })
  const replies = [await show(one.text), await show(two.text), await show(one.text), await show(two.text)]
  t.same(replies.map(is429), [false, false, true, true], 'all of them together')
  t.equal((await postAs(server, client, '/token', { grant_type: 'client_credentials' })).statusCode, 200)
})

t.test('attack 117: a key and its successors have one tier together, along the chain', async (t) => {
  const made = await makeKey(server, { owner: { kind: 'user', id: ada.id }, scope: ['read'], tier: 'three' })
  const texts = [made.text]
  let { id } = made.key
  for (let times = 0; times < 3; times++) {
    const reply = await call('POST', `/api-keys/${id}/rotate`, { token: ada.token, body: { overlap: 31_536_000 } })
    t.equal(reply.statusCode, 201)
    texts.push(reply.json().key)
    id = reply.json().id
  }
  const statuses = []
  for (const text of texts) statuses.push((await exchange(server, text)).statusCode)
  t.same(statuses, [200, 200, 200, 429])
  for (const text of texts) t.equal((await withKey(text)).statusCode, 429, 'at a gateway, too')
})

t.test('a successor of a key that ended in an emergency stands in its chain', async (t) => {
  const owner = { kind: 'client', id: (await server.createService('read')).clientId } as const
  const { text } = await makeKey(server, { owner, scope: ['read'], tier: 'two' })
  await exchanged(server, text)
  const cause = { ...by, reason: 'test' }
  const { successors } = await endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
  server.clock.advance(2)
  t.match((await exchange(server, successors[0]!.text!)).headers, { ratelimit: /^"two";r=0;/ })
})

t.test('whoever counts for themselves is told by what: introspection and the token say the chain', async (t) => {
  const client = await server.createService('read', { rate_tier: 'three' })
  const owner = { kind: 'client', id: client.clientId } as const
  const request = { owner, name: 'x', scope: ['read'], tier: 'two' }
  const { key: first, text: firstText = '' } = await createApiKey(ctx, request, by)
  const second = await rotateApiKey(ctx, first.id, { by })
  const { key: third, text = '' } = await rotateApiKey(ctx, second.key.id, { by })
  t.match(await introspect(server, api, firstText), { api_key: { chain: first.id, tier: 'two', tier_by: 'key' } })
  const described = { client_id: third.id, api_key: { chain: first.id, tier: 'two', tier_by: 'key' } }
  t.match(await introspect(server, api, text), described)
  t.match(claimsOf(await exchanged(server, text)), { client_id: third.id, key_chain: first.id })
  const passedOn = String((await withKey(text)).headers['authorization']).replace('Bearer ', '')
  t.match(claimsOf(passedOn), { client_id: third.id, key_chain: first.id })
  const plain = await makeKey(server, { owner, scope: ['read'] })
  const answer = await introspect(server, api, plain.text)
  t.match(answer, { api_key: { chain: plain.key.id, tier: 'three', tier_by: 'client' } })
  const free = await makeKey(server, { owner: { kind: 'user', id: ada.id }, scope: ['read'] })
  t.notOk('tier' in Object(await introspect(server, api, free.text)).api_key)
  t.notOk('key_chain' in claimsOf(await exchanged(server, free.text)))
})

t.test('what a key counts for costs no statement besides that which reads it', async (t) => {
  const client = await server.createService('read', { rate_tier: 'three' })
  const { text } = await makeKey(server, { owner: { kind: 'client', id: client.clientId }, scope: ['read'] })
  const free = await makeKey(server, { owner: { kind: 'user', id: ada.id }, scope: ['read'] })
  server.clock.advance(60)
  const lookups = async (which: string) => {
    await exchange(server, which)
    return lookupsOf(server, () => exchange(server, which))
  }
  const limited = (await lookups(text)).filter((name) => !name.startsWith('rate_limits.'))
  t.ok(limited.includes('api_keys.find'))
  t.same(limited, await lookups(free.text))
})
