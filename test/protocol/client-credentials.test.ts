import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { basicOf, createTestServer, sql, testIssuer } from '../support/server.js'

t.test('RFC 6749 §4.4: a service gets a token by its credentials', async (t) => {
  const server = await createTestServer(t)
  await server.createResource('https://api.example.com', 'read write')
  const service = await server.createService('read write', { default_scope: 'read' })

  const reply = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: service.basic })

  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.equal(reply.headers['pragma'], 'no-cache')
  const body = reply.json()
  t.same(Object.keys(body).sort(), ['access_token', 'expires_in', 'scope', 'token_type'])
  t.match(body, { token_type: 'Bearer', expires_in: 600, scope: 'read' })

  const jwks = (await server.get('/jwks')).json()
  const { payload, protectedHeader } = await jwtVerify(body.access_token, createLocalJWKSet(jwks), {
    issuer: testIssuer,
    audience: 'https://api.example.com',
    typ: 'at+jwt',
    currentDate: server.clock.now(),
  })
  const signing = jwks.keys.find(({ alg }: { alg: string }) => alg === 'ES256')
  t.match(protectedHeader, { alg: 'ES256', typ: 'at+jwt', kid: signing.kid })
  t.same(Object.keys(payload).sort(), ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'status', 'sub'])
  t.match(payload, { sub: service.clientId, client_id: service.clientId, scope: 'read' })
})

t.test('RFC 6749 §4.4: on a warm process no row is read or written for a JWT', async (t) => {
  const server = await createTestServer(t)
  await server.createResource('https://api.example.com', 'read')
  const service = await server.createService('read')
  const ask = () =>
    server.post('/token', { grant_type: 'client_credentials', scope: 'read' }, { authorization: service.basic })
  await ask()

  let statements = 0
  const { pool } = server.ctx.db
  const query = pool.query
  pool.query = ((...args: Parameters<typeof query>) => {
    statements++
    return query.apply(pool, args)
  }) as typeof query
  const replies = await Promise.all(Array.from({ length: 20 }, ask))
  pool.query = query

  t.ok(replies.every(({ statusCode }) => statusCode === 200))
  t.equal(statements, 0)
  t.match(await server.audit('token.issued'), [{ clientId: service.clientId, count: 21 }], 'issuance is written behind')
  await server.ctx.clientUse.flush()
  const [row] = await sql(server, 'SELECT last_used_at FROM client_secret WHERE client_id = $1', [service.clientId])
  t.same(row?.last_used_at, server.clock.now())
})

t.test('RFC 6750: an opaque token costs one statement', async (t) => {
  const server = await createTestServer(t)
  const api = await server.createResource('https://api.example.com', 'read', { tokenFormat: 'opaque' })
  const service = await server.createService('read')
  const reply = await server.post(
    '/token',
    { grant_type: 'client_credentials', scope: 'read' },
    { authorization: service.basic },
  )
  t.match(reply.json().access_token, /^oat_[0-9a-z]+_[\w-]{43}$/)

  const seen = await server.post('/introspect', { token: reply.json().access_token }, { authorization: api.basic })
  t.match(seen.json(), { active: true, scope: 'read', aud: 'https://api.example.com', client_id: service.clientId })
  t.same(
    Object.keys(seen.json()).sort(),
    ['active', 'aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub', 'token_type'],
    'the claims that a JWT would carry',
  )
})

t.test('RFC 6749 §3.3: who may have which scope', async (t) => {
  const server = await createTestServer(t)
  await server.createResource('https://a.example', 'a:read a:write shared')
  await server.createResource('https://b.example', 'b:read shared')
  const service = await server.createService('a:read a:write b:read shared openid unowned')
  const ask = async (form: Record<string, string | string[]>) => {
    const reply = await server.post(
      '/token',
      { grant_type: 'client_credentials', ...form },
      { authorization: service.basic },
    )
    return { status: reply.statusCode, ...reply.json() }
  }
  const claims = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

  const plain = await ask({})
  t.match(plain, { status: 200, scope: '' }, 'no default, and the scopes of two resources: no scope')
  t.equal(claims(plain.access_token).aud, testIssuer, 'no resource scope: for the issuer itself')

  const a = await ask({ scope: 'a:read a:write' })
  t.equal(claims(a.access_token).aud, 'https://a.example', 'scopes of one resource: that one')

  t.match(
    await ask({ scope: 'a:read b:read' }),
    { status: 400, error: 'invalid_scope' },
    'of several: not without resource',
  )
  const chosen = await ask({ scope: 'a:read b:read', resource: 'https://b.example' })
  t.match(chosen, { status: 200, scope: 'b:read' }, 'resource selects, and what is granted is told')

  t.match(await ask({ scope: 'shared' }), { status: 400, error: 'invalid_scope' }, 'a name that two resources own')
  t.match(await ask({ scope: 'shared a:read' }), { status: 200, scope: 'shared a:read' }, 'unless another scope tells')
  t.match(await ask({ scope: 'shared', resource: 'https://b.example' }), { status: 200, scope: 'shared' })

  t.match(
    await ask({ scope: 'unowned' }),
    { status: 400, error: 'invalid_scope' },
    'registered, but no resource owns it',
  )
  t.match(await ask({ scope: 'a:delete' }), { status: 400, error: 'invalid_scope' }, 'not registered')
  t.match(await ask({ scope: 'a:read  a:write' }), { status: 400, error: 'invalid_scope' }, 'two spaces')
  t.match(await ask({ scope: '"a"' }), { status: 400, error: 'invalid_scope' })
  t.match(await ask({ scope: 'openid' }), { status: 400, error: 'invalid_scope' }, 'no user, no openid')
  t.match(await ask({ resource: 'https://c.example' }), { status: 400, error: 'invalid_target' })
  t.match(await ask({ resource: 'nonsense' }), { status: 400, error: 'invalid_target' })
  t.match(await ask({ resource: ['https://a.example', 'https://b.example'], scope: 'a:read' }), {
    status: 400,
    error: 'invalid_target',
  })
})

