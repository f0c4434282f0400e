import t from 'tap'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestDocuments, documentOf } from '../support/client-documents.js'
import { askedOf, beforeNextGrant, rowsOf, testLateChanges } from '../support/late-changes.js'
import { createTestServer, sql } from '../support/server.js'

// A document changes while somebody answers what the one before asked: another process reads it at the last moment.

const env = { CLIENT_ID_METADATA_DOCUMENTS: 'on', REGISTRATION_QUOTA: '1000' }
const documents = createTestDocuments()
const server = await createTestServer(t, { env, outbound: documents.outbound })
const beside = await createTestServer(t, { beside: server, env, outbound: documents.outbound })
const user = await server.createUser()
const beforeGrant = beforeNextGrant(server)
const headers = { 'cache-control': 'max-age=60' }
const publish = () => documents.publish({}, headers)

/** Another process reads it before the next grant is written. */
function changeAtLast({ clientId }: { readonly clientId: string }, more: object): void {
  beforeGrant(async () => {
    documents.set(clientId, documentOf(clientId, { ...more }), { headers })
    server.clock.advance(60)
    await new TestBrowser(beside).open(authorizationUrl({ clientId }, askedOf))
  })
}

// What nobody is shown of a document that is read again is nothing at all: it says the same.
testLateChanges(t, { attack: 'attack 96', server, user, name: 'Agent', create: publish, changeAtLast, unseen: {} })

t.test('attack 96: a redirect URI that the new document has not gets nothing', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, askedOf))
  changeAtLast(client, { redirect_uris: ['https://app.example/other'] })
  const page = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(page.step, 'consent', 'asked again')
  const refused = await browser.submit(page, {}, { button: 'consent-allow' })
  t.equal(refused.status, 400)
  t.equal(refused.left, undefined)
  t.equal(await rowsOf(server, 'authorization_code', client), 0)
})

t.test('attack 96: a process that has not heard of the change remembers nothing for it', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  await browser.open(authorizationUrl(client, askedOf))
  // Of which nobody is told.
  const changed = `UPDATE client SET client_name = 'Bank', document_hash = sha256('Bank') WHERE client_id = $1`
  beforeGrant(() => sql(server, changed, [client.clientId]))
  const page = await authorizeOnce()
  t.equal(page.step, 'consent')
  t.match(page.text, 'It calls itself Bank')
  t.equal(await rowsOf(server, 'consent', client), 0)

  async function authorizeOnce() {
    const shown = await browser.open(authorizationUrl(client, askedOf))
    return browser.submit(shown, {}, { button: 'consent-allow' })
  }
})
