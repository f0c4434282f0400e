import { connect } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { everything, exchange, listenOnLoopback } from '../support/http.js'
import { send as arrive, createTestServer, encodeForm, sql } from '../support/server.js'
import { codeFor, openScene, postAs, redeem, refresh, tokensFor } from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const service = await server.createService('read', { allowed_origins: ['https://spa.example'] })
const port = await listenOnLoopback(server.app)

const endpoints = ['/token', '/revoke', '/introspect'] as const
const documents = ['/jwks', '/.well-known/jwks.json', '/.well-known/oauth-authorization-server'] as const
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const credentials = { authorization: service.basic }
const right = 'grant_type=client_credentials'

const send = (path: string, headers: Readonly<Record<string, string>>, payload: string | Buffer) =>
  server.app.inject({ method: 'POST', url: path, headers: { ...credentials, ...headers }, payload })

/** The server is there, and does what it did before. */
async function stillServes(): Promise<boolean> {
  return (await send('/token', form, right)).statusCode === 200
}

t.test('attack 119: only a form in UTF-8 is read', async (t) => {
  for (const path of endpoints) {
    for (const [type, payload] of [
      ['application/json', '{"grant_type":"client_credentials"}'],
      ['application/json; charset=utf-8', '{}'],
      ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nx\r\n--x--'],
      ['text/plain', right],
      ['application/xml', '<x/>'],
      ['application/octet-stream', right],
      ['application/x-www-form-urlencoded; charset=utf-16', right],
      ['application/x-www-form-urlencoded; charset=utf-7', right],
      ['application/x-www-form-urlencoded; charset=utf-8; charset=utf-16', right],
      ['application/x-www-form-urlencoded, application/json', right],
      ['application/x-www-form-urlencoded\u00a0', right],
      ['', right],
    ] as const) {
      const reply = await send(path, { 'content-type': type }, payload)
      t.equal(reply.statusCode, 415, `${path} ${type}`)
      t.match(reply.json(), { error: 'invalid_request' })
      t.equal(reply.headers['cache-control'], 'no-store')
    }
  }
  for (const [name, fields] of Object.entries({
    'two types': 'Content-Type: application/x-www-form-urlencoded\r\nContent-Type: application/json\r\n',
    'two credentials': `Content-Type: application/x-www-form-urlencoded\r\nAuthorization: ${api.basic}\r\n`,
  })) {
    const head = `POST /token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${service.basic}\r\n${fields}`
    const answer = await exchange(port, `${head}Content-Length: ${right.length}\r\n\r\n${right}`)
    t.match(answer, /^HTTP\/1\.1 400 /, name)
    t.match(answer, '"error":"invalid_request"')
  }
})

t.test('attack 119: bytes that are no UTF-8, and controls', async (t) => {
  for (const payload of [
    Buffer.from([0x67, 0x3d, 0xff, 0xfe]),
    Buffer.from(`${right}&a=\xe9`, 'latin1'),
    Buffer.from('\ufeffgrant_type=client_credentials', 'utf16le'),
    `${right}&a=%C0%AF`,
    `${right}&a=%ED%A0%80`,
    `${right}&a=%00`,
    `${right}&scope=read%00`,
    `${right}%00`,
    `${right}&a=%0d%0aX-Evil:1`,
    `${right}&a=%zz`,
    `${right}&a=%`,
  ]) {
    const reply = await send('/token', form, payload)
    t.equal(reply.statusCode, 400, String(payload))
    t.match(reply.json(), { error: 'invalid_request' })
  }
  t.ok(await stillServes())
})

