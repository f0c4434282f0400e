import { gunzipSync } from 'node:zlib'
import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { createTestServer, sql, testIssuer } from '../support/server.js'
import { readStatusListToken, referenceOf } from '../support/status-list-decoder.js'
import { createStatusVerifier, pathOf } from '../support/status-lists.js'
import {
  application,
  claimsOf,
  introspect,
  openScene,
  postAs,
  refresh,
  revokeAt,
  statementsOf,
  tokensFor,
} from '../support/tokens.js'

// Sections are those of draft-ietf-oauth-status-list-20.

const scene = await openScene(t)
const { server, client } = scene
const service = await server.createService('read')

async function serviceToken(from = server, of = service, scope = 'read'): Promise<string> {
  const reply = await postAs(from, of, '/token', { grant_type: 'client_credentials', scope })
  if (reply.statusCode !== 200) throw new Error(`no token: ${reply.body}`)
  return reply.json().access_token
}

t.test('§6.2: a JWT says its index and the address of its list; an opaque token says neither', async (t) => {
  const { access_token } = await tokensFor(scene)
  for (const token of [access_token, await serviceToken()]) {
    const { idx, uri } = referenceOf(claimsOf(token))
    t.ok(idx < 2 ** 20)
    t.match(uri, /^http:\/\/localhost:3000\/status-lists\/[\w-]{22}$/)
  }
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const blind = await server.createService('view')
  const told = await introspect(server, opaque, await serviceToken(server, blind, 'view'))
  t.equal(told.active, true)
  t.notOk('status' in told)
})

t.test('§5.1, §8.2: the list is a signed JWT that says how long it may be kept', async (t) => {
  const { idx: _, uri } = referenceOf(claimsOf(await serviceToken()))
  const reply = await server.get(pathOf(uri), { accept: 'application/statuslist+jwt' })
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['content-type'], 'application/statuslist+jwt')
  t.equal(reply.headers['cache-control'], 'public, max-age=60')
  t.match(decodeProtectedHeader(reply.body), { alg: 'ES256', typ: 'statuslist+jwt' })
  const jwks = (await server.get('/jwks')).json()
  const now = server.clock.now()
  const token = await readStatusListToken(reply.body, { jwks, issuer: testIssuer, uri, now })
  const iat = Math.floor(now.getTime() / 1000)
  t.match(token, { iat, exp: iat + 180, ttl: 60, list: { bits: 1 } })
  t.equal(token.list.bytes.length, 2 ** 17)

  t.equal((await server.get(pathOf(uri), { 'if-none-match': String(reply.headers['etag']) })).statusCode, 304)
  server.clock.advance(20)
  const again = await server.get(pathOf(uri))
  t.equal(again.body, reply.body, 'made once in a ttl')
  t.equal(again.headers['cache-control'], 'public, max-age=40', 'a cache may keep it until it is a ttl old, not longer')
  server.clock.advance(40)
  t.not((await server.get(pathOf(uri))).body, reply.body)
})

t.test('§8.2: compressed where that is accepted', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  const plain = await server.get(pathOf(uri))
  const zipped = await server.get(pathOf(uri), { 'accept-encoding': 'br, gzip' })
  t.equal(zipped.headers['content-encoding'], 'gzip')
  t.match(zipped.headers['vary'], /Accept-Encoding/)
  t.equal(gunzipSync(zipped.rawPayload).toString(), plain.body)
  t.not(zipped.headers['etag'], plain.headers['etag'], 'RFC 9110 §8.8.3: another representation, another tag')
  const known = { 'accept-encoding': 'gzip', 'if-none-match': String(zipped.headers['etag']) }
  t.equal((await server.get(pathOf(uri), known)).statusCode, 304)
})

t.test('§8.1: Accept is heeded, and what does not exist is not found', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  const path = pathOf(uri)
  for (const accept of ['application/statuslist+jwt', '*/*', 'application/*']) {
    t.equal((await server.get(path, { accept })).statusCode, 200, accept)
  }
  const cwt = await server.get(path, { accept: 'application/statuslist+cwt' })
  t.equal(cwt.statusCode, 406)
  t.equal((await server.get(`${path}?time=1764367200`)).statusCode, 501, '§8.4: there is no history')
  t.equal((await server.app.inject({ method: 'POST', url: path })).statusCode, 405)
  t.equal((await server.app.inject({ method: 'HEAD', url: path })).statusCode, 200)

  const names = await statementsOf(server, async () => {
    for (const id of ['x', 'A'.repeat(22), `${path.split('/').at(-1)}x`, `${'a'.repeat(21)}_`, '%00', '..%2fjwks']) {
      const reply = await server.get(`/status-lists/${id}`)
      t.equal(reply.statusCode, 404, id)
      t.equal(reply.headers['cache-control'], 'no-store')
    }
  })
  t.same(names, [], 'a name that is made up costs no statement')
})

