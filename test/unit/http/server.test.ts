import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { clientAddress, encodedBody, encodedQuery, protocolScope } from '../../../src/http/index.js'
import { mostPipelined } from '../../../src/http/node-server.js'
import { readParameters } from '../../../src/oauth/index.js'
import { bareServer, everything, exchange, listenOnLoopback } from '../../support/http.js'

type Bare = ReturnType<typeof bareServer>

/** A server whose /echo says what it read. */
function echoServer(t: Parameters<typeof bareServer>[0], env: Readonly<Record<string, string>> = {}): Bare {
  const server = bareServer(t, env)
  protocolScope(server.app, (scope) => {
    scope.get('/echo', async (request) => ({ ...readParameters(encodedQuery(request)) }))
    scope.post('/echo', async (request) => ({ ...readParameters(encodedBody(request)) }))
    scope.get('/address', async (request) => ({ address: clientAddress(request) }))
    scope.get('/items/:id', async () => ({}))
  })
  return server
}

/** Something that happens once, and those that wait for it. */
function once() {
  let happen = () => {}
  const happened = new Promise<void>((resolve) => {
    happen = resolve
  })
  return { happened, happen: () => happen() }
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

t.test('a form and a query arrive as they were sent, for readParameters to read', async (t) => {
  const { app } = echoServer(t)
  const form = await app.inject({ method: 'POST', url: '/echo', headers: FORM, payload: 'a=1+2&b=%C3%A9&empty=' })
  t.same(form.json(), { a: '1 2', b: 'é' })
  const query = await app.inject('/echo?a[b]=1&__proto__=2&constructor=3')
  t.equal(query.statusCode, 200)
  t.equal(query.json()['a[b]'], '1')
  t.same((await app.inject({ method: 'POST', url: '/echo' })).json(), {}, 'without a body nothing is read')
})

t.test('attack 119: only a form in UTF-8 is read', async (t) => {
  const { app } = echoServer(t)
  const post = async (type: string, payload = 'a=1') =>
    (await app.inject({ method: 'POST', url: '/echo', headers: { 'content-type': type }, payload })).statusCode

  for (const type of [
    'application/x-www-form-urlencoded',
    'Application/X-WWW-Form-Urlencoded',
    'application/x-www-form-urlencoded;charset=UTF-8',
    'application/x-www-form-urlencoded ; charset="utf-8"',
  ]) {
    t.equal(await post(type), 200, type)
  }
  for (const type of [
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded; charset=utf-16',
    'application/x-www-form-urlencoded; charset=utf-7',
    'application/x-www-form-urlencoded; charset=utf-8; charset=utf-16',
    'application/x-www-form-urlencoded, application/json',
    'application/x-www-form-urlencodedx',
    'application/',
    'x',
    '*/*',
  ]) {
    t.equal(await post(type, '{"a":1}'), 415, type)
  }
  const untyped = await app.inject({ method: 'POST', url: '/echo', payload: Buffer.from('a=1') })
  t.equal(untyped.statusCode, 415, 'a body without a type')
})

t.test('a body that is no UTF-8 is refused as malformed', async (t) => {
  const { app } = echoServer(t)
  for (const payload of [Buffer.from([0x61, 0x3d, 0xff, 0xfe]), Buffer.from('a=%FF'), Buffer.from('a=\0'), 'a=%00']) {
    const reply = await app.inject({ method: 'POST', url: '/echo', headers: FORM, payload })
    t.equal(reply.statusCode, 400)
    t.equal(reply.json().error, 'invalid_request')
  }
})

t.test('attack 120: a body beyond 64 KiB is 413, and 20,000 parameters are refused', async (t) => {
  const { app } = echoServer(t)
  const post = (payload: string) => app.inject({ method: 'POST', url: '/echo', headers: FORM, payload })

  const tooLarge = await post(`a=${'x'.repeat(64 * 1024)}`)
  t.equal(tooLarge.statusCode, 413)
  t.match(tooLarge.json(), { error: 'invalid_request', error_description: /64 KiB/ })
  t.equal(tooLarge.headers.connection, 'close')
  t.equal((await post('a&'.repeat(20_000))).statusCode, 400)
  t.equal((await app.inject(`/echo?${'a&'.repeat(5_000)}`)).statusCode, 400)
})

t.test('attack 138: compressed bodies are refused before they are unpacked', async (t) => {
  const { app } = echoServer(t)
  for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'gzip, gzip', 'x']) {
    const reply = await app.inject({
      method: 'POST',
      url: '/echo',
      headers: { ...FORM, 'content-encoding': encoding },
      payload: gzipSync('a=1'),
    })
    t.equal(reply.statusCode, 415, encoding)
    t.equal(reply.headers['accept-encoding'], 'identity')
  }
})