t.test('attack 120: large bodies, many parameters and nested names', async (t) => {
  for (const path of endpoints) {
    const large = await send(path, form, `a=${'x'.repeat(1024 * 1024)}`)
    t.equal(large.statusCode, 413, path)
    t.match(large.json(), { error: 'invalid_request' })
    for (const payload of [
      Array.from({ length: 10_000 }, (_, index) => `p${index}=1`)
        .join('&')
        .slice(0, 64_000),
      'a&'.repeat(20_000),
      '&'.repeat(60_000),
      `a=${'x'.repeat(8 * 1024 + 1)}`,
      `${'x'.repeat(8 * 1024 + 1)}=a`,
      `token=${'%41'.repeat(8 * 1024 + 1)}`,
    ]) {
      const reply = await send(path, form, payload)
      t.equal(reply.statusCode, 400, `${path} ${payload.slice(0, 20)}`)
      t.match(reply.json(), { error: 'invalid_request' })
    }
  }
  t.ok(await stillServes())
})

t.test('attack 120: names that mean something to JavaScript or to other parsers mean nothing', async (t) => {
  const plain = (await send('/token', form, right)).json()
  for (const more of [
    'a[b][c]=1',
    'a[__proto__][polluted]=1',
    '__proto__=1',
    '__proto__[polluted]=1',
    'constructor[prototype][polluted]=1',
    'constructor=1&prototype=1&toString=1&hasOwnProperty=1&valueOf=1',
    'grant_type[]=password',
    'grant_type%5B%5D=password',
    'scope[]=admin',
    'resource[0]=https://evil.example',
    'Grant_Type=password',
    ' grant_type=password',
    'a;grant_type=password',
  ]) {
    const reply = await send('/token', form, `${right}&${more}`)
    t.equal(reply.statusCode, 200, more)
    t.equal(reply.json().scope, plain.scope)
  }
  t.notOk('polluted' in {})
  for (const more of ['__proto__=1&__proto__=2', 'constructor=1&constructor=2', 'unknown=1&unknown=1']) {
    t.equal((await send('/token', form, `${right}&${more}`)).statusCode, 400, more)
  }
  const unnamed = await server.post('/token', { __proto__: 'x', client_id: '__proto__', client_secret: 'constructor' })
  t.equal(unnamed.statusCode, 401)
  for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
    const reply = await postAs(server, service, '/token', { grant_type: name })
    t.match(reply.json(), { error: 'unsupported_grant_type' }, name)
  }
})

t.test('attack 18: a parameter that is repeated', async (t) => {
  for (const [path, payload] of [
    ['/token', `${right}&grant_type=client_credentials`],
    ['/token', `${right}&scope=read&scope=read`],
    ['/token', `${right}&scope=read&scope=`],
    ['/token', 'grant_type=refresh_token&refresh_token=a&refresh_token=b'],
    ['/revoke', 'token=a&token=b'],
    ['/introspect', 'token=a&token=a'],
    ['/introspect', 'token=a&%74oken=a'],
  ] as const) {
    const reply = await send(path, form, payload)
    t.equal(reply.statusCode, 400, payload)
    t.match(reply.json(), { error: 'invalid_request' }, payload)
  }
})

const corsHeaders = (headers: object) => Object.entries(headers).filter(([name]) => name.startsWith('access-control-'))

t.test('attack 121: registered origins may call /token, /revoke and read the documents', async (t) => {
  const origin = 'https://spa.example'
  for (const path of ['/token', '/revoke', ...documents]) {
    const isDocument = path.startsWith('/jwks') || path.startsWith('/.well')
    const preflight = await server.app.inject({
      method: 'OPTIONS',
      url: path,
      headers: { origin, 'access-control-request-method': isDocument ? 'GET' : 'POST' },
    })
    t.equal(preflight.statusCode, 204, path)
    t.equal(preflight.headers['access-control-allow-origin'], origin)
    t.match(preflight.headers['access-control-allow-methods'], isDocument ? 'GET' : 'POST')
    const reply = await server.app.inject({ method: isDocument ? 'GET' : 'POST', url: path, headers: { origin } })
    t.equal(reply.headers['access-control-allow-origin'], origin)
    t.match(reply.headers['vary'], 'Origin')
    for (const { headers } of [preflight, reply]) t.notOk('access-control-allow-credentials' in headers)
  }
})

