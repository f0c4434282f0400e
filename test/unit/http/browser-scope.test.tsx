/** @jsxRuntime automatic */
/** @jsxImportSource preact */

import t from 'tap'
import {
  browserScope,
  checkCsrfToken,
  clearCookie,
  csrfToken,
  PageError,
  readCookie,
  seeOther,
  sendPage,
  writeCookie,
} from '../../../src/http/index.js'
import { InvalidRequestError, TemporarilyUnavailableError, TooManyRequestsError } from '../../../src/oauth/index.js'
import { Page } from '../../../src/ui/index.js'
import { bareServer } from '../../support/http.js'

type Test = Parameters<typeof bareServer>[0]

const HTTPS = { ISSUER: 'https://auth.example.com' }

function policyOf(reply: { readonly headers: Readonly<Record<string, unknown>> }): string {
  return String(reply.headers['content-security-policy'])
}

/** GET /page sends a page whose forms lead to these addresses. */
async function pageWith(t: Test, formAction: readonly string[] = []) {
  const { app } = bareServer(t)
  browserScope(app, (scope) => {
    scope.get('/page', (_request, reply) => sendPage(reply, 200, <Page title="x">y</Page>, { formAction }))
  })
  return { app, reply: await app.inject('/page') }
}

t.test('RFC 9700 §4.16: a page cannot be framed, loads nothing and is not stored', async (t) => {
  const { app, reply } = await pageWith(t)
  t.equal(reply.statusCode, 200)
  t.match(reply.headers, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    pragma: 'no-cache',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  })
  t.match(
    policyOf(reply),
    /^default-src 'none'; style-src 'nonce-[\w-]{22}'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
  )
  const [, nonce] = /'nonce-([\w-]+)'/.exec(policyOf(reply)) ?? []
  t.match(reply.body, `<style nonce="${nonce}">`)
  t.not(policyOf(await app.inject('/page')), policyOf(reply), 'a nonce is used once')
})

t.test('a page may let its form lead to the client, and nothing slips into the policy', async (t) => {
  const { reply } = await pageWith(t, [
    'https://app.example:8443/cb?x=1;script-src *',
    'https://app.example:8443/other',
    'http://127.0.0.1:4711/cb',
    'http://[::1]:4711/cb',
    'com.example.app:/cb',
    "https://evil.example;script-src'unsafe-inline'/",
    'not a url',
    "x;script-src *:'unsafe-inline'",
  ])
  t.match(
    policyOf(reply),
    / form-action 'self' https:\/\/app\.example:8443 http:\/\/127\.0\.0\.1:4711 http: com\.example\.app:; frame-ancestors 'none'/,
  )
  t.notMatch(policyOf(reply), 'script-src')
})

