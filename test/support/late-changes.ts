import type { Test } from 'tap'
import { authorizationUrl, authorize, logIn, type Person, signedIn } from './authorization.js'
import { TestBrowser } from './browser.js'
import { sql, type TestClient, type TestServer } from './server.js'

// A client changes while somebody answers what it was before: at the last moment, when the form has been held against what this
// process remembers, and nothing is left but the statement that writes.

type Named = Pick<TestClient, 'clientId'>

export const askedOf = { scope: 'openid' }

/** Takes work that is done once, right before the next grant is written. */
export function beforeNextGrant(server: TestServer): (work: () => Promise<unknown>) => void {
  let pending: (() => Promise<unknown>) | undefined
  const { run } = server.ctx.db
  const late: typeof run = async (statement, item) => {
    const work = statement.name === 'grants.create' ? pending : undefined
    if (work) pending = undefined
    await work?.()
    return run(statement, item)
  }
  Object.assign(server.ctx.db, { run: late })
  return (work) => {
    pending = work
  }
}

export async function rowsOf(server: TestServer, table: string, { clientId }: Named): Promise<number> {
  const [row] = await sql(server, `SELECT count(*)::int AS count FROM ${table} WHERE client_id = $1`, [clientId])
  return row?.['count']
}

export interface LateChanges<Client extends Named> {
  /** What titles begin with. */
  readonly attack: string
  readonly server: TestServer
  readonly user: Person
  /** What a client of `create` calls itself. */
  readonly name: string
  /** A client of its own, of which nobody has heard. */
  readonly create: () => Client | Promise<Client>
  /** Gives it these fields before the next grant is written. */
  readonly changeAtLast: (client: Client, more: object) => void
  /** What it may change and its user is shown the same. */
  readonly unseen: object
}

/** What holds for every client that a stranger describes, however it is changed. */
export function testLateChanges<Client extends Named>(t: Test, scene: LateChanges<Client>): void {
  const { attack, server, user, name, create, changeAtLast, unseen } = scene

  t.test(`${attack}: a yes to what a client was before is nobody’s, and is asked for again`, async (t) => {
    const client = await create()
    const browser = await signedIn(server, user)
    const shown = await browser.open(authorizationUrl(client, askedOf))
    t.match(shown.text, `It calls itself ${name}`)
    changeAtLast(client, { client_name: 'Bank' })
    const again = await browser.submit(shown, {}, { button: 'consent-allow' })
    t.equal(again.step, 'consent')
    t.match(again.text, 'It calls itself Bank', 'what is asked about is what is there')
    for (const table of ['authorization_grant', 'authorization_code', 'consent']) {
      t.equal(await rowsOf(server, table, client), 0, table)
    }
    t.equal((await server.audit('consent.given')).filter(({ clientId }) => clientId === client.clientId).length, 0)

    t.ok((await browser.submit(again, {}, { button: 'consent-allow' })).answer['code'], 'the request still waits')
    t.ok((await browser.open(authorizationUrl(client, askedOf))).answer['code'], 'and this one is remembered')
  })

  t.test(`${attack}: what is remembered of a client is none of what it calls itself then`, async (t) => {
    const client = await create()
    const browser = await signedIn(server, user)
    await authorize(server, client, user, askedOf, browser)
    const before = await rowsOf(server, 'authorization_code', client)

    changeAtLast(client, { client_name: 'Bank' })
    const page = await browser.open(authorizationUrl(client, askedOf))
    t.equal(page.step, 'consent', 'without a page')
    t.match(page.text, 'It calls itself Bank')
    await browser.submit(page, {}, { button: 'consent-allow' })

    changeAtLast(client, { client_name: 'Shop' })
    const silent = await browser.open(authorizationUrl(client, { ...askedOf, prompt: 'none' }))
    t.match(silent.answer, { error: 'consent_required' }, 'silently')
    const shop = await browser.open(authorizationUrl(client, askedOf))
    await browser.submit(shop, {}, { button: 'consent-allow' })

    const other = new TestBrowser(server)
    const login = await other.open(authorizationUrl(client, askedOf))
    changeAtLast(client, { client_name: 'Post' })
    const consent = await logIn(other, login, user)
    t.equal(consent.step, 'consent', 'after a login')
    t.match(consent.text, 'It calls itself Post')
    t.equal(await rowsOf(server, 'authorization_code', client), before + 2)
  })

  t.test('a change of what no user is shown costs nobody their answer', async (t) => {
    const client = await create()
    const browser = await signedIn(server, user)
    const shown = await browser.open(authorizationUrl(client, askedOf))
    changeAtLast(client, unseen)
    t.ok((await browser.submit(shown, {}, { button: 'consent-allow' })).answer['code'])
    t.ok((await browser.open(authorizationUrl(client, askedOf))).answer['code'], 'and it is remembered')
  })
}