t.test('attack 122: the wrong method is 405 with Allow, an unknown path 404', async (t) => {
  const { app } = echoServer(t)
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'] as const) {
    // Not in the type of `inject`, and just as real.
    const reply = await app.inject({
      method: method as 'PUT',
      url: '/echo',
      headers: { 'x-http-method-override': 'GET' },
    })
    t.equal(reply.statusCode, 405, method)
    t.equal(reply.headers.allow, 'GET, HEAD, POST')
    t.match(reply.json(), { error: 'invalid_request' })
  }
  const post = await app.inject({
    method: 'POST',
    url: '/items/7',
    headers: { 'content-type': 'image/png' },
    payload: 'x',
  })
  t.equal(post.statusCode, 405, 'a path with a parameter, whatever the body')
  t.equal(post.headers.allow, 'GET, HEAD')

  for (const url of ['/', '/nothing', '/echo/', '/Echo', '//echo', '/%65cho/x']) {
    t.equal((await app.inject(url)).statusCode, 404, url)
    t.equal((await app.inject({ method: 'POST', url })).statusCode, 404, url)
  }
  const port = await listenOnLoopback(app)
  for (const path of ['/echo/../echo', '/./echo', '/x/%2e%2e/echo', '/echo;x', '/echo\\']) {
    const answer = await exchange(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    t.match(answer, /^HTTP\/1\.1 404 /, path)
  }
})

t.test('attack 122: under the path of an issuer the wrong method is 405 too', async (t) => {
  const { app } = bareServer(t)
  app.register(
    async (server) => {
      protocolScope(server, (scope) => {
        scope.post('/token', async () => ({}))
        scope.get('/', async () => ({}))
      })
    },
    { prefix: '/auth' },
  )
  const reply = await app.inject('/auth/token')
  t.equal(reply.statusCode, 405)
  t.equal(reply.headers.allow, 'POST')
  for (const url of ['/auth', '/auth/']) {
    t.equal((await app.inject(url)).statusCode, 200)
    const put = await app.inject({ method: 'PUT', url })
    t.equal(put.statusCode, 405, url)
    t.equal(put.headers.allow, 'GET, HEAD')
  }
  t.equal((await app.inject('/token')).statusCode, 404)
})

t.test('attack 122: a method is never overridden', async (t) => {
  const { app } = echoServer(t)
  const reply = await app.inject({ url: '/items/1?_method=DELETE', headers: { 'x-http-method-override': 'DELETE' } })
  t.equal(reply.statusCode, 200)
})

t.test('HEAD follows GET', async (t) => {
  const { app } = echoServer(t)
  const reply = await app.inject({ method: 'HEAD', url: '/echo?a=1' })
  t.equal(reply.statusCode, 200)
  t.equal(reply.body, '')
  t.equal(reply.headers['content-length'], '9')
})