t.test('an error is a page at the address asked for, with the request id and what to do', async (t) => {
  const { app } = bareServer(t)
  const errors: Readonly<Record<string, unknown>> = {
    400: new InvalidRequestError('<img src=x onerror=alert(1)>', { reason: 'x' }),
    403: new PageError('The form is not ours.', {
      reason: 'csrf',
      status: 403,
      advice: 'Load the page again.',
      actions: [{ href: '/again', label: 'Try again' }],
    }),
    429: new TooManyRequestsError('x', { reason: 'x', retryAfter: 60 }),
    500: new Error('hunter2'),
    503: new TemporarilyUnavailableError('x', { reason: 'x', retryAfter: 5 }),
  }
  browserScope(app, (scope) => {
    scope.get('/fail/:status', async (request) => {
      throw errors[String(Reflect.get(Object(request.params), 'status'))]
    })
  })
  for (const status of Object.keys(errors)) {
    const reply = await app.inject(`/fail/${status}?secret=hunter2`)
    t.equal(reply.statusCode, Number(status))
    t.match(reply.headers, { 'content-type': /^text\/html/, 'cache-control': 'no-store' })
    t.match(policyOf(reply), /style-src 'nonce-/)
    t.match(reply.body, 'Something went wrong')
    t.match(reply.body, String(reply.headers['x-request-id']), 'the request id is shown')
    t.notMatch(reply.body, /hunter2|<img src=x/)
  }
  t.match((await app.inject('/fail/403')).body, /Load the page again\.[\s\S]*href="\/again"/)
  t.equal((await app.inject('/fail/429')).headers['retry-after'], '60')
  const wrong = await app.inject({ method: 'DELETE', url: '/fail/400' })
  t.equal(wrong.statusCode, 405)
  t.match(wrong.headers, { allow: 'GET, HEAD', 'content-type': /^text\/html/ })
})

t.test('RFC 9700 §4.12: a redirect is 303, and nothing in it ends the header (attacks 124 and 125)', async (t) => {
  const { app } = bareServer(t)
  const locations = ['https://app.example/cb?a=1&b=%20#x', 'https://a.example/\r\nSet-Cookie: x=1', '/é \ud83d\u0000']
  browserScope(app, (scope) => {
    scope.post('/go/:index', (request, reply) =>
      seeOther(reply, locations[Number(Reflect.get(Object(request.params), 'index'))] ?? ''),
    )
  })
  const expected = [
    'https://app.example/cb?a=1&b=%20#x',
    'https://a.example/%0D%0ASet-Cookie:%20x=1',
    '/%C3%A9%20%EF%BF%BD%00',
  ]
  for (const [index, location] of expected.entries()) {
    const reply = await app.inject({ method: 'POST', url: `/go/${index}` })
    t.equal(reply.statusCode, 303)
    t.equal(reply.headers.location, location)
    t.equal(reply.headers['set-cookie'], undefined)
    t.equal(reply.headers['cache-control'], 'no-store')
  }
})

/** /set sets both cookies, /clear ends them, /read says what was read. */
function cookieServer(t: Test, env: Readonly<Record<string, string>> = {}) {
  const { app } = bareServer(t, env)
  browserScope(app, (scope) => {
    scope.get('/set', async (_request, reply) => {
      writeCookie(reply, 'browser', 'b-1', {})
      writeCookie(reply, 'session', 's-1', { maxAge: 3600 })
      return {}
    })
    scope.get('/clear', async (_request, reply) => {
      clearCookie(reply, 'session')
      return {}
    })
    scope.get('/read', async (request) => ({
      browser: readCookie(request, 'browser'),
      session: readCookie(request, 'session'),
    }))
    scope.get('/bad', async (_request, reply) => {
      writeCookie(reply, 'session', 'a; Domain=evil')
      return {}
    })
  })
  return app
}

t.test('attack 128: cookies are HttpOnly, Lax and, where the issuer is https, Secure with __Host-', async (t) => {
  const secure = cookieServer(t, HTTPS)
  t.same((await secure.inject('/set')).headers['set-cookie'], [
    '__Host-ostiary_browser=b-1; Path=/; HttpOnly; Secure; SameSite=Lax',
    '__Host-ostiary_session=s-1; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=Lax',
  ])
  t.equal(
    (await secure.inject('/clear')).headers['set-cookie'],
    '__Host-ostiary_session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax',
  )

  const local = cookieServer(t)
  t.same((await local.inject('/set')).headers['set-cookie'], [
    'ostiary_browser=b-1; Path=/; HttpOnly; SameSite=Lax',
    'ostiary_session=s-1; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax',
  ])
  t.equal((await local.inject('/bad')).statusCode, 500, 'a value that is no cookie of ours is never sent')
})

t.test('attack 128: a cookie that is tossed, garbage or oversize is ignored', async (t) => {
  const app = cookieServer(t, HTTPS)
  const read = async (cookie: string) => {
    const reply = await app.inject({ url: '/read', headers: { cookie } })
    t.equal(reply.statusCode, 200, cookie.slice(0, 60))
    return reply.json()
  }
  t.same(await read('a=b; __Host-ostiary_browser=b-1;__Host-ostiary_session=s-1'), { browser: 'b-1', session: 's-1' })
  for (const cookie of [
    '__Host-ostiary_session=mine; __Host-ostiary_session=tossed',
    '__Host-ostiary_session=same; __Host-ostiary_session=same',
    'ostiary_session=without-prefix',
    '__host-ostiary_session=other-case',
    '__Host-ostiary_session=',
    '__Host-ostiary_session',
    '__Host-ostiary_session="quoted"',
    '__Host-ostiary_session=a b',
    '__Host-ostiary_session=%00',
    '__Host-ostiary_session=é',
    `__Host-ostiary_session=${'x'.repeat(300)}`,
    `${'x'.repeat(9000)}=1`,
    ';;;===;;',
    '__proto__=1; constructor=2',
    '%',
  ]) {
    t.same(await read(cookie), {}, cookie.slice(0, 60))
  }
})

t.test('attacks 23 and 30: a form is bound to its browser and to what it is about', async (t) => {
  const key = Buffer.alloc(32, 7)
  const token = csrfToken(key, 'browser-1', 'login:1')
  t.match(token, /^[\w-]{43}$/)
  t.equal(checkCsrfToken(key, 'browser-1', 'login:1', token), true)

  t.equal(checkCsrfToken(key, 'browser-2', 'login:1', token), false, 'another browser')
  t.equal(checkCsrfToken(key, 'browser-1', 'consent:1', token), false, 'another form')
  t.equal(checkCsrfToken(Buffer.alloc(32, 8), 'browser-1', 'login:1', token), false, 'another key')
  t.equal(checkCsrfToken(key, undefined, 'login:1', token), false, 'no cookie')
  t.not(csrfToken(key, 'a', 'b:c'), csrfToken(key, 'a:b', 'c'), 'the two parts cannot be shifted')
  for (const wrong of [undefined, null, '', 7, [token], `${token}=`, token.slice(1), `${token.slice(0, -1)}!`]) {
    t.equal(checkCsrfToken(key, 'browser-1', 'login:1', wrong), false, String(wrong))
  }
})
