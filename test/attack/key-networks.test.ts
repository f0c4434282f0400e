import t from 'tap'
import { endApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { updateUser } from '../../src/identity/index.js'
import type { ApiKeyOwner } from '../../src/store/index.js'
import { apiKeyType, exchangeGrant, isActive, makeKey } from '../support/exchange.js'
import { createTestGateway } from '../support/gateways.js'
import { createTestServer, encodeForm, registration, send } from '../support/server.js'
import { introspect } from '../support/tokens.js'

// A key may be used from no more networks than its owner: of a client and of a user, at each use.

const server = await createTestServer(t)
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
const api = await server.createResource('https://api.example', 'read')
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }
const [near, far] = ['192.0.2.7', '203.0.113.7']
const gateway = await createTestGateway(server, 'front', {
  resource: 'https://api.example',
  scope: ['read'],
  accept: ['api-key'],
  forwardsAddress: true,
})
await beside.refresh()

const exchangeFrom = (remoteAddress: string, text: string) =>
  send(server.app, {
    method: 'POST',
    url: '/token',
    remoteAddress,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: encodeForm({ grant_type: exchangeGrant, subject_token_type: apiKeyType, subject_token: text }),
  })
const askFrom = (address: string, text: string) => gateway.ask({ 'x-api-key': text, 'x-forwarded-for': address })
const networksOf = async (text: string) =>
  ((await introspect(server, api, text))['api_key'] as { networks: readonly string[] }).networks

async function newOwner(kind: ApiKeyOwner['kind']): Promise<ApiKeyOwner> {
  if (kind === 'client') return { kind, id: (await server.createService('read')).clientId }
  return { kind, id: (await server.createUser(`${ctx.random.uuid()}@example.com`)).id }
}

/** Both at the command line. */
async function bind({ kind, id }: ApiKeyOwner, networks: readonly string[]): Promise<void> {
  if (kind === 'user') await updateUser(ctx, id, { allowedNetworks: networks }, by)
  else await updateClient(ctx, id, { allowed_networks: networks.length > 0 ? networks : null }, registration)
}

for (const kind of ['client', 'user'] as const) {
  t.test(`attack 114: a key is good from the networks of its ${kind} alone`, async (t) => {
    const owner = await newOwner(kind)
    const { key, text } = await makeKey(server, { owner, scope: ['read'] })
    const before = (await exchangeFrom(far, text)).json().access_token
    t.equal((await askFrom(far, text)).statusCode, 200, 'and remembered')
    t.same(await networksOf(text), [])
    clock.advance(2)
    await bind(owner, ['192.0.2.0/24'])
    clock.advance(2)
    t.equal((await exchangeFrom(far, text)).statusCode, 400)
    t.equal((await exchangeFrom(near, text)).statusCode, 200)
    t.equal((await askFrom(far, text)).statusCode, 401)
    t.equal((await askFrom(near, text)).statusCode, 200)
    t.same(await networksOf(text), ['192.0.2.0/24'], 'an API is told')
    t.equal(await isActive(beside, api, before), false, 'what was exchanged before ends')
    const change = ctx.revocations.find({ kind: 'api_keys', target: `owner:${kind}:${owner.id}` })
    t.match(change, { terminal: false }, 'and APIs ask again')
    const refused = (await server.audit('api_key.refused')).filter(({ detail }) => detail?.['key'] === key.id)
    t.same(
      refused.map(({ reason }) => reason).sort(),
      ['key_from_another_network', 'key_network'],
      'by which way it came',
    )
    clock.advance(2)
    await bind(owner, [])
    t.equal((await exchangeFrom(far, text)).statusCode, 200)
    t.equal((await server.audit('api_keys.changed')).length, kind === 'client' ? 1 : 2, 'wider is no news')
  })
}

t.test('its own networks and those of its owner must both let it in', async (t) => {
  const owner = await newOwner('client')
  await bind(owner, ['192.0.2.0/25', '2001:db8::/32'])
  const { text } = await makeKey(server, { owner, scope: ['read'], networks: ['192.0.2.0/24', '2001:db8:0:1::/64'] })
  t.same((await networksOf(text)).toSorted(), ['192.0.2.0/25', '2001:db8:0:1::/64'])
  const statuses = []
  for (const from of [near, '192.0.2.200', '2001:db8:0:1::7', '2001:db8:0:2::7']) {
    statuses.push([(await exchangeFrom(from, text)).statusCode, (await askFrom(from, text)).statusCode])
  }
  t.same(statuses, [
    [200, 200],
    [400, 401],
    [200, 200],
    [400, 401],
  ])
})

t.test('where they have nothing in common the key is good from nowhere, and not from anywhere', async (t) => {
  const owner = await newOwner('client')
  await bind(owner, ['192.0.2.0/24'])
  const { key, text } = await makeKey(server, { owner, scope: ['read'], networks: ['203.0.113.0/24'] })
  for (const from of [near, far, '127.0.0.1']) {
    t.equal((await exchangeFrom(from, text)).statusCode, 400, from)
    t.equal((await askFrom(from, text)).statusCode, 401, from)
  }
  t.same(await introspect(server, api, text), { active: false })
  const next = await rotateApiKey(ctx, key.id, { overlap: 60, by })
  t.same(next.key.networks, ['203.0.113.0/24'], 'a successor has its own networks as they were')
  const { successors } = await endApiKeys(ctx, { kind: 'owner', owner }, { cause, replace: true })
  t.same(
    successors.map((each) => each.key.networks),
    [['203.0.113.0/24']],
  )
  clock.advance(2)
  await bind(owner, ['203.0.113.0/24', '192.0.2.0/24'])
  t.equal((await exchangeFrom(far, successors[0]!.text!)).statusCode, 200)
})

t.test('a publishable key is good from wherever its page is read; its own networks bound it', async (t) => {
  const page = 'https://shop.example'
  const request = { scope: ['read'], kind: 'publishable', origins: [page] } as const
  const askFromPage = (address: string, text: string) =>
    gateway.ask({ 'x-api-key': text, 'x-forwarded-for': address, origin: page })
  for (const kind of ['client', 'user'] as const) {
    const owner = await newOwner(kind)
    const [free, bound] = [
      await makeKey(server, { ...request, owner }),
      await makeKey(server, { ...request, owner, networks: ['203.0.113.0/24'] }),
    ]
    clock.advance(2)
    await bind(owner, ['192.0.2.0/24'])
    clock.advance(2)
    for (const from of [near, far]) t.equal((await askFromPage(from, free.text)).statusCode, 200, `${kind} ${from}`)
    t.same(await networksOf(free.text), [])
    t.same(await networksOf(bound.text), ['203.0.113.0/24'])
    t.equal((await askFromPage(far, bound.text)).statusCode, 200)
    t.equal((await askFromPage(near, bound.text)).statusCode, 401)
    const elsewhere = { 'x-api-key': free.text, 'x-forwarded-for': near, origin: 'https://elsewhere.example' }
    t.equal((await gateway.ask(elsewhere)).statusCode, 401, 'its origins do, too')
  }
})

t.test('such a key is marked, taken back and ended like any other', async (t) => {
  const service = await server.createService('read', { allowed_networks: ['127.0.0.0/8'] })
  const owner = { kind: 'client', id: service.clientId } as const
  const { key, text } = await makeKey(server, { owner, scope: ['read'], networks: ['203.0.113.0/24'] })
  const reply = await server.post('/revoke', { token: text }, { authorization: service.basic })
  t.equal(reply.statusCode, 200)
  t.match((await server.audit('api_key.revoked')).at(-1), { detail: { key: key.id } })
})
