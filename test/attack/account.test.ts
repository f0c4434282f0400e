import t from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { atAccount, idOf, makeKeyByPage, openAccountScene, shownKey } from '../support/account.js'
import { keyApi } from '../support/api-keys.js'
import { authorizationUrl, logIn } from '../support/authorization.js'
import { type Fields, TestBrowser } from '../support/browser.js'
import { sql } from '../support/server.js'
import { introspect } from '../support/tokens.js'

const { server, api, ada, bob } = await openAccountScene(t)
const { ctx } = server
const browser = await atAccount(server, ada)
const his = await atAccount(server, bob)
const mine = shownKey(await makeKeyByPage(browser, { name: 'Mine' }))
const theirs = shownKey(await makeKeyByPage(his, { name: 'Theirs' }))
const pagesOf = (id: string) => ['', '/change', '/rotate', '/end'].map((act) => `/account/api-keys/${id}${act}`)
const countKeys = async () => Number((await sql(server, 'SELECT count(*) FROM api_key'))[0]['count'])
const isLive = async (key: string) => (await introspect(server, api, key)).active

/** The forms of the account as they would be sent, one of each. */
async function formsOf(of: TestBrowser, key: string): Promise<readonly { address: string; form: Fields }[]> {
  const pages: readonly (readonly [string, string, Fields])[] = [
    ['/account', 'sign_out', {}],
    ['/account/api-keys/new', 'make-key', { name: 'Forged', scope: `${keyApi} read` }],
    [`/account/api-keys/${idOf(key)}/change`, 'change-key', { name: 'Forged' }],
    [`/account/api-keys/${idOf(key)}/rotate`, 'rotate-key', { overlap: '0' }],
    [`/account/api-keys/${idOf(key)}/end`, 'end-key', {}],
  ]
  return Promise.all(pages.map(async ([path, button, fields]) => (await of.open(path)).form(button, fields)))
}

t.test('attack 23: no form of the account without its token', async (t) => {
  const before = await countKeys()
  const [forms, others] = [await formsOf(browser, mine), await formsOf(his, theirs)]
  for (const [index, { address, form }] of forms.entries()) {
    const { csrf_token: token, ...rest } = form
    const another = forms[(index + 1) % forms.length]!.form['csrf_token']!
    const hers = others[index]!.form['csrf_token']!
    for (const wrong of [undefined, '', 'x'.repeat(43), another, hers]) {
      const reply = await browser.request('POST', address, { form: { ...rest, csrf_token: wrong ?? [] } })
      t.equal(reply.statusCode, 403, `${address} with ${String(wrong).slice(0, 9)}`)
      t.match(reply.body, /does not belong to this sign-in/)
    }
    const cross = await browser.request('POST', address, { form, crossSite: true })
    t.match(cross.headers.location, /^\/interaction\/oin_[\w-]+\/login$/, 'from another site no cookie comes along')
    t.ok(token)
  }
  t.equal(await countKeys(), before)
  t.ok(await isLive(mine))
  t.equal((await browser.open('/account')).status, 200, 'still signed in')
})

t.test('attack 23: a form of before the sign-out is none afterwards', async (t) => {
  const here = await atAccount(server, ada)
  const [, { address, form } = { address: '', form: {} }] = await formsOf(here, mine)
  await here.submit(await here.open('/account'), {}, { button: 'sign_out' })
  await atAccount(server, ada, here)
  t.equal((await here.request('POST', address, { form })).statusCode, 403)
})

