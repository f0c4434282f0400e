import t from 'tap'
import { authorizationUrl, authorize, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestDocuments, documentOf } from '../support/client-documents.js'
import { registered } from '../support/registration.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'

// A client that a stranger describes may name hosts that are not its own. What its users allowed by the name of one of them must
// not go to another one unasked.

const documents = createTestDocuments()
const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000', CLIENT_ID_METADATA_DOCUMENTS: 'on' }
const server = await createTestServer(t, { env, outbound: documents.outbound })
const user = await server.createUser()

const known = 'https://accounts.google.com/cb'
const evil = 'https://evil.example/cb'
const to = (redirect_uri: string, more: object = {}) => ({ redirect_uri, scope: 'openid', ...more })

const google = () => registered(server, { client_name: 'Google', redirect_uris: [known, evil], scope: 'openid' })

t.test('attack 98: what was allowed at one host of a stranger is asked for at another', async (t) => {
  const client = await google()
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(client, to(known)))
  t.match(page.text, 'allow it only if you know accounts.google.com')
  t.ok((await browser.submit(page, {}, { button: 'consent-allow' })).answer['code'])
  t.ok((await browser.open(authorizationUrl(client, to(known, { prompt: 'none' })))).answer['code'], 'remembered there')

  const silent = await browser.open(authorizationUrl(client, to(evil, { prompt: 'none' })))
  t.match(silent.answer, { error: 'consent_required', code: undefined })
  const asked = await browser.open(authorizationUrl(client, to(evil)))
  t.equal(asked.step, 'consent')
  t.match(asked.text, 'allow it only if you know evil.example')
  t.match(
    (await server.audit('consent.given')).filter(({ clientId }) => clientId === client.clientId),
    [{ detail: { destination: 'https://accounts.google.com' } }],
  )
})

t.test('attack 98: also where the user signs in on the way', async (t) => {
  const client = await google()
  await authorize(server, client, user, to(known))
  const browser = new TestBrowser(server)
  const page = await logIn(browser, await browser.open(authorizationUrl(client, to(evil))), user)
  t.equal(page.step, 'consent')
  const other = new TestBrowser(server)
  const done = await logIn(other, await other.open(authorizationUrl(client, to(known))), user)
  t.ok(done.answer['code'], 'and is not asked where they allowed it')
})

t.test('attack 98: nor does a document lead to another host than was shown', async (t) => {
  const clientId = 'https://agent.example/hosts.json'
  const home = 'https://agent.example/cb'
  documents.set(clientId, documentOf(clientId, { redirect_uris: [home, evil] }))
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl({ clientId }, to(home)))
  t.notMatch(page.text, 'goes to another address')
  t.ok((await browser.submit(page, {}, { button: 'consent-allow' })).answer['code'])
  t.ok((await browser.open(authorizationUrl({ clientId }, to(home, { prompt: 'none' })))).answer['code'])

  const silent = await browser.open(authorizationUrl({ clientId }, to(evil, { prompt: 'none' })))
  t.match(silent.answer, { error: 'consent_required', code: undefined })
  const asked = await browser.open(authorizationUrl({ clientId }, to(evil)))
  t.match(asked.text, 'goes to another address than the one that describes it: to evil.example')
})

t.test('paths of one host are one destination, and its ports are several', async (t) => {
  const redirect_uris = ['https://app.example/cb', 'https://app.example/other', 'https://app.example:8443/cb']
  const client = await registered(server, { redirect_uris, scope: 'openid' })
  const [first = '', path = '', port = ''] = redirect_uris
  const browser = await signedIn(server, user)
  await authorize(server, client, user, to(first), browser)
  t.ok((await browser.open(authorizationUrl(client, to(path, { prompt: 'none' })))).answer['code'])
  const silent = await browser.open(authorizationUrl(client, to(port, { prompt: 'none' })))
  t.match(silent.answer, { error: 'consent_required' })
})

t.test('RFC 8252 §7.3: on loopback the port does not matter, and the name does', async (t) => {
  const redirect_uris = ['http://localhost:3001/cb', 'http://localhost:4001/cb', 'http://127.0.0.1:3001/cb']
  const client = await registered(server, { redirect_uris, scope: 'openid' })
  const [first = '', port = '', address = ''] = redirect_uris
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(client, to(first)))
  t.match(
    page.text,
    'An app on this device wants access to your account It calls itself Notes',
    'who listens there, nobody knows',
  )
  t.match(page.text, 'checked whose it is. Any app can take this name.')
  t.match(page.text, 'After either answer you go back to the app on this device: localhost:3001')
  t.ok((await browser.submit(page, {}, { button: 'consent-allow' })).answer['code'])
  t.ok((await browser.open(authorizationUrl(client, to(port, { prompt: 'none' })))).answer['code'])
  const silent = await browser.open(authorizationUrl(client, to(address, { prompt: 'none' })))
  t.match(silent.answer, { error: 'consent_required' })
})

t.test('what was allowed before destinations were kept is asked once more', async (t) => {
  const client = await google()
  const browser = await signedIn(server, user)
  await authorize(server, client, user, to(known), browser)
  await sql(server, 'UPDATE consent SET destination = NULL WHERE client_id = $1', [client.clientId])
  for (const uri of [known, evil]) {
    const silent = await browser.open(authorizationUrl(client, to(uri, { prompt: 'none' })))
    t.match(silent.answer, { error: 'consent_required' })
  }
  await authorize(server, client, user, to(known), browser)
  t.ok((await browser.open(authorizationUrl(client, to(known, { prompt: 'none' })))).answer['code'])
})

t.test('an administrator vouches for all redirect URIs of a client', async (t) => {
  const client = await server.createClient({ redirect_uris: [known, evil], scope: 'openid' })
  const browser = await signedIn(server, user)
  await authorize(server, client, user, to(known), browser)
  t.ok((await browser.open(authorizationUrl(client, to(evil, { prompt: 'none' })))).answer['code'])
  t.same(await destinationsOf(server, client), [null])
})

const destinationsOf = async (of: TestServer, { clientId }: { readonly clientId: string }) =>
  (await sql(of, 'SELECT destination FROM consent WHERE client_id = $1', [clientId])).map((row) => row['destination'])
