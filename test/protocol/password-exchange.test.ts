import t from 'tap'
import { updateResource } from '../../src/resources/index.js'
import { exchangeGrant } from '../support/exchange.js'
import { createTestServer, sql, type TestClient, type TestServer } from '../support/server.js'
import { claimsOf } from '../support/tokens.js'

const server = await createTestServer(t)
const { ctx } = server
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const identifier = 'https://orders.example'
const api = await server.createResource(identifier, 'read write')
const service = await server.createService('read')

const encode = (text: string): string => Buffer.from(text).toString('base64')
const right = encode(`${service.clientId}:${service.clientSecret}`)
const wrong = encode(`${service.clientId}:wrong`)

/** What the API hears that was shown this. @param what undefined: it asks without a password */
function exchange(what: string | undefined, who: TestClient = api, at: TestServer = server) {
  const form = {
    grant_type: exchangeGrant,
    subject_token_type: 'urn:ostiary:params:oauth:token-type:basic-credentials',
    ...(what === undefined ? {} : { subject_token: what }),
  }
  return at.post('/token', form, { authorization: who.basic })
}

async function switchBasic(acceptsBasic: boolean) {
  server.clock.advance(1)
  const { warnings } = await updateResource(ctx, identifier, { acceptsBasic }, { by })
  await beside.refresh()
  return warnings
}

const off = { error: 'unauthorized_client', error_description: 'Basic is switched off for this resource.' }

t.test('RFC 6749 §5.2: a new resource has Basic off, and its API is told so whatever the password is', async (t) => {
  for (const shown of [right, wrong, encode('nobody:wrong'), 'nonsense', undefined]) {
    const reply = await exchange(shown)
    t.equal(reply.statusCode, 400)
    t.same(reply.json(), off)
    t.equal(reply.headers['cache-control'], 'no-store')
  }
  const refused = await server.audit('token.refused')
  t.match(refused, [{ actor: `client:${api.clientId}`, clientId: api.clientId, reason: 'basic_off', count: 4 }])
  t.same(refused[0]?.detail, { resource: identifier })
  t.match(await server.audit('request.refused'), [{ clientId: api.clientId, reason: 'basic_off' }], 'it only asked')
  t.ok(
    server.logs.some((line) => line.includes('"reason":"basic_off"') && line.includes('--accepts-basic')),
    'the log says what is expected',
  )
  for (const secret of [right, wrong, service.clientSecret]) t.notOk(server.logs.join('\n').includes(secret))
})

t.test('while it is off no secret is looked at, and nothing is a guess at one', async (t) => {
  const { find } = ctx.clients
  const asked: string[] = []
  const directory = ctx.clients as { find: typeof find }
  directory.find = (clientId, ...rest) => {
    asked.push(clientId)
    return find(clientId, ...rest)
  }
  t.teardown(() => {
    directory.find = find
  })
  // More than a client, and a network, has of them.
  for (let guess = 0; guess < 120; guess++) await exchange(encode(`${service.clientId}:wrong ${guess}`))
  directory.find = find
  t.same(new Set(asked), new Set([api.clientId]), 'the account is not even looked up')
  t.same(await server.audit('client.authentication_failed'), [])
  t.same(await sql(server, 'SELECT count(*)::int AS failures FROM failure_count'), [{ failures: 0 }])
  await switchBasic(true)
  t.equal((await exchange(right)).statusCode, 200, 'so nobody is locked out')
  await switchBasic(false)
})

t.test('switched on, a password is exchanged by every process, and off again by none', async (t) => {
  t.same(await switchBasic(true), [])
  for (const at of [server, beside]) {
    const reply = await exchange(right, api, at)
    t.equal(reply.statusCode, 200)
    t.match(claimsOf(reply.json().access_token), { sub: service.clientId, aud: identifier, scope: 'read' })
    t.match((await exchange(wrong, api, at)).json(), { error: 'invalid_request' })
    t.match((await exchange(undefined, api, at)).json(), { error: 'invalid_request' }, 'which tells that it is on')
  }
  const failures = await server.audit('client.authentication_failed')
  t.ok(failures.length > 0 && failures.every(({ reason }) => reason === 'client_secret_wrong'))
  await switchBasic(false)
  for (const at of [server, beside]) t.same((await exchange(right, api, at)).json(), off)
})

t.test('it is switched for each resource by itself', async (t) => {
  server.clock.advance(1)
  const other = await server.createResource('https://other.example', 'look', { acceptsBasic: true })
  const account = await server.createService('look read')
  const password = encode(`${account.clientId}:${account.clientSecret}`)
  t.equal((await exchange(password, other)).statusCode, 200)
  t.same((await exchange(password)).json(), off)
  t.match((await exchange(password, service)).json(), { error: 'unauthorized_client' }, 'a service has no resource')
  t.equal((await exchange(password, other, beside)).statusCode, 503, 'where it is not known yet, nobody can say')
})

t.test('who switched it, and how, is in the audit', async (t) => {
  const changes = (await server.audit('resource.updated')).map(({ actor, detail }) => ({ actor, ...detail }))
  const change = { actor: 'operator', resource: identifier, changed: ['acceptsBasic'] }
  t.same(
    changes,
    [true, false, true, false].map((acceptsBasic) => ({ ...change, acceptsBasic })),
  )
  const created = (await server.audit('resource.created')).map(({ detail }) => detail)
  t.same(created, [{ resource: identifier }, { resource: 'https://other.example', acceptsBasic: true }])
})