t.test('attack 24: no page of the account may be framed', async (t) => {
  const paths = [
    '/account',
    '/account/signed-out',
    '/account/api-keys',
    '/account/api-keys/new',
    ...pagesOf(idOf(mine)),
  ]
  const pages = await Promise.all(paths.map((path) => browser.open(path)))
  for (const { reply, url } of [...pages, await makeKeyByPage(browser)]) {
    t.equal(reply.statusCode, 200, url.pathname)
    t.match(reply.headers['content-security-policy'], /frame-ancestors 'none'/)
    t.match(reply.headers['content-security-policy'], /form-action 'self';/)
    t.match(reply.headers, { 'x-frame-options': 'DENY', 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
  }
})

t.test('attack 28: a login at the account, and each one anew, gives the browser another session cookie', async (t) => {
  const victim = new TestBrowser(server)
  const attacker = await atAccount(server, bob)
  victim.cookies.set('ostiary_session', attacker.cookies.get('ostiary_session')!)
  t.match((await victim.open('/account')).text, /bob@example\.com/)
  server.clock.advance(901)
  const login = await victim.open('/account/api-keys/new')
  await logIn(victim, login, ada)
  t.not(victim.cookies.get('ostiary_session')?.value, attacker.cookies.get('ostiary_session')?.value)
  t.equal((await attacker.open('/account')).step, 'login', 'who planted the session has none now')
  const first = victim.cookies.get('ostiary_session')!
  server.clock.advance(901)
  await logIn(victim, await victim.open('/account/api-keys/new'), ada)
  const stale = new TestBrowser(server)
  stale.cookies.set(first.name, first)
  t.equal((await stale.open('/account')).step, 'login', 'the cookie before a re-authentication is over')
})

t.test('attack 30: nobody is signed in to the attacker’s account by a form of another site', async (t) => {
  const attacker = new TestBrowser(server)
  const login = await attacker.open('/account')
  const { address, form } = login.form('login-submit', { username: bob.email, password: bob.password })
  const victim = new TestBrowser(server)
  t.equal((await victim.request('POST', address, { form, crossSite: true })).statusCode, 400)
  await victim.open('/account')
  t.equal((await victim.request('POST', address, { form })).statusCode, 400)
  t.notOk(victim.cookies.has('ostiary_session'))
})

t.test('attack 111: nobody says at the account, or by a token, who they are or what they may', async (t) => {
  const rowOf = async () =>
    (await sql(server, 'SELECT row_to_json(u) AS row FROM user_account u WHERE id = $1', [ada.id]))[0]
  const before = await rowOf()
  const claims = { email: 'root@example.com', email_verified: 'true', admin: 'true', roles: 'admin', profile: '{}' }
  const hers = await atAccount(server, ada)
  const change = await hers.open(`/account/api-keys/${idOf(mine)}/change`)
  await hers.submit(change, claims, { button: 'change-key' })
  for (const path of [
    '/account/profile',
    '/account/email',
    '/account/roles',
    '/users',
    `/users/${ada.id}`,
    '/scim/v2/Me',
  ]) {
    t.equal((await hers.post(path, claims)).status, 404, path)
  }
  for (const method of ['PATCH', 'PUT'] as const) {
    for (const url of ['/userinfo', '/account']) {
      const reply = await server.app.inject({
        method,
        url,
        headers: { 'content-type': 'application/json' },
        payload: claims,
      })
      t.equal(reply.statusCode, 405, `${method} ${url}`)
    }
  }
  t.same(await rowOf(), before)
  t.same(await sql(server, 'SELECT * FROM role_holder WHERE holder = $1', [ada.id]), [])
})

t.test('attack 114: nobody sees or touches the key of another, or of a client', async (t) => {
  await atAccount(server, ada, forget(browser))
  const service = await server.createService('read')
  const owner = { kind: 'client', id: service.clientId } as const
  const clients = await createApiKey(ctx, { owner, name: 'Theirs', scope: ['read'] }, { actor: 'operator' })
  await sql(server, 'UPDATE user_account SET admin = true WHERE id = $1', [ada.id])
  for (const id of [idOf(theirs), clients.key.id, 'A'.repeat(16)]) {
    for (const path of pagesOf(id)) {
      const shown = await browser.request('GET', path)
      t.equal(shown.statusCode, 404, path)
      t.match(shown.body, /You have no API key at this address/)
      t.notMatch(shown.body, /Theirs/)
    }
    // With a token that is right for the address, as if the page had been shown.
    for (const path of pagesOf(id).slice(1)) {
      const own = await browser.open(path.replace(id, idOf(mine)))
      const reply = await browser.request('POST', path, { form: own.form(undefined).form })
      t.equal(reply.statusCode, 403, 'a token of another page')
    }
  }
  const list = await browser.open('/account/api-keys')
  t.notMatch(list.html, /Theirs/, 'an administrator sees their own alone')
  const cursor = Buffer.from(`0 ${idOf(theirs)}`).toString('base64url')
  t.notMatch((await browser.open(`/account/api-keys?after=${cursor}`)).html, /Theirs/)
  t.ok(await isLive(theirs))
  const refusals = (await server.audit('api_key.refused')).filter(({ reason }) => reason === 'key_of_another')
  t.match(refusals.map(({ detail }) => (detail as { key: string }).key).sort(), [clients.key.id, idOf(theirs)].sort())
  t.match(refusals[0], { actor: `user:${ada.id}`, ip: '192.0.2.10' })
})

t.test('attack 114: nobody chooses the id of a key', async (t) => {
  const form = (await browser.open('/account/api-keys/new')).form('make-key', { name: 'Mine', scope: `${keyApi} read` })
  const [, token = ''] = String(form.form['key_id']).split('.')
  const other = await atAccount(server, bob, forget(his))
  const hisForm = (await other.open('/account/api-keys/new')).form('make-key').form
  const before = await countKeys()
  const ids = [`${'A'.repeat(16)}.${token}`, `${idOf(theirs)}.${token}`, String(hisForm['key_id']), 'A'.repeat(16), '']
  for (const key_id of ids) {
    const reply = await browser.request('POST', form.address, { form: { ...form.form, key_id } })
    t.equal(reply.statusCode, 303)
  }
  t.equal(await countKeys(), before)
})

t.test('attack 127: what others call a key or an application is text', async (t) => {
  const script = '"><script>alert(1)</script>'
  const page = await makeKeyByPage(browser, { name: script, description: script })
  const id = idOf(shownKey(page))
  await sql(server, 'UPDATE api_key SET created_by_client = $1, end_reason = $1 WHERE id = $2', [script, id])
  const again = await makeKeyByPage(browser, { name: script, description: script, networks: script, origins: script })
  t.equal(again.status, 400)
  const pages = await Promise.all(['/account/api-keys', ...pagesOf(id)].map((path) => browser.open(path)))
  for (const { html, reply } of [page, again, ...pages]) {
    t.notMatch(html, /<script/i)
    t.match(reply.headers['content-security-policy'], /^default-src 'none'; style-src 'nonce-[\w-]+'; /)
  }
})

t.test('a login at the account leads to the account, whatever the address says', async (t) => {
  const evil = 'https://evil.example/'
  const queries = ['return', 'next', 'redirect_uri', 'restart', 'page', 'destination'].map((name) => `${name}=${evil}`)
  const paths = [`/account?${queries.join('&')}`, '/account/api-keys?after=//evil.example', '//evil.example/account']
  for (const path of paths) {
    const visitor = new TestBrowser(server)
    const login = await visitor.open(`http://localhost:3000${path}`)
    if (login.step !== 'login') {
      t.equal(login.status, 404, path)
      continue
    }
    const filled = login.form('login-submit', { username: ada.email, password: ada.password, next: evil, page: evil })
    const reply = await visitor.request('POST', filled.address, { form: filled.form })
    t.equal(reply.statusCode, 303)
    t.match(reply.headers.location, /^\/account(\/api-keys)?$/, path)
  }
  for (const id of ['..%2f..%2fevil', '%2f%2fevil.example', 'A'.repeat(65), '%0d%0aX:y']) {
    const reply = await new TestBrowser(server).request('GET', `/account/api-keys/${id}/end`)
    t.not(reply.statusCode, 303, id)
  }
})

t.test('attack 25: a login for the account is none for an application', async (t) => {
  const client = await server.createClient({ scope: 'openid' })
  const visitor = new TestBrowser(server)
  const login = await visitor.open('/account')
  const there = await visitor.open(authorizationUrl(client, { scope: 'openid' }))
  const { form } = there.form('login-submit', { username: ada.email, password: ada.password })
  t.equal((await visitor.request('POST', login.url.href, { form })).statusCode, 403, 'a token of another interaction')
  const page = await logIn(visitor, login, ada)
  t.equal(page.url.pathname, '/account')
  t.equal((await visitor.open(there.url.href)).step, 'consent', 'which is still asked for')
})

t.test('a key stands on one page, and in nothing else that a browser keeps', async (t) => {
  const page = await makeKeyByPage(browser)
  const key = shownKey(page)
  t.equal(page.html.split(key).length, 2, 'once')
  t.match(page.reply.headers, { 'cache-control': 'no-store', pragma: 'no-cache' })
  for (const [name, value] of Object.entries(page.reply.headers)) t.notOk(String(value).includes(key.slice(-20)), name)
  for (const { value } of browser.cookies.values()) t.notOk(value.includes(key.slice(-20)))
  t.notOk(page.links.some(({ href }) => href.includes(key.slice(-20))))
  t.notOk(server.logs.some((line) => line.includes(key.slice(-20))))
})

function forget(from: TestBrowser): TestBrowser {
  from.cookies.delete('ostiary_session')
  return from
}