t.test('an address that cannot be decoded is 400, in the form that was asked for', async (t) => {
  const { app } = echoServer(t)
  for (const url of ['/%', '/echo%zz', '/items/%ff', '/%c3%28']) {
    const reply = await app.inject(url)
    t.equal(reply.statusCode, 400, url)
    t.match(reply.json(), { error: 'invalid_request' })
    t.match(reply.headers, { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    t.notMatch(reply.body, 'zz')
  }
  t.equal((await app.inject(`/items/${'x'.repeat(1000)}`)).statusCode, 414)
  const page = await app.inject({ url: '/%', headers: { accept: 'text/html' } })
  t.match(page.body, 'Something went wrong')
})

t.test('a malformed query is never a failure of ours', async (t) => {
  const { app } = echoServer(t)
  for (const query of [
    '%',
    '%zz=1',
    'a=%ff',
    'a=%',
    '=',
    '&&&',
    'a=1&a=2',
    '%00',
    `a=${'x'.repeat(9000)}`,
    'a=%C0%AF',
  ]) {
    const { statusCode } = await app.inject(`/echo?${query}`)
    t.ok(statusCode === 200 || statusCode === 400, `${query.slice(0, 20)} is ${statusCode}`)
  }
})

t.test('a browser gets a page for an unknown path, a program JSON, and neither repeats the path', async (t) => {
  const { app } = echoServer(t)
  const page = await app.inject({ url: '/<script>x</script>?hunter2', headers: { accept: 'text/html,*/*' } })
  t.equal(page.statusCode, 404)
  t.match(page.headers['content-type'], /^text\/html/)
  t.match(page.headers['content-security-policy'], /style-src 'nonce-/)
  t.match(page.body, 'There is no page at this address.')
  t.notMatch(page.body, /hunter2|<script/)

  const json = await app.inject('/nothing?hunter2')
  t.match(json.json(), { error: 'invalid_request' })
  t.notMatch(json.body, 'hunter2')
})

t.test('every response has the security headers, errors included', async (t) => {
  const { app } = echoServer(t)
  for (const url of ['/echo', '/echo?a=1&a=2', '/nothing', '/%']) {
    const { headers } = await app.inject(url)
    t.match(
      headers,
      {
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'x-frame-options': 'DENY',
        'content-security-policy': /frame-ancestors 'none'/,
        'cross-origin-resource-policy': 'same-origin',
      },
      url,
    )
    for (const name of ['server', 'x-powered-by', 'strict-transport-security', 'access-control-allow-origin']) {
      t.notOk(name in headers, `${url} ${name}`)
    }
  }
})

t.test('RFC 6797 §7.1: an https issuer tells browsers to come by https', async (t) => {
  const { app } = echoServer(t, { ISSUER: 'https://auth.example.com' })
  const expected = 'max-age=63072000; includeSubDomains'
  t.equal((await app.inject('/echo')).headers['strict-transport-security'], expected)
  t.equal((await app.inject('/nothing')).headers['strict-transport-security'], expected)
})

t.test('RFC 6797 §8.3: on loopback it would concern all ports, so nothing is said there', async (t) => {
  for (const issuer of ['https://localhost:3000', 'https://127.0.0.1', 'https://[::1]:8443', 'http://localhost:3000']) {
    const { app } = echoServer(t, { ISSUER: issuer })
    t.notOk('strict-transport-security' in (await app.inject('/echo')).headers, issuer)
  }
})

t.test('the request id is ours: random, logged, and not the caller’s to choose', async (t) => {
  const { app, logged } = echoServer(t)
  const headers = { 'request-id': 'forged', 'x-request-id': 'forged' }
  const first = (await app.inject({ url: '/nothing', headers })).headers['x-request-id']
  const second = (await app.inject({ url: '/nothing', headers })).headers['x-request-id']
  t.match(first, /^[0-9a-f-]{36}$/)
  t.not(first, second)
  t.ok(logged.some(({ requestId, status }) => requestId === first && status === 404))
})

t.test('attack 131: a request is logged by method, route, status and time, without its address', async (t) => {
  const { app, logged } = echoServer(t)
  await app.inject({ url: '/echo?code=hunter2', headers: { authorization: 'Basic hunter2', cookie: 'x=hunter2' } })
  await app.inject('/items/hunter2')
  await app.inject('/nothing/hunter2')
  await app.inject('/hunter2%')
  await app.inject({ method: 'POST', url: '/echo', headers: FORM, payload: 'password=hunter2&password=hunter2' })

  t.match(logged[0], { msg: 'request', method: 'GET', route: '/echo', status: 200, ms: Number })
  t.match(logged[1], { route: '/items/:id' })
  t.notMatch(JSON.stringify(logged), 'hunter2')
})

t.test('attack 101: the address is the peer’s unless a named proxy says otherwise', async (t) => {
  const address = async (env: Readonly<Record<string, string>>, remoteAddress: string, forwarded?: string) => {
    const { app } = echoServer(t, env)
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    return (await app.inject({ url: '/address', remoteAddress, headers })).json().address
  }
  const trusting = { TRUST_PROXY: '10.0.0.0/8,::1' }

  t.equal(await address({}, '::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(await address({}, '192.0.2.7', '198.51.100.1'), '192.0.2.7', 'nobody is trusted by default')
  t.equal(await address(trusting, '192.0.2.7', '198.51.100.1'), '192.0.2.7', 'an untrusted peer')
  t.equal(await address(trusting, '10.0.0.1', '198.51.100.1'), '198.51.100.1')
  t.equal(
    await address(trusting, '10.0.0.1', '203.0.113.9, 198.51.100.1'),
    '198.51.100.1',
    'what the client wrote first',
  )
  t.equal(await address(trusting, '10.0.0.1', '198.51.100.1, 10.0.0.2'), '198.51.100.1', 'two proxies')
  t.equal(await address(trusting, '::1', '2001:DB8::0:1'), '2001:db8::1')
  t.equal(await address(trusting, '10.0.0.1', 'nonsense'), '10.0.0.1', 'a proxy that says nonsense')
  t.equal(await address(trusting, '10.0.0.1', ''), '10.0.0.1')
})

t.test('attack 123: a request that can be read in two ways is refused, and the connection closed', async (t) => {
  const { app } = echoServer(t)
  const port = await listenOnLoopback(app)
  const head = 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n'
  const cases: Readonly<Record<string, string>> = {
    'both lengths': `${head}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
    'two lengths': `${head}Content-Length: 3\r\nContent-Length: 30\r\n\r\na=1GET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
    'a list of lengths': `${head}Content-Length: 3, 3\r\n\r\na=1`,
    'a signed length': `${head}Content-Length: +3\r\n\r\na=1`,
    'an unknown transfer coding': `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    'chunked not last': `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    'space before the colon': 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\na=1',
    'a folded field': 'GET /echo HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n',
    'a bare line feed': 'GET /echo HTTP/1.1\nHost: x\n\n',
    'no host': 'GET /echo HTTP/1.1\r\n\r\n',
    'a bad chunk size': `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\na=1\r\n0\r\n\r\n`,
    'a NUL': 'GET /echo HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n',
    'no HTTP': 'hello\r\n\r\n',
    'another version': 'GET /echo HTTP/3.7\r\nHost: x\r\n\r\n',
  }
  for (const [name, bytes] of Object.entries(cases)) {
    const answer = await exchange(port, bytes)
    t.match(answer, /^HTTP\/1\.1 400 /, name)
    t.equal(answer.match(/^HTTP\/1\.1 /gm)?.length, 1, `${name}: one answer`)
    t.match(answer, /connection: close/i, name)
  }
})

t.test('attack 119: fields that may occur once are refused when repeated', async (t) => {
  const { app } = echoServer(t)
  const port = await listenOnLoopback(app)
  const post = (fields: string) =>
    exchange(port, `POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${fields}Content-Length: 3\r\n\r\na=1`)
  const form = 'Content-Type: application/x-www-form-urlencoded\r\n'

  t.match(await post(form), /^HTTP\/1\.1 200 /)
  t.match(await post(`${form}Content-Type: application/json\r\n`), /^HTTP\/1\.1 400 /)
  t.match(await post(`${form}content-TYPE: application/x-www-form-urlencoded\r\n`), /^HTTP\/1\.1 400 /)
  t.match(await post(`${form}Authorization: Basic YTpi\r\nAuthorization: Basic Yzpk\r\n`), /^HTTP\/1\.1 400 /)
  t.match(await post(`${form}Host: y\r\n`), /^HTTP\/1\.1 400 /)
  const between = 'x:\r\n'.repeat(3_000)
  const far = `${form}Authorization: Basic YTpi\r\n${between}Authorization: Basic Yzpk\r\n`
  t.match(await post(far), /^HTTP\/1\.1 400 /, 'also behind thousands of others')
  t.match(await post(`${form}Authorization: Basic YTpi\r\n${between}`), /^HTTP\/1\.1 200 /)
})

t.test('attack 123: a header beyond 48 KiB is 431', async (t) => {
  const { app } = echoServer(t)
  const port = await listenOnLoopback(app)
  const answer = await exchange(port, `GET /echo HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(50_000)}\r\n\r\n`)
  t.match(answer, /^HTTP\/1\.1 431 [\s\S]*Connection: close[\s\S]*"error":"invalid_request"/)
  const long = await exchange(
    port,
    `GET /echo?a=${'x'.repeat(33_000)} HTTP/1.1
Host: x
Connection: close

`,
  )
  t.notMatch(long, / 431 /, "a value of 32 KiB in an address is read; whether it is taken is the endpoint's to say")
  t.match(await exchange(port, `GET /echo?${'x'.repeat(50_000)} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 431 /)
})

t.test('attack 135: a request must arrive within seconds, and idle connections are bounded', async (t) => {
  const { app } = echoServer(t, { MAX_CONNECTIONS: '200' })
  t.equal(app.server.headersTimeout, 10_000)
  t.equal(app.server.requestTimeout, 15_000)
  t.equal(app.server.keepAliveTimeout, 72_000)
  t.equal(app.server.timeout, 30_000)
  t.equal(app.server.maxConnections, 200)
})

t.test('attack 135: who asks again and again before it has heard is cut', async (t) => {
  const { app } = bareServer(t)
  let entered = 0
  const finish = once()
  app.get('/slow', async () => {
    entered++
    await finish.happened
    return 'done'
  })
  const port = await listenOnLoopback(app)
  const ask = 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'
  const last = ask.replace('Host', 'Connection: close\r\nHost')

  t.equal(await exchange(port, ask.repeat(1_000)).catch(() => ''), '', 'cut')
  t.equal(entered, 1 + mostPipelined, 'nothing more was begun')
  const answers = exchange(port, ask.repeat(mostPipelined) + last)
  while (entered < 2 * (1 + mostPipelined)) await new Promise(setImmediate)
  finish.happen()
  t.equal((await answers).split('HTTP/1.1 200 ').length - 1, 1 + mostPipelined, 'so many are answered')
})

t.test(
  'while the server closes, what runs is finished, and so is what still comes over an open connection',
  async (t) => {
    const { app } = bareServer(t)
    const entered = once()
    const finish = once()
    protocolScope(app, (scope) => {
      scope.get('/slow', async () => {
        entered.happen()
        await finish.happened
        return { finished: true }
      })
      scope.get('/fast', async () => ({ fast: true }))
    })
    const port = await listenOnLoopback(app)
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
    const [busy, waiting, silent] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
    const [ofBusy, ofWaiting] = [everything(busy), everything(waiting)]
    const first = new Promise((resolve) => waiting.once('data', resolve))
    waiting.write(get('/fast'))
    await first
    busy.write(get('/slow'))
    await entered.happened

    const closed = app.close()
    while (app.server.listening) await new Promise((resolve) => setImmediate(resolve))
    const refused = connect(port, '127.0.0.1')
    t.match(await new Promise((resolve) => refused.once('error', resolve)), { code: 'ECONNREFUSED' })
    waiting.write(get('/fast'))
    t.match(
      await ofWaiting,
      /^HTTP\/1\.1 200 [\s\S]*"fast":true\}HTTP\/1\.1 200 [\s\S]*connection: close\r\n[\s\S]*"fast":true/i,
    )
    finish.happen()
    // Its answer was under way before anybody knew that it would be the last on this connection.
    t.match(await ofBusy, /^HTTP\/1\.1 200 [\s\S]*\{"finished":true\}$/)
    await closed
    t.ok(silent.destroyed || (await everything(silent)) === '', 'and who says nothing is not waited for')
  },
)

t.test('TLS: the server speaks HTTPS with the files that it was given', async (t) => {
  const folder = new URL('../../support/tls/', import.meta.url).pathname
  const files = { TLS_CERT_FILE: `${folder}cert.pem`, TLS_KEY_FILE: `${folder}key.pem` }
  const { app } = echoServer(t, { ...files, ISSUER: 'https://auth.example.com' })
  const port = await listenOnLoopback(app)
  const headers = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    httpsRequest({ host: '127.0.0.1', port, path: '/echo', rejectUnauthorized: false }, (response) => {
      response.resume()
      resolve(response.headers)
    })
      .on('error', reject)
      .end()
  })
  t.match(headers['strict-transport-security'], 'max-age=63072000')
})
