import t from 'tap'
import { findClient, registerClient } from '../../src/clients/index.js'
import { authorizationUrl, authorize, logIn, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createDocumentScene, documentOf } from '../support/client-documents.js'
import { makeKey, proofOf } from '../support/client-keys.js'
import { verifier } from '../support/grants.js'
import { createTestServer, registration } from '../support/server.js'

const { asked, documents, env, open, publish, readings, redeem, server, user } = await createDocumentScene(t)

t.test('CIMD §5: the metadata says so where it is on, and nothing works where it is off', async (t) => {
  const off = await createTestServer(t, { beside: server, outbound: documents.outbound })
  const client = publish()
  for (const [of, supported] of [
    [server, true],
    [off, undefined],
  ] as const) {
    for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
      t.equal((await of.get(path)).json().client_id_metadata_document_supported, supported)
    }
  }
  t.equal((await new TestBrowser(off).open(authorizationUrl(client, asked))).status, 400)
  t.equal(readings(client), 0, 'nobody is asked')

  const { code } = await authorize(server, client, user, asked)
  await off.refresh()
  t.match((await new TestBrowser(off).open(authorizationUrl(client, asked))).text, 'not known to this server')
  const form = {
    grant_type: 'authorization_code',
    client_id: client.clientId,
    code: code ?? '',
    code_verifier: verifier,
  }
  t.match((await off.post('/token', form)).json(), { error: 'invalid_client' })
  t.equal((await redeem(client.clientId, code)).statusCode, 200)
})

t.test('CIMD §4: a client that nobody registered is what its document says', async (t) => {
  const client = publish({ client_uri: 'https://agent.example', grant_types: ['authorization_code', 'refresh_token'] })
  const { code, iss } = await authorize(server, client, user, asked)
  t.ok(iss)
  t.equal(documents.asked.at(-1), client.clientId)
  const reply = await redeem(client.clientId, code)
  t.match(reply.json(), { token_type: 'Bearer', refresh_token: /./, id_token: /./ })
  const form = { grant_type: 'refresh_token', client_id: client.clientId, refresh_token: reply.json().refresh_token }
  t.match((await server.post('/token', form)).json(), { access_token: /./ })
  t.match(await findClient(server.ctx, client.clientId), {
    clientName: 'Agent',
    tokenEndpointAuthMethod: 'none',
    requirePkce: true,
    selfRegistered: true,
    firstParty: false,
    secrets: [],
  })
  const [event] = (await server.audit('client.registered')).filter(({ clientId }) => clientId === client.clientId)
  t.match(event, { actor: 'anonymous' })
})

t.test('CIMD §3: an address that may be no client_id is not asked', async (t) => {
  const before = documents.asked.length
  for (const [clientId, reason] of [
    ['http://agent.example/client.json', 'client_unknown'],
    ['https://agent.example', 'client_document_url_no_path'],
    ['https://agent.example/', 'client_document_url_no_path'],
    ['https://agent.example/a/../client.json', 'client_document_url_not_normal'],
    ['https://agent.example/./client.json', 'client_document_url_not_normal'],
    ['https://agent.example/%2e%2E/client.json', 'client_document_url_not_normal'],
    ['https://agent.example/client.json/..', 'client_document_url_not_normal'],
    ['https://agent.example/client.json#a', 'client_document_url_fragment'],
    ['https://agent.example/client.json#', 'client_document_url_fragment'],
    ['https://agent.example/client.json?a=b', 'client_document_url_query'],
    ['https://agent.example/client.json?', 'client_document_url_query'],
    ['https://ada@agent.example/client.json', 'client_document_url_credentials'],
    ['https://ada:pass@agent.example/client.json', 'client_document_url_credentials'],
    ['https://AGENT.example/client.json', 'client_document_url_not_normal'],
    ['https://agent.example:443/client.json', 'client_document_url_not_normal'],
    ['https://agent.example\\client.json', 'client_document_url_not_normal'],
    ['https://agent.example/client\u00e4.json', 'client_document_url_malformed'],
    ['https://', 'client_document_url_malformed'],
    [`https://agent.example/${'a'.repeat(240)}`, 'client_document_url_malformed'],
  ] as const) {
    const page = await open({ clientId })
    t.equal(page.status, 400, clientId)
    t.equal(page.left, undefined)
    const line = server.logs.findLast((text) => text.includes(reason))
    t.ok(line, `${clientId} ${reason}`)
  }
  t.equal(documents.asked.length, before)
  const port = 'https://agent.example:8443/client.json'
  documents.set(port, documentOf(port))
  t.equal((await open({ clientId: port })).step, 'login', 'a port is allowed')
})

