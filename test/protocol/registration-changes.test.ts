import t from 'tap'
import { authorizationUrl, authorize, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { ask, metadata, type Registered, registered } from '../support/registration.js'
import { createTestServer, sql } from '../support/server.js'

// A client changes its registration (RFC 7592) while somebody answers what it was before: at another process and at the last
// moment, when the form has been held against what this process remembers, and nothing is left but the statement that writes.

const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' }
const server = await createTestServer(t, { env })
const beside = await createTestServer(t, { beside: server, env })
const user = await server.createUser()
const asked = { scope: 'openid' }

let pending: (() => Promise<unknown>) | undefined
const { run } = server.ctx.db
const late: typeof run = async (statement, item) => {
  const work = statement.name === 'grants.create' ? pending : undefined
  if (work) pending = undefined
  await work?.()
  return run(statement, item)
}
Object.assign(server.ctx.db, { run: late })

/** By the token that the last change told. */
const tokens = new Map<string, string>()

async function change({ clientId, path, token }: Registered, more: object, of = beside): Promise<void> {
  const body = { ...metadata, scope: 'openid', client_id: clientId, ...more }
  const reply = await ask(of, 'PUT', path, body, { token: tokens.get(clientId) ?? token })
  if (reply.statusCode !== 200) throw new Error(`not changed: ${reply.body}`)
  tokens.set(clientId, reply.json().registration_access_token)
}

/** Before the next grant is written. */
function changeAtLast(client: Registered, more: object): void {
  pending = () => change(client, more)
}

const rowsOf = async (table: string, { clientId }: Registered) =>
  (await sql(server, `SELECT count(*)::int AS count FROM ${table} WHERE client_id = $1`, [clientId]))[0]?.count

t.test('attack 98: a yes to what a client called itself before is nobody’s, and is asked for again', async (t) => {
  const client = await registered(server, { scope: 'openid' })
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  t.match(shown.text, 'It calls itself Notes')
  changeAtLast(client, { client_name: 'Your bank' })
  const again = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(again.step, 'consent')
  t.match(again.text, 'It calls itself Your bank', 'what is asked about is what is there')
  for (const table of ['authorization_grant', 'authorization_code', 'consent']) {
    t.equal(await rowsOf(table, client), 0, table)
  }
  t.equal((await server.audit('consent.given')).filter(({ clientId }) => clientId === client.clientId).length, 0)

  t.ok((await browser.submit(again, {}, { button: 'consent-allow' })).answer['code'], 'the request still waits')
  t.ok((await browser.open(authorizationUrl(client, asked))).answer['code'], 'and this one is remembered')
})

t.test('attack 98: whatever the page shows of a client', async (t) => {
  const uri = 'https://app.example/other'
  for (const more of [
    ...[{ logo_uri: uri }, { client_uri: uri }, { policy_uri: uri }, { tos_uri: uri }],
    { redirect_uris: [...metadata.redirect_uris, 'https://evil.example/cb'] },
  ]) {
    const client = await registered(server, { scope: 'openid' })
    const browser = await signedIn(server, user)
    const shown = await browser.open(authorizationUrl(client, asked))
    changeAtLast(client, more)
    const again = await browser.submit(shown, {}, { button: 'consent-allow' })
    t.equal(again.step, 'consent', JSON.stringify(more))
    t.equal(await rowsOf('authorization_code', client), 0)
  }
})

t.test('attack 98: a form of what was shown before the change decides nothing', async (t) => {
  const client = await registered(server, { scope: 'openid' })
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  await change(client, { client_name: 'Your bank' }, server)
  const refused = await browser.submit(shown, {}, { button: 'consent-allow' })
  t.equal(refused.status, 403)
  t.equal(await rowsOf('authorization_code', client), 0)
  const page = await browser.open(authorizationUrl(client, asked))
  t.match(page.text, 'It calls itself Your bank')
})

t.test('attack 98: what is remembered of a client is none of what it calls itself then', async (t) => {
  const client = await registered(server, { scope: 'openid' })
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

t.test('a change of what no user is shown costs nobody their answer', async (t) => {
  const client = await registered(server, { scope: 'openid' })
  const browser = await signedIn(server, user)
  const shown = await browser.open(authorizationUrl(client, asked))
  changeAtLast(client, {
    contacts: ['ada@app.example'],
    redirect_uris: [...metadata.redirect_uris, 'https://app.example/other'],
  })
  t.ok((await browser.submit(shown, {}, { button: 'consent-allow' })).answer['code'])
  t.ok((await browser.open(authorizationUrl(client, asked))).answer['code'], 'and it is remembered')
})