t.test('§8.1: pages of registered origins may read the lists', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  await server.createClient({
    ...application,
    redirect_uris: ['https://spa.example/cb'],
    token_endpoint_auth_method: 'none',
    allowed_origins: ['https://spa.example'],
  })
  const reply = await server.get(pathOf(uri), { origin: 'https://spa.example' })
  t.equal(reply.headers['access-control-allow-origin'], 'https://spa.example')
  t.equal(
    (await server.get(pathOf(uri), { origin: 'https://evil.example' })).headers['access-control-allow-origin'],
    undefined,
  )
})

t.test('§9: the metadata names the lists with tokens that live', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  const metadata = (await server.get('/.well-known/oauth-authorization-server')).json()
  t.equal(metadata.status_list_aggregation_endpoint, `${testIssuer}/status-lists`)
  server.clock.advance(60)
  const reply = await server.get('/status-lists')
  t.match(reply.headers['content-type'], /^application\/json/)
  t.ok(reply.json().status_lists.includes(uri))
  // Ten minutes of life, and ten of the period.
  server.clock.advance(1200)
  t.notOk((await server.get('/status-lists')).json().status_lists.includes(uri))
})

t.test(
  '§13.1: a list is there until its last token has expired, and a little longer for clocks that differ',
  async (t) => {
    const token = await serviceToken()
    const { uri } = referenceOf(claimsOf(token))
    const left = Number(claimsOf(token)['exp']) - server.clock.now().getTime() / 1000
    server.clock.advance(left)
    t.equal((await server.get(pathOf(uri))).statusCode, 200)
    server.clock.advance(600 + 300)
    t.equal((await server.get(pathOf(uri))).statusCode, 404)
    const names = await statementsOf(server, () => server.get(pathOf(uri)))
    t.same(names, [], 'and whoever asks again costs nothing')
  },
)

t.test('however many ask, a list is made once, from one statement', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  server.clock.advance(61)
  const names = await statementsOf(server, async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => server.get(pathOf(uri))))
    t.equal(new Set(replies.map(({ body }) => body)).size, 1)
    await server.get(pathOf(uri))
  })
  t.same(names, ['status_lists.changes'])
})

t.test('a list that another process began is found at once', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  server.clock.advance(1500)
  const token = await serviceToken(beside)
  const { uri } = referenceOf(claimsOf(token))
  t.equal((await server.get(pathOf(uri))).statusCode, 200)
  t.equal(await createStatusVerifier(server).statusOf(token), 0)
  await revokeAt(beside, service, token)
  server.clock.advance(60)
  t.equal(await createStatusVerifier(server).statusOf(token), 1)
})

t.test('without a database no list is made up', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  server.clock.advance(61)
  const { query } = server.ctx.db.pool
  server.ctx.db.pool.query = (async () => {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  }) as unknown as typeof query
  const reply = await server.get(pathOf(uri))
  server.ctx.db.pool.query = query
  t.equal(reply.statusCode, 503)
  t.ok(reply.headers['retry-after'])
  t.equal((await server.get(pathOf(uri))).statusCode, 200)
})

t.test('STATUS_LISTS=off: tokens and metadata say nothing, and lists of before are still answered', async (t) => {
  const { uri } = referenceOf(claimsOf(await serviceToken()))
  const off = await createTestServer(t, { beside: server, env: { STATUS_LISTS: 'off' } })
  t.notOk('status' in claimsOf(await serviceToken(off)))
  const { access_token } = await tokensFor({ ...scene, server: off })
  t.notOk('status' in claimsOf(access_token))
  t.equal((await revokeAt(off, client, access_token)).statusCode, 200)
  const metadata = (await off.get('/.well-known/oauth-authorization-server')).json()
  t.notOk('status_list_aggregation_endpoint' in metadata)
  t.equal((await off.get(pathOf(uri))).statusCode, 200)
})

t.test(
  'what a token of a user is ended by is written with its refresh token, in no statement of its own',
  async (t) => {
    const tokens = await tokensFor(scene)
    const names = await statementsOf(server, () => refresh(server, client, tokens.refresh_token))
    t.same(names, ['refresh_tokens.find', 'refresh_tokens.rotate'])
    const [row] = await sql(server, 'SELECT count(*)::int AS count FROM status_index WHERE grant_id = $1', [
      tokens.issued.grantId,
    ])
    t.equal(row?.count, 2)
  },
)