t.test(
  'CIMD §4, §4.1: what is no answer with such a document is refused on a page, and nothing is stored',
  async (t) => {
    const url = 'https://agent.example/wrong.json'
    const good = documentOf(url)
    for (const [reason, document, answer] of [
      ['not_200', good, { status: 404 }],
      ['not_200', good, { status: 201 }],
      ['not_200', good, { status: 500 }],
      ['not_json', good, { headers: { 'content-type': 'text/html' } }],
      ['not_json', good, { headers: { 'content-type': 'application/javascript' } }],
      ['malformed', '[]'],
      ['malformed', '{"client_id":'],
      ['malformed', `{"client_id":"${url}",${JSON.stringify(good).slice(1)}`],
      ['too_large', { ...good, other: 'x'.repeat(5_100) }],
      ['client_id_differs', { ...good, client_id: undefined }],
      ['client_id_differs', { ...good, client_id: `${url}/` }],
      ['client_id_differs', { ...good, client_id: url.toUpperCase() }],
      ['client_id_differs', { ...good, client_id: [url] }],
      ['secret', { ...good, client_secret: 'x'.repeat(40) }],
      ['secret', { ...good, client_secret_expires_at: 0 }],
      ['auth_method', { ...good, token_endpoint_auth_method: 'client_secret_basic' }],
      ['auth_method', { ...good, token_endpoint_auth_method: 'client_secret_post' }],
      ['auth_method', { ...good, token_endpoint_auth_method: 'client_secret_jwt' }],
      ['auth_method', { ...good, token_endpoint_auth_method: ['none'] }],
      ['metadata_invalid', { ...good, redirect_uris: undefined }],
      ['metadata_invalid', { ...good, redirect_uris: 'https://app.example/cb' }],
      ['redirect_uri', { ...good, redirect_uris: ['javascript:alert(1)'] }],
      ['metadata_invalid', { ...good, token_endpoint_auth_method: 'private_key_jwt' }],
      ['registration_policy', { ...good, grant_types: ['client_credentials'] }],
      ['registration_policy', { ...good, scope: 'orders:read' }],
      ['metadata_invalid', { ...good, jwks_uri: 'https://127.0.0.1/jwks' }],
      ['metadata_invalid', { ...good, logo_uri: 'http://agent.example/logo' }],
    ] as const) {
      documents.set(url, document, answer)
      const page = await open({ clientId: url })
      t.equal(page.status, 400, reason)
      t.match(page.text, new RegExp(`could not read .* The reason was: client_document_${reason}`), reason)
      server.clock.advance(60)
    }
    t.equal(await server.ctx.clients.find(url), undefined)
    const refused = await server.audit('client.document_refused')
    t.ok(refused.some(({ reason }) => reason === 'client_document_client_id_differs'))
    const others = (await server.audit('request.refused')).map(({ reason }) => reason)
    t.notOk(
      others.some((reason) => reason?.startsWith('client_document_')),
      'and once',
    )

    for (const type of ['application/json; charset=utf-8', 'application/oauth-client+json', 'Application/JSON']) {
      const client = publish({ other: { a: 1 } }, { 'content-type': type })
      t.equal((await open(client)).step, 'login', type)
    }
  },
)

t.test('CIMD §4.1: what a client may not say of itself has no effect', async (t) => {
  const client = publish({
    first_party: true,
    require_pkce: false,
    allowed_resources: ['https://admin.example'],
    grant_types: ['authorization_code', 'client_credentials', 'implicit'],
    scope: 'openid admin',
  })
  t.equal((await open(client)).step, 'login')
  t.match(await server.ctx.clients.find(client.clientId), {
    firstParty: false,
    requirePkce: true,
    allowedResources: [],
    grantTypes: ['authorization_code'],
    scope: ['openid'],
  })
  const browser = await signedIn(server, user)
  const without = authorizationUrl(client, { ...asked, code_challenge: undefined, code_challenge_method: undefined })
  t.match((await browser.open(without)).answer, { error: 'invalid_request', error_description: /PKCE/ })
})

t.test('CIMD §6.2: a client with keys proves itself by them', async (t) => {
  const key = makeKey()
  const client = publish({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [key.jwk] } })
  const { code } = await authorize(server, client, user, asked)
  t.match((await redeem(client.clientId, code)).json(), { error: 'invalid_client' }, 'not without')
  t.equal((await redeem(client.clientId, code, await proofOf(server, key, client.clientId))).statusCode, 200)
})

t.test('CIMD §4.5: the redirect URI is one of the document, letter by letter', async (t) => {
  const client = publish()
  const page = await open(client, { redirect_uri: 'https://app.example/cb/' })
  t.equal(page.status, 400)
  t.equal(page.left, undefined)
  t.match(page.text, 'not registered')
})

