import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { acceptedCredentials } from '../../src/gateways/index.js'
import { atAccount } from '../support/account.js'
import { keyApi, openKeyScene } from '../support/api-keys.js'
import { exchange, exchangeGrant } from '../support/exchange.js'
import { createTestGateway } from '../support/gateways.js'
import { issueCode } from '../support/grants.js'
import { registration } from '../support/server.js'
import { redeem, refresh } from '../support/tokens.js'

// Of each refusal one event says why: its own, where it has one.

const scene = await openKeyScene(t)
const { server, api, ada, bob, root, portal, stranger, service, call, make } = scene
const { ctx } = server

/** What was written since, as type and reason; with what stands for more than one. */
async function refusals(): Promise<readonly string[]> {
  await ctx.audit.flush()
  const like = `type LIKE '%refused' OR type = 'client.authentication_failed'`
  const rows = await ctx.db.query(
    'test.refusals',
    `SELECT type, reason, client_id, count FROM audit_event WHERE ${like}`,
    [],
  )
  await ctx.db.query('test.forget', `DELETE FROM audit_event WHERE ${like}`, [])
  return rows.map(({ type, reason, client_id, count }) => `${type} ${reason} ${client_id ?? '-'} ${count ?? 1}`).sort()
}

t.test('what is refused at /api-keys stands in the audit, with the client that asked', async (t) => {
  const key = await make(ada.token)
  await refusals()
  const through = portal.clientId
  const body = { name: 'Other', scope: 'read' }
  await call('GET', `/api-keys/${key.id}`, { token: bob.token })
  t.same(await refusals(), [`request.refused api-key_unknown ${through} 1`], 'the key of another owner')
  await call('POST', '/api-keys', { token: ada.token, body: { ...body, owner: { kind: 'user', id: bob.id } } })
  t.match(await refusals(), [/^request.refused \S+ \S+ 1$/], 'for another owner')
  await call('POST', '/api-keys', { token: ada.token, body: { ...body, tier: 'gold' } })
  t.match(await refusals(), [/^request.refused \S+ \S+ 1$/], 'a tier')
  const narrow = await scene.tokenOf(ada.id, stranger)
  await refusals()
  await call('POST', '/api-keys', { token: narrow, body: { name: 'Wide', scope: 'read write' } })
  t.same(await refusals(), [`request.refused scope_beyond_client ${stranger.clientId} 1`])
  await call('POST', '/api-keys', { token: ada.token, body: { ...body, prefix: 'pk' } })
  t.match(await refusals(), [/^request.refused \S+ \S+ 1$/], 'a prefix of another kind')
  await call('POST', '/api-keys', { token: ada.token, body: { ...body, unknown: 1 } })
  t.same(await refusals(), [`request.refused body_invalid ${through} 1`])
  await call('GET', '/api-keys', { token: 'nothing' })
  await call('GET', '/api-keys')
  t.same(await refusals(), ['request.refused token_invalid - 1', 'request.refused token_missing - 1'])
  const other = await scene.tokenOf(ada.id, portal, ['read'])
  await call('GET', '/api-keys', { token: other })
  t.match(await refusals(), [/^request.refused (scope_missing|token_of_another|token_invalid) /])
  await call('GET', '/api-keys/nothing/at/all', { token: ada.token })
  await call('PUT', '/api-keys', { token: ada.token, body })
  t.same(await refusals(), [], 'what is no address, or no method, is in the log alone')
})

t.test('a page about the key of somebody else is refused once', async (t) => {
  const key = await make(ada.token)
  const hers = await atAccount(server, await server.createUser('eve@example.com'))
  await refusals()
  t.equal((await hers.open(`/account/api-keys/${key.id}`)).status, 404)
  t.same(await refusals(), ['api_key.refused key_of_another - 1'])
})

t.test('a client from elsewhere is refused once', async (t) => {
  const near = await server.createService('api_keys', { allowed_networks: ['127.0.0.0/8'] })
  const token = await scene.serviceToken(near)
  await updateClient(ctx, near.clientId, { allowed_networks: ['192.0.2.0/24'] }, registration)
  await refusals()
  t.equal((await call('GET', '/api-keys', { token })).statusCode, 401)
  t.same(await refusals(), [`token.refused client_network ${near.clientId} 1`])
})

