import t from 'tap'
import { grantTypes } from '../../src/protocol/token/index.js'
import { makeKey } from '../support/client-keys.js'
import { createTestServer, testIssuer } from '../support/server.js'
import { postAs } from '../support/tokens.js'

const metadataPath = '/.well-known/oauth-authorization-server'
const confidential = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
const algs = ['RS256', 'PS256', 'ES256', 'EdDSA']
const server = await createTestServer(t)

t.test('RFC 8414 §3.2: the metadata is a JSON document that may be kept for a while', async (t) => {
  const reply = await server.get(metadataPath)
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['content-type'], 'application/json')
  t.equal(reply.headers['cache-control'], 'public, max-age=300')
  t.match(reply.headers['etag'], /^"[\w-]+"$/)
  t.same(reply.json(), {
    issuer: testIssuer,
    authorization_endpoint: `${testIssuer}/authorize`,
    token_endpoint: `${testIssuer}/token`,
    jwks_uri: `${testIssuer}/jwks`,
    revocation_endpoint: `${testIssuer}/revoke`,
    introspection_endpoint: `${testIssuer}/introspect`,
    rate_limits_endpoint: `${testIssuer}/rate-limits`,
    usage_endpoint: `${testIssuer}/usage`,
    revocation_feed_endpoint: `${testIssuer}/revocations`,
    revocation_snapshot_endpoint: `${testIssuer}/revocations/snapshot`,
    scopes_supported: ['openid', 'profile', 'email', 'address', 'phone', 'offline_access', 'api_keys', 'leaks'],
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'fragment', 'form_post'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'urn:ietf:params:oauth:grant-type:token-exchange',
    ],
    token_endpoint_auth_methods_supported: [...confidential, 'none'],
    revocation_endpoint_auth_methods_supported: [...confidential, 'none'],
    introspection_endpoint_auth_methods_supported: confidential,
    token_endpoint_auth_signing_alg_values_supported: algs,
    revocation_endpoint_auth_signing_alg_values_supported: algs,
    introspection_endpoint_auth_signing_alg_values_supported: algs,
    request_parameter_supported: true,
    request_uri_parameter_supported: true,
    request_object_signing_alg_values_supported: [...algs, 'none'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    ui_locales_supported: ['en'],
    status_list_aggregation_endpoint: `${testIssuer}/status-lists`,
  })
})

t.test('RFC 8414 §2: every endpoint that is published answers', async (t) => {
  const metadata = (await server.get(metadataPath)).json()
  for (const [name, address] of Object.entries<string>(metadata)) {
    if (!/_endpoint$|_uri$/.test(name)) continue
    t.ok(address.startsWith(`${testIssuer}/`), name)
    const path = address.slice(testIssuer.length)
    const method = /authorization|jwks|feed|snapshot|status_list/.test(name) ? 'GET' : 'POST'
    const { statusCode } = await server.app.inject({ method, url: path })
    t.not(statusCode, 404, name)
    t.not(statusCode, 405, name)
  }
})

t.test('RFC 8414 §2: what is published is accepted, and nothing else', async (t) => {
  const metadata = (await server.get(metadataPath)).json()
  const service = await server.createService()
  const errorOf = async (grant_type: string) => (await postAs(server, service, '/token', { grant_type })).json().error
  for (const name of metadata.grant_types_supported) t.not(await errorOf(name), 'unsupported_grant_type', name)
  for (const name of ['password', 'implicit', 'urn:ietf:params:oauth:grant-type:device_code', 'constructor']) {
    t.equal(await errorOf(name), 'unsupported_grant_type', name)
  }
  t.same(
    metadata.grant_types_supported,
    grantTypes.map(({ name }) => name),
  )
  for (const method of metadata.token_endpoint_auth_methods_supported) {
    const jwks = method === 'private_key_jwt' ? { keys: [makeKey().jwk] } : undefined
    const client = await server.createClient({ token_endpoint_auth_method: method, jwks })
    t.equal(client.clientSecret === '', method === 'none' || method === 'private_key_jwt', method)
  }
})

t.test('RFC 9110 §13.1.2: who has the document is told so', async (t) => {
  for (const path of [metadataPath, '/jwks', '/.well-known/jwks.json']) {
    const { headers } = await server.get(path)
    const etag = String(headers['etag'])
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const reply = await server.get(path, { 'if-none-match': known })
      t.equal(reply.statusCode, 304, `${path} ${known}`)
      t.equal(reply.body, '')
      t.equal(reply.headers['etag'], etag)
      t.equal(reply.headers['cache-control'], 'public, max-age=300')
    }
    t.equal((await server.get(path, { 'if-none-match': '"other"' })).statusCode, 200)
    const head = await server.app.inject({ method: 'HEAD', url: path })
    t.equal(head.statusCode, 200)
    t.equal(head.headers['etag'], etag)
  }
})

