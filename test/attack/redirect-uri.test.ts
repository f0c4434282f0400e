import t, { type Test } from 'tap'
import { authorizationQuery, authorizationUrl, signedIn } from '../support/authorization.js'
import { TestBrowser, type TestPage } from '../support/browser.js'
import { createTestServer, sql } from '../support/server.js'

const server = await createTestServer(t)
const web = await server.createClient({ redirect_uris: ['https://good.example/cb'], first_party: true })
const two = await server.createClient({ redirect_uris: ['https://good.example/cb', 'https://good.example/2'] })
const native = await server.createClient({
  application_type: 'native',
  redirect_uris: ['http://127.0.0.1/cb', 'com.example.app:/cb'],
})
// Signed in, so that nothing but the redirect URI stands between the request and a code.
const browser = await signedIn(server, await server.createUser())
const kept = () =>
  sql(
    server,
    'SELECT (SELECT count(*) FROM authorization_grant) AS grants, (SELECT count(*) FROM interaction) AS waiting',
  )
const before = await kept()

/** General rule: a page on our own origin, 400, not stored, not framed, and nothing of the input on it. */
function isOwnPage(t: Test, page: TestPage, input: string): void {
  t.equal(page.status, 400, input)
  t.notOk(page.left)
  t.notOk(page.reply.headers.location)
  t.match(page.reply.headers, { 'cache-control': 'no-store', 'x-frame-options': 'DENY' })
  t.match(page.reply.headers['content-security-policy'], /frame-ancestors 'none'/)
  t.match(page.text, /Something went wrong/)
  if (input.length > 3) t.notOk(page.html.includes(input), 'the input is not repeated')
}

async function refuses(t: Test, uris: readonly string[], client = web): Promise<void> {
  for (const uri of uris) {
    isOwnPage(t, await browser.open(authorizationUrl(client, { redirect_uri: uri })), uri)
  }
}

t.test('attack 1: the redirect URI as a prefix of another host', async (t) => {
  await refuses(t, [
    'https://good.example.evil.tld/cb',
    'https://good.examplee/cb',
    'https://good.example:443.evil.tld/cb',
  ])
})

t.test('attack 2: the redirect URI as user information', async (t) => {
  await refuses(t, ['https://good.example@evil.tld/cb', 'https://good.example:x@evil.tld/cb'])
})

t.test('attack 3: another path', async (t) => {
  const paths = ['/cb/../x', '/x/../cb', '/%2e%2e/cb', '/cb/', '/cb//', '//cb', '/cb;x', '/cb/.', '/CB', '/%63b', '']
  await refuses(
    t,
    paths.map((path) => `https://good.example${path}`),
  )
})

t.test('attack 4: other spellings of the same host', async (t) => {
  await refuses(t, [
    'HTTPS://good.example/cb',
    'https://GOOD.example/cb',
    'https://good.example:443/cb',
    'https://good.example./cb',
    'https://gооd.example/cb',
    'https://xn--gd-fmca.example/cb',
  ])
})

t.test('attack 5: a query or a fragment more', async (t) => {
  const more = ['?', '?x=1', '#', '#x', '?#', '&x=1']
  await refuses(
    t,
    more.map((end) => `https://good.example/cb${end}`),
  )
})

t.test('attack 6: what parsers disagree about', async (t) => {
  await refuses(t, [
    'https://good.example\\@evil.tld/cb',
    'https:evil.tld/cb',
    'https:/good.example/cb',
    'https:///good.example/cb',
    '//good.example/cb',
    '/cb',
    ' https://good.example/cb',
    'https://good.example/cb ',
    'https://good.example/cb%00',
    'https://good.example/cb%0d%0a',
  ])
  for (const encoded of ['%09', '%0a', '%0d%0a', '%00', '%ff', '%c0%af', '%zz', '%']) {
    const query = authorizationQuery(web, { redirect_uri: 'https://good.example/cb' })
    isOwnPage(t, await browser.open(`/authorize?${query.replace('%2Fcb', `%2Fcb${encoded}`)}`), encoded)
  }
})

t.test('attack 8: loopback, only for a native client, by the same path and an IP literal', async (t) => {
  await refuses(t, ['http://127.0.0.1:8080/cb', 'http://localhost/cb'], web)
  await refuses(
    t,
    [
      'http://127.0.0.1:8080/other',
      'http://localhost.evil.tld/cb',
      'http://localhost/cb',
      'http://127.0.0.1.nip.io/cb',
      'http://127.0.0.1@evil.tld/cb',
      'http://127.0.0.1:80@evil.tld/cb',
      'http://127.0.0.1:08080/cb',
      'http://127.0.0.1:65536/cb',
      'http://127.0.0.1:/cb',
      'http://127.1/cb',
      'http://0x7f.1/cb',
      'http://2130706433/cb',
      'http://[::1]/cb',
      'http://[::ffff:127.0.0.1]/cb',
      'https://127.0.0.1:8080/cb',
      'com.example.app://cb',
      'com.example.app:/cb/x',
    ],
    native,
  )
})

t.test('attack 9: two redirect URIs, in one place or in two', async (t) => {
  const query = authorizationQuery(web, { redirect_uri: 'https://good.example/cb' })
  const evil = 'redirect_uri=https%3A%2F%2Fevil.tld%2Fcb'
  for (const encoded of [`${query}&${evil}`, `${evil}&${query}`, `${query}&redirect_uri=`, `${query}&redirect_uri`]) {
    isOwnPage(t, await browser.open(`/authorize?${encoded}`), '')
    isOwnPage(t, await browser.post('/authorize', new URLSearchParams(encoded) as never), '')
  }
  const form = Object.fromEntries(new URLSearchParams(query))
  isOwnPage(t, await browser.post(`/authorize?${evil}`, form), '')
  isOwnPage(t, await browser.post(`/authorize?${query}`, { redirect_uri: 'https://evil.tld/cb' }), '')
})

t.test('attack 10: no redirect URI, and two that are registered', async (t) => {
  for (const left of [undefined, ''])
    isOwnPage(t, await browser.open(authorizationUrl(two, { redirect_uri: left })), '')
})

t.test('an unknown client, or none, is never redirected', async (t) => {
  const redirect = { redirect_uri: 'https://good.example/cb' }
  for (const clientId of ['unknown-client', "'; DROP TABLE client; --", '<script>alert(1)</script>', '%']) {
    isOwnPage(t, await browser.open(authorizationUrl({ clientId }, redirect)), clientId)
  }
  isOwnPage(t, await browser.open(authorizationUrl(web, { ...redirect, client_id: undefined })), '')
  isOwnPage(t, await browser.open('/authorize'), '')
  isOwnPage(t, await new TestBrowser(server).post('/authorize', {}), '')
})

t.test('nothing of it left anything behind', async (t) => {
  t.same(await kept(), before)
})
