import t from 'tap'
import { authorizationUrl, authorize, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestDocuments, documentOf } from '../support/client-documents.js'
import { createTestServer, sql } from '../support/server.js'

// A document changes while somebody answers what the one before asked: another process reads it at the last moment, when the form
// has been held against what this process remembers, and nothing is left but the statement that writes.

const env = { CLIENT_ID_METADATA_DOCUMENTS: 'on', REGISTRATION_QUOTA: '1000' }
const documents = createTestDocuments()
const server = await createTestServer(t, { env, outbound: documents.outbound })
const beside = await createTestServer(t, { beside: server, env, outbound: documents.outbound })
const user = await server.createUser()
const asked = { scope: 'openid' }
const headers = { 'cache-control': 'max-age=60' }

let pending: (() => Promise<unknown>) | undefined
const { run } = server.ctx.db
const late: typeof run = async (statement, item) => {
  const work = statement.name === 'grants.create' ? pending : undefined
  if (work) pending = undefined
  await work?.()
  return run(statement, item)
}
Object.assign(server.ctx.db, { run: late })

let urls = 0

function publish() {
  const clientId = `https://agent.example/${++urls}/client.json`
  documents.set(clientId, documentOf(clientId), { headers })
  return { clientId }
}

/** Another process reads it before the next grant is written. */
function changeAtLast({ clientId }: { readonly clientId: string }, more: object): void {
  pending = async () => {
    documents.set(clientId, documentOf(clientId, { ...more }), { headers })
    server.clock.advance(60)
    await new TestBrowser(beside).open(authorizationUrl({ clientId }, asked))
  }
}

const rowsOf = async (table: string, { clientId }: { readonly clientId: string }) =>
  (await sql(server, `SELECT count(*)::int AS count FROM ${table} WHERE client_id = $1`, [clientId]))[0]?.count

t.test('attack 96: a yes to a document that was replaced meanwhile is nobody’s, and is asked for again', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  t.match(shown.text, 'It calls itself Agent')
  changeAtLast(client, { client_name: 'Bank' })
  const again = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(again.step, 'consent')
  t.match(again.text, 'It calls itself Bank', 'what is asked about is what is there')
  for (const table of ['authorization_grant', 'authorization_code', 'consent']) {
    t.equal(await rowsOf(table, client), 0, table)
  }
  t.equal((await server.audit('consent.given')).filter(({ clientId }) => clientId === client.clientId).length, 0)

  t.ok((await browser.submit(again, {}, { button: 'consent-allow' })).answer['code'], 'the request still waits')
  t.ok((await browser.open(authorizationUrl(client, asked))).answer['code'], 'and this one is remembered')
})

t.test('attack 96: a redirect URI that the new document has not gets nothing', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  changeAtLast(client, { redirect_uris: ['https://app.example/other'] })
  const page = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(page.step, 'consent', 'asked again')
  const refused = await browser.submit(page, {}, { button: 'consent-allow' })
  t.equal(refused.status, 400)
  t.equal(refused.left, undefined)
  t.equal(await rowsOf('authorization_code', client), 0)
})

t.test('attack 96: what is remembered of the document before is none of the next one’s', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  await authorize(server, client, user, asked, browser)
  const before = await rowsOf('authorization_code', client)

  changeAtLast(client, { client_name: 'Bank' })
  const page = await browser.open(authorizationUrl(client, asked))
  t.equal(page.step, 'consent', 'without a page')
  t.match(page.text, 'It calls itself Bank')
  await browser.submit(page, {}, { button: 'consent-allow' })

  changeAtLast(client, { client_name: 'Shop' })
  const silent = await browser.open(authorizationUrl(client, { ...asked, prompt: 'none' }))
  t.match(silent.answer, { error: 'consent_required' }, 'silently')
  const shop = await browser.open(authorizationUrl(client, asked))
  await browser.submit(shop, {}, { button: 'consent-allow' })

  const other = new TestBrowser(server)
  const login = await other.open(authorizationUrl(client, asked))
  changeAtLast(client, { client_name: 'Post' })
  const consent = await logIn(other, login, user)
  t.equal(consent.step, 'consent', 'after a login')
  t.match(consent.text, 'It calls itself Post')
  t.equal(await rowsOf('authorization_code', client), before + 2)
})

t.test('attack 96: a process that has not heard of the change remembers nothing for it', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  await browser.open(authorizationUrl(client, asked))
  // Of which nobody is told.
  const changed = `UPDATE client SET client_name = 'Bank', document_hash = sha256('Bank') WHERE client_id = $1`
  pending = () => sql(server, changed, [client.clientId])
  const page = await authorizeOnce()
  t.equal(page.step, 'consent')
  t.match(page.text, 'It calls itself Bank')
  t.equal(await rowsOf('consent', client), 0)

  async function authorizeOnce() {
    const shown = await browser.open(authorizationUrl(client, asked))
    return browser.submit(shown, {}, { button: 'consent-allow' })
  }
})

t.test('a document that is read again and says the same costs nobody their answer', async (t) => {
  const client = publish()
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  changeAtLast(client, {})
  t.ok((await browser.submit(shown, {}, { button: 'consent-allow' })).answer['code'])
})
