import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import fastify, { type LightMyRequestResponse } from 'fastify'
import inject from 'light-my-request'
import t from 'tap'
import { createDirectAnswers } from '../../../src/http/direct.js'
import { cachedDocument } from '../../../src/http/index.js'
import { createLogger } from '../../../src/platform/log.js'
import { systemRandom } from '../../../src/platform/random.js'
import { issueCode } from '../../support/grants.js'
import { createTestServer, encodeForm, send, type TestServer } from '../../support/server.js'

const FORM = 'application/x-www-form-urlencoded'

interface Sent {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly payload?: string
}

/** What differs between two answers anyway. */
const drawn = new Set(['date', 'x-request-id', 'connection', 'keep-alive'])

function comparable({ statusCode, headers, body }: LightMyRequestResponse) {
  const kept = Object.entries(headers).filter(([name]) => !drawn.has(name))
  // A token has another id and another place in a status list each time, which is a number of more or fewer digits.
  const [, token = ''] = /"access_token":"([\w.-]+)"/.exec(body) ?? []
  const text = body.replace(/"access_token":"[\w.-]+"/, '"access_token":"…"').replace(/"jti":"[\w-]+"/, '"jti":"…"')
  const length = Number(headers['content-length']) - token.length
  return { statusCode, headers: { ...Object.fromEntries(kept.sort()), 'content-length': length }, body: text }
}

/** Which way a request takes at a server with a form at /token and a document at /jwks. */
async function wayOf(request: Sent): Promise<string> {
  const app = fastify()
  const direct = createDirectAnswers({
    log: createLogger({ level: 'silent', pretty: false }),
    random: systemRandom,
    issuer: 'https://example.com',
    trusted: undefined,
    headers: {},
    bodyLimit: 65_536,
    routing: (_request, response) => void response.end('"scopes"'),
  })
  direct.form(app, '/token', async () => ({ way: 'direct' }))
  direct.opened(app, '/userinfo', async () => ({ contentType: 'application/json', text: '{"way":"direct"}' }))
  direct.document(app, '/jwks', () => cachedDocument({ way: 'direct' }, { contentType: 'application/json', maxAge: 1 }))
  const { body } = await inject(direct.listener as unknown as Parameters<typeof inject>[0], request)
  return JSON.parse(body).way ?? JSON.parse(body)
}

/** The line of the last request. */
function lastLine(server: TestServer) {
  return JSON.parse(server.logs.findLast((line) => line.includes('"msg":"request"')) ?? '{}')
}

const installations: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: {},
  'behind a proxy': { TRUST_PROXY: 'loopback' },
  'with a path': { ISSUER: 'https://example.com/auth' },
}

for (const [name, env] of Object.entries(installations)) {
  t.test(`the direct way answers as the scopes do: ${name}`, async (t) => {
    const server = await createTestServer(t, { env })
    const prefix = name === 'with a path' ? '/auth' : ''
    await server.createResource('https://api.example', 'read')
    const service = await server.createService('read')
    const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}): Sent => ({
      method: 'POST',
      url: `${prefix}${path}`,
      headers: { 'content-type': FORM, authorization: service.basic, 'x-forwarded-for': '192.0.2.7', ...headers },
      payload: encodeForm(form),
    })
    const client = await server.createClient({ scope: 'openid' })
    const { form } = await issueCode(server, client, (await server.createUser()).id, { scope: ['openid'] })
    const tokens = (await server.post(`${prefix}/token`, form, { authorization: client.basic })).json()
    const who = (authorization?: string): Sent => ({
      method: 'GET',
      url: `${prefix}/userinfo`,
      headers: authorization === undefined ? {} : { authorization },
    })
    const ofService = (await send(server.app, post('/token', { grant_type: 'client_credentials' }))).json().access_token
    const requests: Record<string, Sent> = {
      'a token': post('/token', { grant_type: 'client_credentials' }),
      'an unknown grant type': post('/token', { grant_type: 'password' }),
      'a wrong secret': post('/token', { grant_type: 'client_credentials' }, { authorization: 'Basic YTpi' }),
      'a malformed form': post('/token', { grant_type: 'client_credentials', scope: '\u0001' }),
      'an unknown scope': post('/token', { grant_type: 'client_credentials', scope: 'ümlaut' }),
      'a revocation of nothing': post('/revoke', { token: 'x' }),
      'an introspection of nothing': post('/introspect', { token: 'x' }),
      'the keys': { method: 'GET', url: `${prefix}/jwks` },
      'who somebody is': who(`Bearer ${tokens.access_token}`),
      'who nobody is': who(`Bearer ${ofService}`),
      'who somebody is, by no token': who(),
      'who somebody is, by another scheme': who(service.basic),
      'who somebody is, by a wrong token': who('Bearer wrong'),
      'who somebody is, by a malformed one': who('Bearer a b'),
      'the metadata': { method: 'GET', url: '/.well-known/oauth-authorization-server' },
    }
    for (const [title, request] of Object.entries(requests)) {
      const direct = await send(server.app, request)
      const line = lastLine(server)
      const scoped = await server.app.inject(request)
      t.same(comparable(direct), comparable(scoped), title)
      const { ms: _, time: __, requestId: id, ...other } = line
      const { ms: ___, time: ____, requestId: _____, ...expected } = lastLine(server)
      if (title !== 'the metadata' || name !== 'with a path') t.same(other, expected, `${title}: its line in the log`)
      t.match(id, /^[\da-f-]{36}$/)
    }
    const failed = await server.audit('client.authentication_failed')
    t.same(new Set(failed.map(({ ip }) => ip)), new Set([name === 'behind a proxy' ? '192.0.2.7' : '127.0.0.1']))
  })
}