t.test('CIMD §4.4: a document counts as long as its answer says, between a minute and a day', async (t) => {
  for (const [headers, seconds] of [
    [{ 'cache-control': 'max-age=600' }, 600],
    [{ 'cache-control': 'public, max-age=600', age: '100' }, 500],
    [{ 'cache-control': 'max-age=1' }, 60],
    [{ 'cache-control': 'no-store' }, 60],
    [{ 'cache-control': 'max-age=31536000' }, 86_400],
    [{ date: 'Sun, 29 Nov 2026 00:00:00 GMT', expires: 'Sun, 29 Nov 2026 01:00:00 GMT' }, 3_600],
    [{ date: 'Sun, 29 Nov 2026 00:00:00 GMT', expires: '0' }, 60],
    [{}, 600],
  ] as const) {
    const client = publish({}, headers)
    await open(client)
    server.clock.advance(seconds - 1)
    await open(client)
    t.equal(readings(client), 1, `${JSON.stringify(headers)}: still good`)
    server.clock.advance(1)
    await open(client)
    t.equal(readings(client), 2, `${JSON.stringify(headers)}: asked again`)
    await open(client)
    t.equal(readings(client), 2, 'and good again')
  }
})

t.test('CIMD §4.4: what one process has read counts for all, and one asks for all who wait', async (t) => {
  const beside = await createTestServer(t, { beside: server, env, outbound: documents.outbound })
  const client = publish()
  await Promise.all(Array.from({ length: 8 }, () => open(client)))
  t.equal(readings(client), 1)
  t.equal((await new TestBrowser(beside).open(authorizationUrl(client, asked))).step, 'login')
  t.equal(readings(client), 1)

  const both = publish()
  const pages = await Promise.all(
    [server, beside, server, beside].map((of) => new TestBrowser(of).open(authorizationUrl(both, asked))),
  )
  for (const page of pages) t.equal(page.step, 'login')
  t.equal((await server.audit('client.registered')).filter(({ clientId }) => clientId === both.clientId).length, 1)
})

t.test('CIMD §4.3, §4.4: a failure ends the request, and is not remembered', async (t) => {
  const client = publish({}, { 'cache-control': 'max-age=60' })
  const browser = await signedIn(server, user)
  await authorize(server, client, user, asked, browser)
  server.clock.advance(60)
  documents.set(client.clientId)
  const page = await browser.open(authorizationUrl(client, asked))
  t.equal(page.status, 400, 'not by what it said before')
  t.match(page.text, 'client_document_not_200')
  documents.set(client.clientId, documentOf(client.clientId))
  t.ok((await browser.open(authorizationUrl(client, asked))).answer['code'], 'as soon as it is there')
})

t.test('CIMD §6.3: a document that was changed is asked about again', async (t) => {
  const client = publish({}, { 'cache-control': 'max-age=60' })
  const browser = await signedIn(server, user)
  await authorize(server, client, user, asked, browser)
  const again = () => browser.open(authorizationUrl(client, asked))
  t.ok((await again()).answer['code'], 'remembered')
  server.clock.advance(60)
  t.ok((await again()).answer['code'], 'read again, and as it was')

  const before = await server.ctx.clients.find(client.clientId)
  const headers = { 'cache-control': 'max-age=60' }
  documents.set(client.clientId, documentOf(client.clientId, { client_name: 'Bank' }), { headers })
  t.ok((await again()).answer['code'], 'as long as it counts')
  server.clock.advance(60)
  const consent = await again()
  t.equal(consent.step, 'consent')
  t.match(consent.text, 'It calls itself Bank')
  const after = await server.ctx.clients.find(client.clientId)
  t.notSame(after?.documentHash, before?.documentHash)
  t.match((await server.audit('client.updated')).at(-1), {
    clientId: client.clientId,
    actor: `client:${client.clientId}`,
    detail: { changed: ['client_name'] },
  })

  // It changes while the page is open: what is pressed there was about another one.
  documents.set(client.clientId, documentOf(client.clientId, { client_name: 'Shop' }))
  server.clock.advance(60)
  await open(client)
  const pressed = await browser.submit(consent, {}, { button: 'consent-allow' })
  t.equal(pressed.status, 403)
  t.equal((await again()).step, 'consent', 'nothing was remembered')
})

