import t from 'tap'
import { createApiKey, endApiKey, reportExposed, rotateApiKey } from '../../src/api-keys/index.js'
import { updateUser } from '../../src/identity/index.js'
import { createRole, grantRole } from '../../src/resources/index.js'
import { atAccount, idOf, makeKeyByPage, openAccountScene, shownKey } from '../support/account.js'
import { keyApi } from '../support/api-keys.js'
import { issueCode } from '../support/grants.js'
import { createTestServer, sql } from '../support/server.js'
import { introspect, redeem } from '../support/tokens.js'

const { server, api, ada, bob } = await openAccountScene(t)
const { ctx } = server
const by = { actor: 'operator' }
const browser = await atAccount(server, ada)
const keysOf = async (userId: string) =>
  Number((await sql(server, 'SELECT count(*) FROM api_key WHERE owner = $1', [userId]))[0]['count'])

t.test('a key is made, shown once, and good', async (t) => {
  const page = await makeKeyByPage(browser, {
    name: 'Nightly report',
    description: 'For the accountant',
    scope: [`${keyApi} read`, `${keyApi} write`],
    networks: '192.0.2.0/24, 2001:db8::/48',
    environment: 'test',
    expires_in: String(30 * 86_400),
  })
  t.equal(page.status, 200)
  const key = shownKey(page)
  t.match(key, /^sk_test_/)
  t.match(page.reply.headers, { 'cache-control': 'no-store' })
  t.match(await introspect(server, api, key), { active: true, scope: 'read write', sub: ada.id })
  t.match(await server.audit('api_key.created'), [
    { actor: `user:${ada.id}`, subject: ada.id, detail: { key: idOf(key) } },
  ])

  await ctx.apiKeyUse.flush()
  const shown = await browser.open(`/account/api-keys/${idOf(key)}`)
  for (const text of ['Nightly report', 'For the accountant', 'read write', 'Orders API', 'Live', '192.0.2.0/24']) {
    t.ok(shown.text.includes(text), text)
  }
  t.match(shown.text, /Last used \d+ \w+ \d{4}/, 'it was used just now, by introspection')
  const list = await browser.open('/account/api-keys')
  t.match(list.text, /Nightly report/)
  for (const each of [shown, list]) t.notOk(each.html.includes(key), 'it is never shown again')
  t.notOk(server.logs.some((line) => line.includes(key.slice(-40))))
})

t.test('a form makes one key, however often it is sent', async (t) => {
  const form = await browser.open('/account/api-keys/new')
  const filled = form.form('make-key', { name: 'Once', scope: `${keyApi} read` })
  const before = await keysOf(ada.id)
  const replies = await Promise.all(
    Array.from({ length: 5 }, () => browser.request('POST', filled.address, { form: filled.form })),
  )
  t.same(replies.map(({ statusCode }) => statusCode).sort(), [200, 409, 409, 409, 409])
  t.equal(await keysOf(ada.id), before + 1)
  const again = await browser.post(filled.address, filled.form)
  t.match(again.text, /made already.*not shown here again/)
  t.notMatch(again.html, /id="new-key"/)
  const fresh = await makeKeyByPage(browser, { name: 'Once' })
  t.equal(fresh.status, 200, 'the next form makes the next')

  const beside = await createTestServer(t, { beside: server })
  await beside.refresh()
  const next = (await browser.open('/account/api-keys/new')).form('make-key', { name: 'Race', scope: `${keyApi} read` })
  const cookie = [...browser.cookies.values()].map(({ name, value }) => `${name}=${value}`).join('; ')
  const fields = next.form as Record<string, string>
  const raced = await Promise.all(
    [server, beside, server, beside].map((at) => at.post('/account/api-keys/new', fields, { cookie })),
  )
  t.same(raced.map(({ statusCode }) => statusCode).sort(), [200, 409, 409, 409], 'at two processes too')
})