t.test('attack 121: registered origins may call /userinfo, and read why it refused them', async (t) => {
  const origin = 'https://spa.example'
  const asked = { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' }
  const preflight = await server.app.inject({ method: 'OPTIONS', url: '/userinfo', headers: asked })
  t.equal(preflight.statusCode, 204)
  t.match(preflight.headers, {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': 'Authorization, Content-Type',
  })
  for (const authorization of ['Bearer wrong', undefined]) {
    const headers = { origin, ...(authorization === undefined ? {} : { authorization }) }
    const reply = await arrive(server.app, { method: 'GET', url: '/userinfo', headers })
    t.equal(reply.statusCode, 401)
    t.match(reply.headers, { 'access-control-allow-origin': origin, vary: 'Origin', 'www-authenticate': /^Bearer / })
    t.match(reply.headers['access-control-expose-headers'], /WWW-Authenticate/)
    t.notOk('access-control-allow-credentials' in reply.headers)
  }
  const stranger = { ...asked, origin: 'https://evil.example' }
  t.same(corsHeaders((await server.app.inject({ method: 'OPTIONS', url: '/userinfo', headers: stranger })).headers), [])
  const direct = await arrive(server.app, {
    method: 'GET',
    url: '/userinfo',
    headers: { authorization: 'Bearer wrong' },
  })
  t.equal(direct.headers['vary'], 'Origin', 'a cache gives no answer to another origin')
})

t.test(
  'attacks 93 and 121: no page of another origin registers clients, by the networks of its visitors',
  async (t) => {
    const own = await createTestServer(t, { beside: server, env: { REGISTRATION: 'open' } })
    const payload = JSON.stringify({ redirect_uris: ['https://spa.example/cb'] })
    const headers = { origin: 'https://spa.example', 'content-type': 'application/json' }
    for (const url of ['/register', '/register/somebody']) {
      const asked = {
        ...headers,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      }
      // Without it a browser does not send JSON at all, and what it sends unasked is no JSON.
      t.same(corsHeaders((await own.app.inject({ method: 'OPTIONS', url, headers: asked })).headers), [], url)
    }
    const plain = { ...headers, 'content-type': 'text/plain' }
    const reply = await own.app.inject({ method: 'POST', url: '/register', headers: plain, payload })
    t.equal(reply.statusCode, 415)
    t.same(corsHeaders(reply.headers), [])
  },
)

t.test('attack 121: nobody else may, and nobody may call anything else', async (t) => {
  const strangers = [
    'null',
    '*',
    'https://good.evil',
    'https://spa.example.evil.tld',
    'https://evil-spa.example',
    'https://sub.spa.example',
    'http://spa.example',
    'https://spa.example:8443',
    'https://spa.example/',
    'https://SPA.example',
    'https://spa.example, https://evil.example',
    'https://spa.example%00.evil.tld',
    "https://spa.example'",
    'file://',
    'x'.repeat(5000),
  ]
  for (const origin of strangers) {
    for (const path of ['/token', '/revoke', '/jwks']) {
      for (const method of ['OPTIONS', path === '/jwks' ? 'GET' : 'POST'] as const) {
        const headers = { origin, 'access-control-request-method': 'POST' }
        const reply = await server.app.inject({ method, url: path, headers })
        t.same(corsHeaders(reply.headers), [], `${method} ${path} ${origin.slice(0, 40)}`)
      }
    }
  }
  for (const path of ['/introspect', '/authorize', '/', '/healthz', '/readyz', '/nothing']) {
    for (const method of ['GET', 'POST', 'OPTIONS'] as const) {
      const headers = { origin: 'https://spa.example', 'access-control-request-method': 'POST' }
      const reply = await server.app.inject({ method, url: path, headers })
      t.same(corsHeaders(reply.headers), [], `${method} ${path}`)
    }
  }
})

t.test('attack 122: wrong methods are 405 with Allow, and no header overrides one', async (t) => {
  for (const path of [...endpoints, ...documents, '/healthz', '/readyz']) {
    const isEndpoint = (endpoints as readonly string[]).includes(path)
    const allow = isEndpoint ? 'POST' : 'GET, HEAD'
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', isEndpoint ? 'GET' : 'POST']) {
      const reply = await server.app.inject({
        // Not in the type of `inject`, and just as real.
        method: method as 'PUT',
        url: path,
        headers: { 'x-http-method-override': isEndpoint ? 'POST' : 'GET', 'x-method-override': 'POST' },
      })
      t.equal(reply.statusCode, 405, `${method} ${path}`)
      t.equal(reply.headers['allow'], allow)
      t.notMatch(reply.body, 'x-http-method-override', 'nothing is sent back that came')
    }
  }
  for (const path of [...documents, '/healthz']) {
    const head = await server.app.inject({ method: 'HEAD', url: path })
    t.equal(head.statusCode, 200)
    t.equal(head.body, '')
  }
  const overridden = await send('/token?_method=GET', { ...form, 'x-http-method-override': 'GET' }, right)
  t.equal(overridden.statusCode, 200, 'a POST stays one')
  const trace = await exchange(
    port,
    'TRACE /token HTTP/1.1\r\nHost: x\r\nCookie: secret=1\r\nConnection: close\r\n\r\n',
  )
  t.match(trace, /^HTTP\/1\.1 405 /)
  t.notMatch(trace, 'secret')
  t.match(await exchange(port, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n'), /^(?!HTTP\/1\.1 200)/)
})

t.test('attack 123: a request that can be read in two ways', async (t) => {
  const { issued, refresh_token } = await tokensFor(scene)
  const smuggled = encodeForm({ grant_type: 'refresh_token', refresh_token })
  const inner =
    `POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: ${client.basic}\r\n` +
    `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`
  const head = `POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: ${service.basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n`
  const cases: Readonly<Record<string, string>> = {
    'CL.TE': `${head}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    'TE.CL': `${head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${inner}\r\n0\r\n\r\n`,
    'TE.TE': `${head}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${inner}`,
    'two lengths': `${head}Content-Length: 5\r\nContent-Length: 50\r\n\r\na=bcd${inner}`,
    'an obfuscated coding': `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
    'a space before the colon': `${head}Content-Length : 5\r\n\r\na=bcd${inner}`,
    'a folded field': `${head}X: a\r\n Content-Length: 5\r\n\r\na=bcd${inner}`,
    'a bare line feed': `${head.replaceAll('\r\n', '\n')}Content-Length: 5\n\na=bcd${inner}`,
    'a bad chunk': `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${inner}\r\n0\r\n\r\n`,
    'a NUL in a field': `${head}X: a\0b\r\nContent-Length: 5\r\n\r\na=bcd${inner}`,
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const answer = await exchange(port, bytes)
    t.match(answer, /^HTTP\/1\.1 400 /, name)
    t.equal(answer.match(/^HTTP\/1\.1 /gm)?.length, 1, `${name}: one answer, and the connection is closed`)
  }
  const rows = await sql(server, 'SELECT used_at FROM refresh_token WHERE grant_id = $1', [issued.grantId])
  t.same(rows, [{ used_at: null }], 'the smuggled request was never made')
  t.equal((await refresh(server, client, refresh_token)).statusCode, 200)
})

t.test('attack 123: oversize headers and addresses', async (t) => {
  for (const bytes of [
    `GET /jwks HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(50_000)}\r\n\r\n`,
    `GET /jwks HTTP/1.1\r\nHost: x\r\n${'X: yyyyyyyyyy\r\n'.repeat(6_000)}\r\n`,
    `GET /jwks?${'x'.repeat(50_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  ]) {
    t.match(await exchange(port, bytes), /^HTTP\/1\.1 431 [\s\S]*"error":"invalid_request"/)
  }
  t.match(await exchange(port, 'GET /jwks HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /, 'no host')
  t.ok(await stillServes())
})

t.test('attack 126: whatever a program is told is not kept, and nothing leaks by a referrer', async (t) => {
  const issued = await codeFor(scene)
  const replies = {
    'a token': await redeem(server, client, issued),
    'a refused grant': await redeem(server, client, issued),
    'a service’s token': await send('/token', form, right),
    'a refused client': await server.post('/token', {}),
    'an introspection': await postAs(server, api, '/introspect', { token: 'x' }),
    'a revocation': await postAs(server, client, '/revoke', { token: 'x' }),
    'a wrong type': await send('/token', { 'content-type': 'application/json' }, '{}'),
    'a wrong method': await server.get('/token'),
    'an unknown address': await server.get('/nothing'),
    'an address that cannot be read': await server.get('/%'),
  }
  for (const [name, { headers }] of Object.entries(replies)) {
    t.equal(headers['cache-control'], 'no-store', name)
    t.equal(headers['pragma'], 'no-cache', name)
  }
  for (const path of [...documents, '/healthz', '/', '/token', '/nothing']) {
    const { headers } = await server.get(path)
    t.equal(headers['referrer-policy'], 'no-referrer', path)
    t.equal(headers['x-content-type-options'], 'nosniff', path)
    t.equal(headers['x-frame-options'], 'DENY', path)
    t.match(headers['content-security-policy'], "frame-ancestors 'none'", path)
    t.notOk('server' in headers || 'x-powered-by' in headers, path)
  }
})

t.test('attack 135: who sends slowly or nothing keeps nobody else out, and connections are bounded', async (t) => {
  const own = await createTestServer(t, { env: { MAX_CONNECTIONS: '100' } })
  // Who has not sent the header, or all of it, within this is cut off.
  t.equal(own.app.server.headersTimeout, 10_000)
  t.equal(own.app.server.requestTimeout, 15_000)
  const ownPort = await listenOnLoopback(own.app)
  const head = 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n'
  const open = (bytes: string) => {
    const socket = connect(ownPort, '127.0.0.1')
    socket.write(bytes)
    return { socket, closed: everything(socket).catch(() => '') }
  }
  const slow = ['', 'POST /tok', head, `${head}Content-Length: 100\r\n\r\ngrant_type=`].flatMap((bytes) =>
    Array.from({ length: 24 }, () => open(bytes)),
  )
  const ask = () => exchange(ownPort, 'GET /jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  t.match(await ask(), /^HTTP\/1\.1 200 /, 'others are served meanwhile')

  const more = Array.from({ length: 10 }, () => open(''))
  let refused = 0
  await new Promise<void>((resolve) => {
    for (const { closed } of more) {
      closed.then((answer) => {
        if (answer === '' && ++refused === 6) resolve()
      })
    }
  })
  t.equal(refused, 6, 'what is beyond the bound is closed at once')
  for (const { socket } of [...slow, ...more]) socket.destroy()
  await Promise.all([...slow, ...more].map(({ closed }) => closed))
  t.match(await ask(), /^HTTP\/1\.1 200 /)
})

t.test('attack 138: compressed bodies are refused unread', async (t) => {
  const bomb = Buffer.alloc(10 * 1024 * 1024, 'a')
  for (const [encoding, payload] of [
    ['gzip', gzipSync(bomb)],
    ['br', brotliCompressSync(bomb)],
    ['deflate', deflateSync(bomb)],
    ['zstd', Buffer.from('x')],
    ['gzip, gzip', gzipSync(gzipSync(bomb))],
    ['GZIP', gzipSync(right)],
    ['identity, gzip', gzipSync(right)],
  ] as const) {
    for (const path of endpoints) {
      const reply = await send(path, { ...form, 'content-encoding': encoding }, payload)
      t.equal(reply.statusCode, 415, `${path} ${encoding}`)
      t.match(reply.json(), { error: 'invalid_request' })
      t.equal(reply.headers['accept-encoding'], 'identity')
      t.equal(reply.headers['connection'], 'close', 'the rest is not read as another request')
    }
  }
  t.equal((await send('/token', { ...form, 'content-encoding': 'identity' }, right)).statusCode, 200)
})