t.test('RFC 8414 §2: a new scope is published at once, under another tag', async (t) => {
  const before = await server.get(metadataPath)
  await server.createResource('https://new.example', 'brand:new')
  const after = await server.get(metadataPath)
  t.ok(after.json().scopes_supported.includes('brand:new'))
  t.not(after.headers['etag'], before.headers['etag'])
})

t.test('RFC 7517 §5: the JWKS has the public half of each key, and no more', async (t) => {
  await server.createResource('https://rsa.example', 'rsa', { signingAlg: 'PS256' })
  await server.createResource('https://ed.example', 'ed', { signingAlg: 'EdDSA' })
  const reply = await server.get('/jwks')
  t.equal(reply.headers['content-type'], 'application/jwk-set+json')
  t.same((await server.get('/.well-known/jwks.json')).json(), reply.json())
  const members = {
    EC: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
    RSA: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
    OKP: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  }
  const { keys } = reply.json<{ keys: Record<string, string>[] }>()
  t.same(keys.map(({ alg }) => alg).sort(), ['ES256', 'EdDSA', 'PS256', 'RS256'])
  for (const key of keys) {
    t.same(Object.keys(key).sort(), members[key['kty'] as keyof typeof members], String(key['alg']))
    t.equal(key['use'], 'sig')
  }
  t.equal(new Set(keys.map(({ kid }) => kid)).size, keys.length)
})

t.test(
  'RFC 7517 §5: a new key is published before it signs, and the old one until its last token has expired',
  async (t) => {
    const own = await createTestServer(t)
    const kids = async () => {
      const { keys } = (await own.get('/jwks')).json<{ keys: Record<string, string>[] }>()
      // The other one is for ID tokens.
      return keys.filter(({ alg }) => alg === 'ES256').map(({ kid }) => kid)
    }
    const service = await own.createService()
    const kidOf = async () => {
      const reply = await postAs(own, service, '/token', { grant_type: 'client_credentials' })
      return JSON.parse(Buffer.from(reply.json().access_token.split('.')[0], 'base64url').toString()).kid
    }
    const [old] = await kids()
    const made = await own.ctx.keys.rotate('next', { actor: 'operator' })
    const next = (await kids()).find((kid) => made.includes(kid ?? ''))
    t.same((await kids()).sort(), [old, next].sort(), 'both are published')
    t.equal(await kidOf(), old)
    own.clock.advance(86_400 - 1)
    t.equal(await kidOf(), old)
    own.clock.advance(1)
    t.equal(await kidOf(), next)
    own.clock.advance(3_600)
    t.ok((await kids()).includes(old))
    own.clock.advance(61)
    t.same(await kids(), [next])
  },
)

t.test('RFC 8414 §3.1: an issuer with a path', async (t) => {
  const issuer = 'http://localhost:3000/tenant/one'
  const own = await createTestServer(t, { env: { ISSUER: issuer } })
  const first = await own.get('/.well-known/oauth-authorization-server/tenant/one')
  t.equal(first.statusCode, 200, 'the well-known part comes before the path')
  t.equal(first.json().issuer, issuer)
  t.same((await own.get(`/tenant/one${metadataPath}`)).json(), first.json(), 'many clients append it')
  t.equal((await own.get(metadataPath)).statusCode, 404, 'of the host itself there is no issuer')

  const service = await own.createService()
  for (const [name, address] of Object.entries<string>(first.json())) {
    if (!/_endpoint$|_uri$/.test(name)) continue
    t.ok(address.startsWith(`${issuer}/`), name)
    t.equal(
      (await own.get(address.slice('http://localhost:3000/tenant/one'.length))).statusCode,
      404,
      `${name}: not at the root`,
    )
  }
  const reply = await postAs(own, service, '/tenant/one/token', { grant_type: 'client_credentials' })
  t.equal(reply.statusCode, 200)
  const { active, iss } = (
    await postAs(own, service, '/tenant/one/introspect', { token: reply.json().access_token })
  ).json()
  t.same({ active, iss }, { active: true, iss: issuer })
  for (const path of ['/tenant/one/jwks', '/tenant/one/.well-known/jwks.json', '/healthz', '/readyz']) {
    t.equal((await own.get(path)).statusCode, 200, path)
  }
  for (const path of ['/tenant/one//token', '/tenant/ONE/token', '/tenant/one/token/']) {
    t.equal((await postAs(own, service, path, { grant_type: 'client_credentials' })).statusCode, 404, path)
  }
})

t.test('RFC 8414 §2: addresses come from ISSUER, whatever a request says', async (t) => {
  const headers = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    forwarded: 'host=evil.example',
  }
  const reply = await server.get(metadataPath, headers)
  t.notMatch(reply.body, 'evil')
  t.equal(reply.json().issuer, testIssuer)
})