t.test('what is wrong stands beside its field, and what was typed is kept', async (t) => {
  const page = await makeKeyByPage(browser, { name: 'Import <b>', networks: '192.0.2.0/33', description: 'Keep me' })
  t.equal(page.status, 400)
  t.match(page.html, /<input id="networks"[^>]*aria-invalid="true"[^>]*aria-describedby="networks-hint networks-error"/)
  t.match(page.html, /id="networks-error"[^>]*>192\.0\.2\.0\/33 is not a network/)
  const values = new Map(page.inputs.map(({ name, value }) => [name, value]))
  t.match(Object.fromEntries(values), { name: 'Import <b>', networks: '192.0.2.0/33', description: 'Keep me' })
  t.ok(page.inputs.some(({ value, checked }) => value === `${keyApi} read` && checked))
  const mended = await browser.submit(page, { networks: '' }, { button: 'make-key' })
  t.equal(mended.status, 200)

  const wrong: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    ['scope', { scope: '' }, /Choose at least one/],
    ['scope', { scope: 'https://api.example admin' }, /choose again/],
    ['name', { name: '\u202egnp' }, /visible characters/],
    ['environment', { environment: 'Live!' }, /a-z and 0-9/],
    ['origins', { kind: 'publishable' }, /names the origins/],
    ['origins', { origins: 'https://shop.example' }, /for publishable keys/],
    ['scope', { kind: 'publishable', origins: 'https://shop.example', scope: `${keyApi} write` }, /to read alone/],
  ]
  for (const [field, fields, message] of wrong) {
    const refused = await makeKeyByPage(browser, fields)
    t.equal(refused.status, 400)
    const id = field === 'scope' ? 'scope-0' : field
    t.match(refused.html, new RegExp(`id="${id}-error"[^>]*>[^<]*${message.source}`))
  }
})

t.test('a publishable key, and one that never expires', async (t) => {
  const page = await makeKeyByPage(browser, {
    ...{ name: 'Widget', kind: 'publishable', origins: 'https://shop.example', expires_in: 'never' },
  })
  t.match(shownKey(page), /^pk_live_/)
  const shown = await browser.open(`/account/api-keys/${idOf(shownKey(page))}`)
  t.match(shown.text, /It never expires/)
  t.match(shown.text, /https:\/\/shop\.example/)
  const nonsense = await makeKeyByPage(browser, { name: 'Nonsense', expires_in: '99999999999' })
  const [row] = await sql(server, 'SELECT expires_at - created_at AS life FROM api_key WHERE id = $1', [
    idOf(shownKey(nonsense)),
  ])
  t.equal(row['life'].days, 90, 'what is no choice is the default')
})

t.test('only what the roles of the user allow can be chosen', async (t) => {
  await server.createResource('https://books.example', 'books:read books:write read')
  await createRole(ctx, { resource: 'https://books.example', name: 'reader', scope: ['books:read', 'read'] }, by)
  await server.refresh()
  t.notMatch((await browser.open('/account/api-keys/new')).text, /books/)
  await grantRole(ctx, 'https://books.example', 'reader', { kind: 'user', holder: ada.id }, by)
  const form = await browser.open('/account/api-keys/new')
  t.match(form.text, /books:read/)
  t.notMatch(form.text, /books:write/)
  const forged = await makeKeyByPage(browser, { scope: 'https://books.example books:write' })
  t.match(forged.text, /choose again/)
  const wider = await makeKeyByPage(browser, { scope: ['https://books.example books:read', `${keyApi} read`] })
  t.match(wider.text, /read would hold at https:\/\/books\.example too/, 'no key does more than was ticked')
})

t.test('a key is renamed', async (t) => {
  const id = idOf(shownKey(await makeKeyByPage(browser, { networks: '192.0.2.0/24' })))
  const form = await browser.open(`/account/api-keys/${id}/change`)
  t.match(form.inputs.map(({ name, value }) => [name, value]).slice(1, 4), [
    ['name', 'Report'],
    ['description', ''],
    ['networks', '192.0.2.0/24'],
  ])
  const done = await browser.submit(form, { name: 'Another name', networks: '' }, { button: 'change-key' })
  t.equal(done.url.pathname, `/account/api-keys/${id}`)
  t.match(done.text, /Another name.*Any network/)
  t.match((await server.audit('api_key.changed')).at(-1), { actor: `user:${ada.id}` })
  const wrong = await browser.submit(form, { name: '\u200b' }, { button: 'change-key' })
  t.equal(wrong.status, 400)
  t.match(wrong.html, /id="name-error"/)
})

