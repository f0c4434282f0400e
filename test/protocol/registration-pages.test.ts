import t from 'tap'
import { clientLogoPath } from '../../src/interaction/consent/client-logo.route.js'
import { createClientLogos } from '../../src/interaction/consent/client-logos.js'
import { authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { hang, openReceiver, status } from '../support/receiver.js'
import { registered } from '../support/registration.js'
import { createTestServer } from '../support/server.js'

const receiver = await openReceiver(t, '/logo')
const logo_uri = receiver.url
const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000', OUTBOUND_ALLOW: new URL(logo_uri).host }
const server = await createTestServer(t, { env })
const user = await server.createUser()
const asked = { scope: 'openid' }

t.test('the consent page marks who registered itself, and says the host before the name', async (t) => {
  const client = await registered(server, {
    scope: 'openid',
    policy_uri: 'https://app.example/privacy',
    tos_uri: 'https://app.example/terms',
  })
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(client, asked))
  t.equal(login.step, 'login')
  t.match(login.text, 'to continue to app.example')
  t.notMatch(login.text, 'Notes', 'attack 98: not its own word')
  const consent = await logIn(browser, login, user)
  t.match(consent.text, /app\.example wants access to your account It calls itself Notes/)
  t.match(consent.text, 'This application registered itself.')
  t.equal(consent.links.length, 2)
  t.equal(consent.html.match(/rel="noopener noreferrer nofollow"/g)?.length, 2)
  t.notMatch(consent.html, '<img', 'it has no logo')

  const known = await server.createClient({ scope: 'openid', client_name: 'Notes' })
  const page = await browser.open(authorizationUrl(known, asked))
  t.match(page.text, 'Notes wants access to your account')
  t.notMatch(page.text, 'registered itself')
})

t.test('RFC 9700 §4.11.2: errors of who registered itself are redirected only after login', async (t) => {
  const client = await registered(server)
  for (const wrong of [
    { scope: 'unknown' },
    { response_type: 'token' },
    { code_challenge_method: 'plain' },
    { request_uri: 'https://app.example/r' },
  ]) {
    const browser = new TestBrowser(server)
    const page = await browser.open(authorizationUrl(client, { ...asked, ...wrong }))
    t.equal(page.step, 'login', JSON.stringify(wrong))
    t.equal(page.left, undefined)
    const done = await logIn(browser, page, user)
    t.equal(done.left?.origin, 'https://app.example')
    t.match(done.answer, { error: /./, error_description: /./, state: 'the state', iss: /./ })
  }
  const browser = await signedIn(server, user)
  t.match((await browser.open(authorizationUrl(client, { scope: 'unknown' }))).answer, { error: 'invalid_scope' })
  const fragment = authorizationUrl(client, { scope: 'unknown', response_mode: 'fragment' })
  t.match((await browser.open(fragment)).left?.hash, /^#error=invalid_scope/)

  const silent = await new TestBrowser(server).open(authorizationUrl(client, { ...asked, prompt: 'none' }))
  t.match(silent.answer, { error: 'login_required' }, 'a silent request asks whether somebody is signed in')
  for (const prompt of ['none', 'none login']) {
    const faulty = await new TestBrowser(server).open(authorizationUrl(client, { scope: 'unknown', prompt }))
    t.match(
      faulty.answer,
      { error: 'login_required' },
      'OIDC Core §3.1.2.1: and is shown no page, whatever is wrong with it',
    )
  }
  const known = await server.createClient({ scope: 'openid' })
  const reply = await new TestBrowser(server).open(authorizationUrl(known, { scope: 'unknown' }))
  t.match(reply.answer, { error: 'invalid_scope' }, 'an administrator vouches for others')
})

const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')

const serve = (body: Buffer | string, contentType = 'image/png') =>
  receiver.answer((response) => {
    response.writeHead(200, { 'content-type': contentType })
    response.end(body)
  })

t.test('the logo is our own copy, by its bytes and not by what its server says', async (t) => {
  const client = await registered(server, { logo_uri, scope: 'openid' })
  serve(png, 'text/html')
  const before = receiver.received.length
  const path = clientLogoPath(server.ctx, client.clientId)
  for (const reply of await Promise.all(Array.from({ length: 5 }, () => server.get(path)))) {
    t.equal(reply.statusCode, 200)
    t.match(reply.headers, {
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'content-security-policy': /sandbox/,
      'cross-origin-resource-policy': 'same-origin',
    })
    t.same(reply.rawPayload, png)
  }
  t.equal(receiver.received.length, before + 1, 'fetched once')

  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(client, asked))
  t.match(page.html, `<img class="logo" src="${path}" alt`)
  t.match(page.reply.headers['content-security-policy'], /img-src 'self'/)
})

t.test('what is no image is none, and is not asked for again at once', async (t) => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
  const answers = [
    () => serve(svg, 'image/svg+xml'),
    () => serve(svg, 'image/png'),
    () => serve(Buffer.concat([png, Buffer.alloc(70_000)])),
    () => receiver.answer(404),
    () => receiver.answer(status(302, { location: 'https://app.example/logo.png' })),
  ]
  for (const answer of answers) {
    answer()
    const { clientId } = await registered(server, { logo_uri })
    const before = receiver.received.length
    t.equal((await server.get(clientLogoPath(server.ctx, clientId))).statusCode, 404)
    t.equal((await server.get(clientLogoPath(server.ctx, clientId))).statusCode, 404)
    t.equal(receiver.received.length, before + 1)
  }
  const { clientId } = await registered(server)
  for (const id of [clientId, 'unknown', 'a b']) {
    t.equal((await server.get(clientLogoPath(server.ctx, id))).statusCode, 404, id)
  }
})

t.test('attack 95: a logo is fetched for who has seen the page, and few are at once', async (t) => {
  receiver.answer(hang)
  const before = receiver.received.length
  const { clientId } = await registered(server, { logo_uri })
  for (const path of [`/client-logos/${clientId}`, `/client-logos/${clientId}?of=x`, `/client-logos/a%00b?of=x`]) {
    t.equal((await server.get(path)).statusCode, 404)
  }
  t.equal(receiver.received.length, before)

  const logos = createClientLogos({
    ...server.ctx,
    outbound: { ...server.ctx.outbound, get: () => new Promise(() => undefined) },
  })
  for (let n = 0; n < 8; n++) logos.find((await registered(server, { logo_uri })).clientId).catch(() => undefined)
  t.equal(await logos.find((await registered(server, { logo_uri })).clientId), undefined, 'the ninth does not wait')
})