t.test('CIMD §6.1, §6.4: the pages say the host of the client_id, and where the answer goes', async (t) => {
  const client = publish({ client_name: 'Google' })
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(client, asked))
  t.match(login.text, 'to continue to agent.example')
  t.notMatch(login.text, 'Google', 'attack 98: not its own word')
  const consent = await logIn(browser, login, user)
  t.match(consent.text, /agent\.example wants access to your account It calls itself Google/)
  t.match(consent.text, 'This application describes itself. Nobody who runs this server has checked whose it is')
  t.match(consent.text, 'goes to another address than the one that describes it: to app.example')

  const own = publish({ redirect_uris: ['https://agent.example/cb'] })
  const same = await browser.open(authorizationUrl(own, { ...asked, redirect_uri: 'https://agent.example/cb' }))
  t.notMatch(same.text, 'another address')

  const redirect_uris = ['http://127.0.0.1:3334/cb', 'http://localhost:3334/cb']
  for (const more of [{}, { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [makeKey().jwk] } }]) {
    const local = publish({ redirect_uris, ...more })
    for (const redirect_uri of redirect_uris) {
      const page = await browser.open(authorizationUrl(local, { ...asked, redirect_uri }))
      t.match(page.text, 'goes to an app on this device, and any app here can say that it is agent.example')
      t.match(page.text, `After either answer you go back to the app on this device: ${new URL(redirect_uri).host}`)
    }
  }
})

t.test('MCP, RFC 8252 §7.3: a document of a public client lists loopback without a port', async (t) => {
  const redirect_uris = ['http://127.0.0.1/callback', 'http://localhost/callback']
  const client = publish({ redirect_uris })
  const browser = await signedIn(server, user)
  for (const redirect_uri of ['http://127.0.0.1:5555/callback', 'http://localhost:5555/callback']) {
    const request = authorizationUrl(client, { ...asked, redirect_uri })
    const page = await browser.open(request)
    t.equal(page.step, 'consent', redirect_uri)
    t.match(page.text, 'goes to an app on this device')
    const done = await browser.submit(page, {}, { button: 'consent-allow' })
    t.equal(done.left?.host, new URL(redirect_uri).host)
    t.ok(done.answer['code'])
    t.equal((await browser.open(request)).step, 'consent', '§8.6: each time')
  }
  const wrong = await browser.open(authorizationUrl(client, { ...asked, redirect_uri: 'http://127.0.0.1:5555/other' }))
  t.equal(wrong.status, 400)

  const keyed = publish({
    redirect_uris,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [makeKey().jwk] },
  })
  const known = await server.createClient({ redirect_uris, token_endpoint_auth_method: 'none' })
  for (const other of [keyed, known]) {
    const page = await browser.open(
      authorizationUrl(other, { ...asked, redirect_uri: 'http://127.0.0.1:5555/callback' }),
    )
    t.equal(page.status, 400, 'who proves who it is, or was registered, has what it said')
  }
})

t.test('MCP, RFC 8252 §8.6: what is answered on loopback is asked about each time', async (t) => {
  const redirect_uri = 'http://localhost:3334/cb'
  const client = publish({ redirect_uris: [redirect_uri] })
  const browser = await signedIn(server, user)
  t.ok((await authorize(server, client, user, { ...asked, redirect_uri }, browser))['code'])
  t.equal((await browser.open(authorizationUrl(client, { ...asked, redirect_uri }))).step, 'consent')
})

t.test('RFC 9700 §4.11.2: errors of who describes itself are redirected only after login', async (t) => {
  const client = publish()
  const browser = new TestBrowser(server)
  const page = await browser.open(authorizationUrl(client, { scope: 'unknown' }))
  t.equal(page.step, 'login')
  t.equal(page.left, undefined)
  t.match((await logIn(browser, page, user)).answer, { error: 'invalid_scope' })
})

t.test('CIMD §6.7: the logo is our own copy', async (t) => {
  const logo_uri = 'https://agent.example/logo.png'
  const client = publish({ logo_uri })
  documents.set(logo_uri, '', { body: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex') })
  const browser = await signedIn(server, user)
  const shown = async (clientId: string) => {
    const page = await browser.open(authorizationUrl({ clientId }, asked))
    const [, path = ''] = /src="(\/client-logos\/[^"]+)"/.exec(page.html) ?? []
    t.ok(path.startsWith(`/client-logos/${encodeURIComponent(clientId)}?`), path)
    return server.get(path)
  }
  t.equal((await shown(client.clientId)).headers['content-type'], 'image/png')
  const long = `https://agent.example/${'a/'.repeat(116)}`
  documents.set(long, documentOf(long, { logo_uri }))
  t.equal((await shown(long)).statusCode, 200)
})

t.test('CIMD §6.9, §6.10: one that an administrator registered is not read, also where it is off', async (t) => {
  const clientId = 'https://partner.example/client.json'
  await registerClient(
    server.ctx,
    {
      client_id: clientId,
      client_name: 'Partner',
      redirect_uris: [redirectUri],
      scope: 'openid',
      token_endpoint_auth_method: 'none',
    },
    registration,
  )
  const off = await createTestServer(t, { beside: server, outbound: documents.outbound })
  for (const of of [server, off]) {
    t.match((await new TestBrowser(of).open(authorizationUrl({ clientId }, asked))).text, 'Partner')
  }
  t.equal(readings({ clientId }), 0)
})