t.test(
  'RFC 6749 §3.3: without scope the default, or what is registered where that belongs to one resource',
  async (t) => {
    const server = await createTestServer(t)
    await server.createResource('https://a.example', 'a:read a:write')
    await server.createResource('https://b.example', 'b:read')
    const ask = async (metadata: Record<string, unknown>, form: Record<string, string> = {}) => {
      const service = await server.createService('', metadata)
      const reply = await server.post(
        '/token',
        { grant_type: 'client_credentials', ...form },
        { authorization: service.basic },
      )
      return reply.json().scope
    }
    t.equal(await ask({ scope: 'a:read a:write' }), 'a:read a:write')
    t.equal(await ask({ scope: 'a:read a:write', default_scope: 'a:read' }), 'a:read')
    t.equal(await ask({ scope: 'a:read b:read' }), '')
    t.equal(await ask({ scope: 'a:read b:read' }, { resource: 'https://b.example' }), 'b:read')
    t.equal(await ask({ scope: 'a:read openid offline_access unowned' }), 'a:read')
  },
)

t.test('a role allows a client its scopes, and a role withdrawn ends them at once', async (t) => {
  const server = await createTestServer(t)
  const api = await server.createResource('https://api.example.com', 'read write', {
    usesRoles: true,
    claims: ['roles'],
  })
  const service = await server.createService('read write')
  const by = { actor: 'operator' }
  const ask = async () => {
    const reply = await server.post(
      '/token',
      { grant_type: 'client_credentials', scope: 'read write' },
      { authorization: service.basic },
    )
    return reply.json()
  }
  t.match(await ask(), { error: 'invalid_scope' }, 'no role, no scope')

  await createRole(server.ctx, { resource: 'https://api.example.com', name: 'reader', scope: ['read'] }, by)
  await createRole(server.ctx, { resource: 'https://api.example.com', name: 'writer', scope: ['write'] }, by)
  const holder = { kind: 'client', holder: service.clientId } as const
  await grantRole(server.ctx, 'https://api.example.com', 'reader', holder, by)
  await grantRole(server.ctx, 'https://api.example.com', 'writer', holder, by)
  await server.refresh()
  const both = await ask()
  t.equal(both.scope, 'read write')
  const introspect = async (token: string) =>
    (await server.post('/introspect', { token }, { authorization: api.basic })).json()
  t.match(await introspect(both.access_token), { active: true, roles: ['reader', 'writer'] })

  server.clock.advance(1)
  await withdrawRole(server.ctx, 'https://api.example.com', 'writer', holder, by)
  t.same(await introspect(both.access_token), { active: false }, 'inactive at once')
  await server.refresh()
  const less = await ask()
  t.equal(less.scope, 'read', 'the next one comes without it')
  t.match(await introspect(less.access_token), { active: true }, 'even in the same second')
})

t.test('RFC 6749 §2.3.1: credentials in the header or in the body, as registered', async (t) => {
  const server = await createTestServer(t)
  const odd = await server.createService('', {
    client_id: 'a:b c'.replace(' ', '+'),
    client_secret: `%+: ${'x'.repeat(40)}`.replace(' ', ''),
  })
  const form = { grant_type: 'client_credentials' }
  t.equal(
    (await server.post('/token', form, { authorization: basicOf(odd.clientId, odd.clientSecret) })).statusCode,
    200,
  )

  const post = await server.createService('', { token_endpoint_auth_method: 'client_secret_post' })
  const inBody = { ...form, client_id: post.clientId, client_secret: post.clientSecret }
  t.equal((await server.post('/token', inBody)).statusCode, 200)
  const wrongMethod = await server.post('/token', form, { authorization: post.basic })
  t.equal(wrongMethod.statusCode, 401)
  t.match(wrongMethod.json(), { error: 'invalid_client' })
  t.match(wrongMethod.headers['www-authenticate'], /^Basic realm=/)
})