t.test('a key that an administrator bound: its owner is refused once', async (t) => {
  const key = await make(ada.token, { networks: ['192.0.2.0/24'] })
  await call('PATCH', `/api-keys/${key.id}`, { token: root.token, body: { networks: ['192.0.2.0/25'] } })
  await refusals()
  const reply = await call('PATCH', `/api-keys/${key.id}`, { token: ada.token, body: { networks: [] } })
  t.equal(reply.statusCode, 403)
  t.match(await refusals(), [/^api_key.refused key_widened /])
})

t.test('the exchange of a key, and of a password, is refused once', async (t) => {
  const { key } = await make(ada.token, { networks: ['203.0.113.0/24'] })
  await refusals()
  await exchange(server, key)
  await exchange(server, 'nothing')
  t.match(await refusals(), [/^api_key.refused key_malformed /, /^api_key.refused key_network /])
  const form = {
    grant_type: exchangeGrant,
    subject_token_type: 'urn:ostiary:params:oauth:token-type:basic-credentials',
    subject_token: Buffer.from(`${service.clientId}:wrong`).toString('base64'),
  }
  await server.post('/token', form, { authorization: api.basic })
  t.same(await refusals(), [`token.refused basic_off ${api.clientId} 1`])
  const open = await server.createResource('https://basic.example', 'read', { acceptsBasic: true })
  await server.post('/token', form, { authorization: open.basic })
  t.same(await refusals(), [`client.authentication_failed client_secret_wrong ${service.clientId} 1`])
})

t.test('a code and a refresh token that are of another client, or do not match, are refused once', async (t) => {
  const code = await issueCode(server, portal, ada.id, { scope: ['read'], resources: [keyApi] })
  await redeem(server, stranger, code)
  t.match(await refusals(), [/^code.refused code_of_another_client /])
  await redeem(server, portal, code, { code_verifier: 'x'.repeat(43) })
  t.match(await refusals(), [/^code.refused code_verifier_wrong /])
  const offline = await issueCode(server, portal, ada.id, { scope: ['read'], resources: [keyApi], offline: true })
  const { refresh_token } = (await redeem(server, portal, offline)).json()
  await refresh(server, stranger, refresh_token)
  t.match(await refusals(), [/^token.refused refresh_token_of_another_client /])
})

t.test('what a gateway refuses stands in the audit with the gateway, whoever asked it', async (t) => {
  await server.createResource('https://behind.example', 'behind', { acceptsBasic: true })
  const settings = { resource: 'https://behind.example', scope: ['behind'], forwardsAddress: true }
  const gateway = await createTestGateway(server, 'orders', { ...settings, accept: acceptedCredentials })
  const ask = (headers: Readonly<Record<string, string | undefined>>) =>
    gateway.ask({ 'x-gateway-authorization': `${gateway.basic}; for=192.0.2.7; proto=https`, ...headers })
  const through = gateway.clientId
  await refusals()
  await ask({})
  t.same(await refusals(), [`request.refused credential_missing ${through} 1`])
  await ask({ authorization: 'Bearer nothing' })
  await ask({ authorization: 'Bearer nothing' })
  t.same(await refusals(), [`request.refused token_invalid ${through} 2`])
  const { key } = await make(ada.token, { scope: 'orders:read' })
  await ask({ 'x-api-key': key })
  await ask({ 'x-api-key': `${key}x` })
  t.same(await refusals(), [
    `request.refused key_for_another_resource ${through} 1`,
    `request.refused key_malformed ${through} 1`,
  ])
  await ask({ authorization: service.basic.replace(/.{6}$/, 'AAAAAA') })
  t.match(await refusals(), [/^client.authentication_failed /], 'a wrong password is one of the account')
  const insecure = `${gateway.basic}; for=192.0.2.7; proto=http`
  await ask({ authorization: service.basic, 'x-gateway-authorization': insecure })
  t.same(await refusals(), [`token.refused transport_insecure ${through} 1`])
  await ask({ 'x-gateway-authorization': `${service.basic}; for=192.0.2.7` })
  t.same(await refusals(), ['request.refused gateway_of_another_name - 1'], 'a gateway that did not prove itself')
  await ask({ 'x-gateway-authorization': `${gateway.basic}; of=nothing` })
  t.same(await refusals(), ['request.refused gateway_credential_malformed - 1'])
  await ask({ 'x-gateway-authorization': undefined })
  t.same(await refusals(), ['client.authentication_failed client_authentication_missing - 1'])
})