t.test('a plain form and a plain GET take the direct way', async (t) => {
  const headers = { 'content-type': FORM }
  t.equal(await wayOf({ method: 'POST', url: '/token', headers, payload: 'a=b' }), 'direct')
  t.equal(
    await wayOf({ method: 'POST', url: '/token', headers: { 'content-type': `${FORM};charset=UTF-8` }, payload: 'a' }),
    'direct',
  )
  t.equal(await wayOf({ method: 'GET', url: '/jwks' }), 'direct')
  t.equal(await wayOf({ method: 'GET', url: '/userinfo', headers: { authorization: 'Bearer x' } }), 'direct')
  t.equal(await wayOf({ method: 'GET', url: '/elsewhere' }), 'scopes')
})

t.test('what is special about a request is decided by the scopes', async (t) => {
  const server = await createTestServer(t)
  const service = await server.createService('read')
  const form = { 'content-type': FORM, authorization: service.basic }
  const payload = encodeForm({ grant_type: 'client_credentials' })
  const token = (more: Partial<Sent>): Sent => ({ method: 'POST', url: '/token', headers: form, payload, ...more })
  const specials: Record<string, Sent> = {
    'a query with a secret': token({ url: '/token?client_secret=x' }),
    'a body of another type': token({ headers: { ...form, 'content-type': 'application/json' }, payload: '{}' }),
    'a compressed body': token({ headers: { ...form, 'content-encoding': 'gzip' } }),
    'an origin': token({ headers: { ...form, origin: 'https://app.example' } }),
    'no body': { method: 'POST', url: '/token', headers: form },
    'a body that is too large': token({ payload: `a=${'x'.repeat(70_000)}` }),
    'a slash too many': token({ url: '/token/' }),
    'a GET of the token endpoint': { method: 'GET', url: '/token' },
    'keys that are known': { method: 'GET', url: '/jwks', headers: { 'if-none-match': '*' } },
    'who somebody is, by POST': { method: 'POST', url: '/userinfo', headers: { 'content-type': FORM }, payload: 'a=b' },
    'who somebody is, with the token in the address': { method: 'GET', url: '/userinfo?access_token=x' },
    'who somebody is, for another origin': {
      method: 'GET',
      url: '/userinfo',
      headers: { origin: 'https://a.example' },
    },
    'keys for another origin': { method: 'GET', url: '/jwks', headers: { origin: 'https://app.example' } },
  }
  for (const [title, request] of Object.entries(specials)) {
    const [direct, scoped] = [await send(server.app, request), await server.app.inject(request)]
    t.same(comparable(direct), comparable(scoped), title)
    t.equal(await wayOf(request), 'scopes', title)
  }
})

t.test('attack 123: bodies in chunks, repeated fields and a client that leaves, on a real connection', async (t) => {
  const server = await createTestServer(t)
  await server.createResource('https://api.example', 'read')
  const service = await server.createService('read')
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.app.server.address() as AddressInfo
  const payload = encodeForm({ grant_type: 'client_credentials' })
  const exchange = (headers: Record<string, string | string[]>, parts: readonly string[]) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path: '/token', method: 'POST', headers }
      const outgoing = httpRequest(options, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      })
      outgoing.on('error', reject)
      for (const part of parts) outgoing.write(part)
      outgoing.end()
    })
  const form = { 'content-type': FORM, authorization: service.basic }
  const whole = { ...form, 'content-length': String(payload.length) }
  t.equal(await exchange(whole, [...payload]), 200, 'a byte at a time')
  t.equal(await exchange(form, [payload]), 200, 'chunked')
  t.equal(await exchange({ ...whole, dpop: ['a', 'b'] }, [payload]), 400, 'a field that may occur once')
  t.equal(await exchange({ ...whole, expect: '100-continue' }, [payload]), 200)

  const left = httpRequest({ host: '127.0.0.1', port, path: '/token', method: 'POST', headers: whole })
  left.on('error', () => {})
  left.write(payload.slice(0, 5))
  await new Promise<void>((resolve) => {
    server.app.server.once('request', (request) => request.once('close', resolve))
    setImmediate(() => left.destroy())
  })
  t.equal(await exchange(whole, [payload]), 200, 'and the next one is served')
})