t.test('what bounds a key besides stands beside it: the networks of its owner, and an administrator', async (t) => {
  const eve = await server.createUser('eve@example.com')
  const request = { owner: { kind: 'user', id: eve.id } as const, name: 'Bound', scope: ['read'], resources: [keyApi] }
  const own = { ...by, actor: `user:${eve.id}` }
  const { key: free } = await createApiKey(ctx, request, own)
  const { key: bound } = await createApiKey(ctx, { ...request, networks: ['192.0.2.0/24'] }, by)
  const origins = ['https://shop.example']
  const { key: page } = await createApiKey(ctx, { ...request, kind: 'publishable', origins }, by)
  let hers = await atAccount(server, eve)
  const text = async ({ id }: { readonly id: string }, what = '') =>
    (await hers.open(`/account/api-keys/${id}${what}`)).text
  t.notMatch(await text(free), 'Within')
  t.match(await text(free, '/change'), 'Left empty: from anywhere.')
  await updateUser(ctx, eve.id, { allowedNetworks: ['192.0.2.0/24'] }, by)
  hers = await atAccount(server, eve)
  t.match(await text(free), /Any network\s+Within\s+192\.0\.2\.0\/24/)
  t.match(await text(free, '/change'), 'Left empty: from 192.0.2.0/24, where your account may be used.')
  t.notMatch(await text(page), 'Within', 'its readers are anywhere')
  t.notMatch(await text(free, '/change'), 'An administrator')
  t.match(await text(bound, '/change'), 'An administrator said what this key may do')
})

t.test('a key is rotated once, and its successor shown once', async (t) => {
  const old = shownKey(await makeKeyByPage(browser))
  const form = await browser.open(`/account/api-keys/${idOf(old)}/rotate`)
  const { address, form: filled } = form.form('rotate-key', { overlap: '3600' })
  const replies = await Promise.all(Array.from({ length: 3 }, () => browser.request('POST', address, { form: filled })))
  t.same(replies.map(({ statusCode }) => statusCode).sort(), [200, 409, 409])
  const made = replies.find(({ statusCode }) => statusCode === 200)!
  const [, successor = ''] = /id="new-key"[^>]*>([^<]+)</.exec(made.body) ?? []
  t.match(await introspect(server, api, successor), { active: true, scope: 'read' })
  t.match(await introspect(server, api, old), { active: true }, 'for the overlap')
  const again = await browser.post(address, filled)
  t.match(again.text, /rotated already/)
  t.ok(again.links.some(({ href }) => href === `/account/api-keys/${idOf(successor)}`))
  t.notOk(again.html.includes(successor))
  t.match((await browser.open(`/account/api-keys/${idOf(old)}`)).text, /Replaced/)
  server.clock.advance(3600)
  t.match(await introspect(server, api, old), { active: false })

  browser.cookies.delete('ostiary_session')
  await atAccount(server, ada, browser)
  const now = await browser.open(`/account/api-keys/${idOf(successor)}/rotate`)
  const last = await browser.submit(now, { overlap: '0' }, { button: 'rotate-key' })
  t.match(last.text, /The key before has ended/)
  t.match(await introspect(server, api, successor), { active: false })
})

t.test('a key is ended after a question', async (t) => {
  const key = shownKey(await makeKeyByPage(browser))
  const question = await browser.open(`/account/api-keys/${idOf(key)}/end`)
  t.match(question.text, /Nothing brings the key back/)
  t.match(await introspect(server, api, key), { active: true }, 'to ask ends nothing')
  const done = await browser.submit(question, {}, { button: 'end-key' })
  t.equal(done.url.pathname, `/account/api-keys/${idOf(key)}`)
  t.match(done.text, /Ended.*You ended it in your account/)
  t.same(await introspect(server, api, key), { active: false })
  t.equal((await browser.submit(question, {}, { button: 'end-key' })).status, 200, 'once more changes nothing')
  t.notOk((await browser.open('/account/api-keys')).html.includes(idOf(key)))
  t.ok((await browser.open('/account/api-keys?show=over')).html.includes(idOf(key)))
  for (const act of ['rotate', 'change', 'end']) {
    const page = await browser.open(`/account/api-keys/${idOf(key)}/${act}`)
    t.equal(page.status, 200)
  }
  const change = await browser.open(`/account/api-keys/${idOf(key)}/change`)
  t.match((await browser.submit(change, { name: 'New' }, { button: 'change-key' })).status, 409)
})

