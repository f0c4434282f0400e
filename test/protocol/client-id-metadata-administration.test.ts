import t from 'tap'
import { describeClient, disableClient, enableClient, findClient, updateClient } from '../../src/clients/index.js'
import { deleteUnusedClients } from '../../src/jobs/index.js'
import { authorizationUrl, authorize } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { clientUrl, createDocumentScene, documentOf } from '../support/client-documents.js'
import { createTestServer, registration } from '../support/server.js'

const { asked, documents, env, open, publish, readings, redeem, server, user } = await createDocumentScene(t)

t.test('one that is disabled stays so, whatever its document says and however long nobody used it', async (t) => {
  const client = publish({}, { 'cache-control': 'max-age=60' })
  await open(client)
  const by = { actor: 'operator' }
  t.equal(await disableClient(server.ctx, client.clientId, by), true)
  documents.set(client.clientId, documentOf(client.clientId, { client_name: 'Other' }))
  server.clock.advance(8 * 86_400)
  await deleteUnusedClients(server.ctx)
  await server.refresh()
  const page = await open(client)
  t.equal(page.status, 400)
  t.match(page.text, 'not known to this server')
  t.equal(readings(client), 1)
  t.match(await server.ctx.clients.find(client.clientId), { clientName: 'Agent', disabledAt: Date })
  t.equal(await enableClient(server.ctx, client.clientId, by), true)
  t.equal((await open(client)).step, 'login')
  t.match(await server.ctx.clients.find(client.clientId), { clientName: 'Other' })
})

t.test('one that is disabled while its document is read stays so', async (t) => {
  const client = publish({}, { 'cache-control': 'max-age=60' })
  await open(client)
  server.clock.advance(60)
  documents.set(client.clientId, documentOf(client.clientId, { client_name: 'Other' }))
  const { get } = documents.outbound
  const racing = await createTestServer(t, {
    beside: server,
    env,
    outbound: {
      ...documents.outbound,
      async get(url, options) {
        const answer = await get(url, options)
        await disableClient(server.ctx, client.clientId, { actor: 'operator' })
        return answer
      },
    },
  })
  t.equal((await new TestBrowser(racing).open(authorizationUrl(client, asked))).status, 400)
  t.match(await findClient(server.ctx, client.clientId), { clientName: 'Agent', disabledAt: Date })
})

t.test('what an administrator decided about one stays; that it needs no consent nobody can', async (t) => {
  const client = publish({}, { 'cache-control': 'max-age=60' })
  await open(client)
  await updateClient(server.ctx, client.clientId, { access_token_lifetime: 120 }, registration)
  await t.rejects(updateClient(server.ctx, client.clientId, { first_party: true }, registration), {
    name: 'ConflictError',
  })
  documents.set(client.clientId, documentOf(client.clientId, { client_name: 'Other', access_token_lifetime: 3600 }))
  server.clock.advance(60)
  await open(client)
  t.match(await findClient(server.ctx, client.clientId), {
    clientName: 'Other',
    accessTokenLifetime: 120,
    firstParty: false,
  })
})

t.test('one that never got a token is deleted after a day, and comes back with the next request', async (t) => {
  const [unused, used] = [publish(), publish()]
  await open(unused)
  const { code } = await authorize(server, used, user, asked)
  t.equal((await redeem(used.clientId, code)).statusCode, 200)
  server.clock.advance(43_200)
  await open(unused)
  server.clock.advance(43_260)
  await deleteUnusedClients(server.ctx)
  await server.refresh()
  t.equal(await server.ctx.clients.find(unused.clientId), undefined, 'attack 93: to be read again keeps it no longer')
  t.ok(await server.ctx.clients.find(used.clientId))
  t.ok((await authorize(server, unused, user, asked))['code'], 'it is a client again')
})

t.test('the host of redirect URIs and the scopes are bounded as for clients that register themselves', async (t) => {
  const bound = await createTestServer(t, {
    beside: server,
    env: { ...env, REGISTRATION_REDIRECT_HOSTS: '*.agent.example', REGISTRATION_SCOPES: 'openid email' },
    outbound: documents.outbound,
  })
  const refused = await new TestBrowser(bound).open(authorizationUrl(publish(), asked))
  t.match(refused.text, 'client_document_redirect_host_refused')
  const client = publish({ redirect_uris: ['https://web.agent.example/cb'], scope: 'openid email profile' })
  const redirect_uri = 'https://web.agent.example/cb'
  t.equal((await new TestBrowser(bound).open(authorizationUrl(client, { ...asked, redirect_uri }))).step, 'login')
  t.match(await findClient(server.ctx, client.clientId), { scope: ['openid', 'email'] })
})

t.test(`${clientUrl} in the command line is described as what it is`, async (t) => {
  documents.set(clientUrl, documentOf(clientUrl))
  await open({ clientId: clientUrl })
  t.match(describeClient(await findClient(server.ctx, clientUrl), server.clock.now()), {
    client_id: clientUrl,
    self_registered: true,
    metadata_document: { sha256: /^[\w-]{43}$/, fetched_at: server.clock.now().toISOString(), fresh_until: /Z$/ },
  })
})
