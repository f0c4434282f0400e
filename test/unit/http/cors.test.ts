import t from 'tap'
import { corsScope, protocolScope } from '../../../src/http/index.js'
import { InvalidGrantError } from '../../../src/oauth/index.js'
import { bareServer } from '../../support/http.js'

function server(t: Parameters<typeof bareServer>[0]) {
  const { app } = bareServer(t)
  const asked: string[] = []
  protocolScope(app, (scope) => {
    const options = {
      isAllowedOrigin: async (origin: string) => {
        asked.push(origin)
        return origin === 'https://app.example'
      },
      methods: ['POST'],
      headers: ['Authorization', 'Content-Type'],
    }
    corsScope(scope, options, (inner) => {
      inner.post('/token', async () => ({ ok: true }))
      inner.post('/failing', async () => {
        throw new InvalidGrantError('The code is invalid.', { reason: 'x' })
      })
    })
    scope.post('/introspect', async () => ({ active: false }))
  })
  return { app, asked }
}

const corsHeaders = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control'))

t.test('attack 121: a registered origin may read the answer, without credentials', async (t) => {
  const { app } = server(t)
  const headers = { origin: 'https://app.example' }
  const reply = await app.inject({ method: 'POST', url: '/token', headers })
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['access-control-allow-origin'], 'https://app.example')
  t.equal(reply.headers.vary, 'Origin')
  t.notOk('access-control-allow-credentials' in reply.headers)

  for (const [url, expected] of [
    ['/failing', 400],
    ['/token?a=1', 200],
  ] as const) {
    const answer = await app.inject({ method: 'POST', url, headers })
    t.equal(answer.statusCode, expected)
    t.equal(answer.headers['access-control-allow-origin'], 'https://app.example', 'errors can be read too')
  }
  const refused = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { ...headers, 'content-type': 'application/json' },
    payload: '{}',
  })
  t.equal(refused.statusCode, 415)
  t.equal(refused.headers['access-control-allow-origin'], 'https://app.example')
})

t.test('attack 121: other origins get no CORS header and null is no origin', async (t) => {
  const { app, asked } = server(t)
  for (const origin of [
    'null',
    'https://app.example.evil',
    'https://evil.app.example',
    'https://app.example/',
    'https://app.example:443',
    'http://app.example',
    'https://APP.example',
    'https://app.example\\@evil',
    '*',
    '',
    'x'.repeat(5000),
  ]) {
    const post = await app.inject({ method: 'POST', url: '/token', headers: { origin } })
    t.equal(post.statusCode, 200, 'the request itself is not CORS’s to judge')
    t.same(corsHeaders(post.headers), [], origin.slice(0, 40))
    t.equal(post.headers.vary, 'Origin')
    const preflight = await app.inject({
      method: 'OPTIONS',
      url: '/token',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
    t.same(corsHeaders(preflight.headers), [], origin.slice(0, 40))
  }
  t.notOk(asked.includes('null'))
  t.notOk(asked.some((origin) => origin.length > 300))
})

t.test('attack 122: a preflight is answered where CORS is allowed', async (t) => {
  const { app } = server(t)
  const headers = {
    origin: 'https://app.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  }
  const reply = await app.inject({ method: 'OPTIONS', url: '/token', headers })
  t.equal(reply.statusCode, 204)
  t.match(reply.headers, {
    'access-control-allow-origin': 'https://app.example',
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'Authorization, Content-Type',
    'access-control-max-age': '600',
    vary: 'Origin',
  })

  const elsewhere = await app.inject({ method: 'OPTIONS', url: '/introspect', headers })
  t.equal(elsewhere.statusCode, 405)
  t.equal(elsewhere.headers.allow, 'POST')
  t.same(corsHeaders(elsewhere.headers), [])
  t.equal((await app.inject({ method: 'OPTIONS', url: '/token' })).statusCode, 405, 'OPTIONS that is no preflight')
})

t.test('a server that asks gets no CORS header', async (t) => {
  const { app, asked } = server(t)
  const reply = await app.inject({ method: 'POST', url: '/token' })
  t.same(corsHeaders(reply.headers), [])
  t.same(asked, [])
})