t.test('a key that was exposed says so, in the list and on its page', async (t) => {
  const carol = await server.createUser('exposed@example.com', 'correct horse battery')
  const request = {
    owner: { kind: 'user', id: carol.id },
    name: 'Exposed one',
    scope: ['read'],
    resources: ['https://api.example'],
  } as const
  const [shown, safe] = [
    await createApiKey(ctx, request, by),
    await createApiKey(ctx, { ...request, name: 'Safe' }, by),
  ]
  const hers = await atAccount(server, carol)
  const path = `/account/api-keys/${shown.key.id}`
  t.notMatch((await hers.open('/account/api-keys')).text, /Exposed \d|address of a request/)

  await reportExposed(ctx, shown.key.id, { by: { actor: 'system' }, where: 'address' })
  const list = await hers.open('/account/api-keys')
  t.equal(list.html.match(/<span class="badge exposed">Exposed<\/span>/g)?.length, 1, 'that one alone')
  t.match(list.text, /Exposed \d+ \w+ \d{4}.*in the address of a request/)
  const page = await hers.open(path)
  t.match(page.text, /whoever reads these can use it: rotate it with a short overlap, or end it/)
  t.match(page.html, /<span class="badge exposed">/)
  t.notMatch((await hers.open(`/account/api-keys/${safe.key.id}`)).text, /address of a request/)

  await rotateApiKey(ctx, shown.key.id, { by })
  t.match((await hers.open(path)).text, /can use it: move your programs now, or end it/)
  await endApiKey(ctx, shown.key.id, { cause: { ...by, reason: 'test' } })
  const over = await hers.open(path)
  t.match(over.text, /Exposed \d+ \w+ \d{4}/)
  t.notMatch(over.text, /whoever reads these/, 'there is nothing to do any more')
})

t.test('the list has pages', async (t) => {
  const owner = { kind: 'user', id: bob.id } as const
  for (let made = 0; made < 41; made++) {
    await createApiKey(ctx, { owner, name: `Number ${made}`, scope: ['read'], resources: [keyApi] }, by)
  }
  const his = await atAccount(server, bob)
  const seen: string[] = []
  let page = await his.open('/account/api-keys')
  for (let pages = 1; ; pages++) {
    const names = page.links.filter(({ text }) => text.startsWith('Number')).map(({ text }) => text)
    t.ok(names.length <= 20)
    seen.push(...names)
    const next = page.links.find(({ text }) => text === 'Next page')
    if (!next) {
      t.equal(pages, 3)
      break
    }
    page = await his.open(next.href)
  }
  t.same(new Set(seen).size, 41)
  t.equal((await his.open('/account/api-keys?after=nonsense')).status, 200)
})

t.test('a key that an application made says so, and one that it rotated', async (t) => {
  const application = await server.createClient({
    client_name: 'Acme Notes',
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'api_keys read',
  })
  const issued = await issueCode(server, application, ada.id, { scope: ['api_keys'] })
  const { access_token: token } = (await redeem(server, application, issued)).json()
  const call = (method: 'POST' | 'GET', url: string, body?: object) =>
    server.app.inject({
      method,
      url,
      headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { payload: JSON.stringify(body) } : {}),
    })
  const body = { name: 'By an application', scope: 'read', resources: [keyApi] }
  const made = (await call('POST', '/api-keys', body)).json()
  t.equal(made.created_by_client, application.clientId)
  t.equal((await call('GET', `/api-keys/${made.id}`)).json().created_by_client, application.clientId)
  const created = await server.audit('api_key.created')
  t.match(
    created.find(({ detail }) => detail?.['key'] === made.id),
    { detail: { through: application.clientId } },
  )
  const shown = await browser.open(`/account/api-keys/${made.id}`)
  t.match(shown.text, /Made through Acme Notes/)
  t.match(shown.text, /Acme Notes made this key for you and was shown it/)
  t.match((await browser.open('/account/api-keys')).text, /Made through Acme Notes/)

  const form = await browser.open(`/account/api-keys/${made.id}/rotate`)
  const own = idOf(shownKey(await browser.submit(form, { overlap: '0' }, { button: 'rotate-key' })))
  t.notMatch((await browser.open(`/account/api-keys/${own}`)).text, /Made through/, 'nobody else has seen this one')
  const rotated = (await call('POST', `/api-keys/${own}/rotate`, { overlap: 0 })).json()
  t.equal(rotated.created_by_client, application.clientId)
})
