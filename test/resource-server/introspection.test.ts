import t, { type Test } from 'tap'
import { type ProtectOptions, protect } from '../../packages/resource-server/src/index.js'
import { createRunningServer } from '../support/running-server.js'
import { credentials, TestIssuer } from './support/issuer.js'
import { until } from './support/platform.js'

/** A verifier with credentials, of a server that gives opaque tokens. */
async function open(t: Test, feed = true, options: Partial<ProtectOptions> = {}) {
  const issuer = await TestIssuer.start(t)
  if (!feed) issuer.metadata = { revocation_feed_endpoint: undefined }
  const protection = await issuer.protect(t, { credentials, ...options })
  const asked = () => issuer.asked.filter((path) => path === '/introspect').length
  const opaque = (name: string, more: object = {}) => {
    const token = `oat_${name.padEnd(43, '0')}`
    issuer.opaque.set(token, { active: true, token_type: 'Bearer', ...issuer.claims({ ...more }) })
    return token
  }
  return { issuer, ...protection, asked, opaque }
}

t.test('RFC 7662: an opaque token is what the server says', async (t) => {
  const { check, outcome, opaque, asked } = await open(t)
  const token = opaque('good', { roles: ['clerk'] })
  t.match(await check(token), {
    ok: true,
    token: { sub: 'user-1', scope: ['orders:read', 'orders:write'], roles: ['clerk'] },
  })
  t.equal(await outcome(token), 'ok')
  t.equal(asked(), 1, 'and while the feed is followed, it is asked once')
  t.equal(await outcome(`oat_${'x'.repeat(43)}`), 'inactive')
})

t.test('many requests with one token are one introspection', async (t) => {
  const { outcome, opaque, asked } = await open(t)
  const token = opaque('good')
  t.same(new Set(await Promise.all(Array.from({ length: 100 }, () => outcome(token)))), new Set(['ok']))
  t.equal(asked(), 1)
})

t.test(
  'many requests with one token that cannot be introspected are one introspection, and the next is another',
  async (t) => {
    const { issuer, outcome, opaque, asked } = await open(t)
    const token = opaque('good')
    issuer.handlers.set('/introspect', (_, response) => response.writeHead(503).end())
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => outcome(token)))
    t.same(new Set(outcomes), new Set(['introspection_unavailable']))
    t.equal(asked(), 1)
    issuer.handlers.clear()
    t.equal(await outcome(token), 'ok')
    t.equal(asked(), 2)
  },
)

t.test('answers are bounded: the oldest is forgotten first', async (t) => {
  const { outcome, opaque, asked } = await open(t, true, { cacheSize: 5 })
  const tokens = Array.from({ length: 20 }, (_, index) => opaque(`good${index}x`))
  for (const token of tokens) t.equal(await outcome(token), 'ok')
  t.equal(asked(), 20)
  for (const token of tokens.slice(15)) t.equal(await outcome(token), 'ok')
  t.equal(asked(), 20, 'the last five are remembered')
  for (const token of tokens.slice(0, 15)) t.equal(await outcome(token), 'ok')
  t.equal(asked(), 35, 'and no other')
})

t.test('answers are bounded in the characters of the tokens, too', async (t) => {
  const { issuer, outcome, opaque, asked } = await open(t, true, { cacheSize: 4 })
  const tokens = Array.from({ length: 4 }, (_, index) => opaque(`${index}`.padEnd(508, 'x')))
  for (const token of tokens) t.equal(await outcome(token), 'ok', `${token.length} characters`)
  for (const token of tokens.slice(2)) t.equal(await outcome(token), 'ok')
  t.equal(asked(), 4, 'two are as long as four may be')
  issuer.opaque.clear()
  for (const token of tokens.slice(0, 2)) t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 6)
})

t.test('made-up tokens are bounded, too, and drive no good one out', async (t) => {
  const { outcome, opaque, asked } = await open(t, true, { cacheSize: 5 })
  const good = opaque('good')
  t.equal(await outcome(good), 'ok')
  const madeUp = Array.from({ length: 20 }, (_, index) => `oat_${`bad${index}x`.padEnd(43, '0')}`)
  for (const token of madeUp) t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 21)
  for (const token of [good, ...madeUp.slice(15)]) await outcome(token)
  t.equal(asked(), 21, 'the last five are remembered, and the good one')
  for (const token of madeUp.slice(0, 15)) t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 36, 'and no other')
})

t.test('the feed takes an answer back at once, and expiry ends it', async (t) => {
  const { issuer, outcome, opaque, api, asked } = await open(t)
  const [revoked, expiring] = [
    opaque('revoked', { jti: 'r' }),
    opaque('expiring', { exp: issuer.platform.seconds + 5 }),
  ]
  for (const token of [revoked, expiring]) t.equal(await outcome(token), 'ok')
  issuer.revoke({ kind: 'token', id: 'r', exp: 4_000_000_000 })
  await until('it came', () => api.health().position === '1')
  t.equal(await outcome(revoked), 'revoked')
  issuer.platform.advance(5_000)
  t.equal(await outcome(expiring), 'ok', 'the skew of clocks')
  issuer.platform.advance(5_000)
  t.equal(await outcome(expiring), 'expired')
  t.ok(asked() >= 2)
})

t.test('without a feed an answer is for a second', async (t) => {
  const { issuer, outcome, opaque, asked } = await open(t, false)
  const token = opaque('good')
  for (let index = 0; index < 5; index++) t.equal(await outcome(token), 'ok')
  t.equal(asked(), 1)
  issuer.platform.advance(1_001)
  issuer.opaque.delete(token)
  t.equal(await outcome(token), 'inactive')
})

t.test('when the feed is lost, the server is asked again', async (t) => {
  const { issuer, outcome, opaque, asked } = await open(t)
  const token = opaque('good')
  t.equal(await outcome(token), 'ok')
  issuer.handlers.set('/revocations', (_, response) => response.writeHead(503).end())
  issuer.endStreams()
  issuer.platform.advance(10_001)
  issuer.opaque.delete(token)
  t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 2)
})

t.test('an answer that is long on its way is none for whoever asks later', async (t) => {
  const { issuer, outcome, opaque, asked } = await open(t, false)
  const token = opaque('good')
  let arrive = (): void => undefined
  issuer.handlers.set('/introspect', (_, response) => {
    const answer = JSON.stringify(issuer.opaque.get(token))
    arrive = () => response.end(answer)
  })
  const first = outcome(token)
  await until('it was asked', () => asked() === 1)
  issuer.platform.advance(1_000)
  const beside = outcome(token)
  issuer.handlers.clear()
  issuer.opaque.set(token, { active: false })
  issuer.platform.advance(1)
  t.equal(await outcome(token), 'inactive', 'it asks anew')
  arrive()
  t.same(await Promise.all([first, beside]), ['inactive', 'inactive'], 'what is not active never becomes so')
  t.equal(asked(), 2)
  t.equal(await outcome(token), 'inactive')
})

t.test('without fresh knowledge an answer is no older than the tolerance', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t, { credentials, tolerance: 250 })
  const token = `oat_${'x'.repeat(43)}`
  issuer.opaque.set(token, { active: true, token_type: 'Bearer', ...issuer.claims() })
  t.equal(await outcome(token), 'ok')
  issuer.handlers.set('/revocations', (_, response) => response.writeHead(503).end())
  issuer.endStreams()
  issuer.platform.advance(1_001)
  t.equal(await outcome(token), 'ok')
  issuer.opaque.delete(token)
  issuer.platform.advance(251)
  t.equal(await outcome(token), 'inactive')
})

t.test('a token that is not active is remembered as such, for 5 s', async (t) => {
  const { issuer, outcome, asked } = await open(t)
  const token = `oat_${'x'.repeat(43)}`
  for (let index = 0; index < 10; index++) t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 1)
  issuer.platform.advance(5_000)
  t.equal(await outcome(token), 'inactive')
  t.equal(asked(), 2)
})

t.test('attack 82: an answer that is not for this API, or not of a bearer token, is none', async (t) => {
  const { outcome, opaque, issuer } = await open(t)
  const wrong: readonly object[] = [
    { aud: issuer.issuer },
    { aud: ['https://orders.example', 'https://other.example'] },
    { aud: undefined },
    { iss: 'https://other.example' },
    { iss: undefined },
    { token_type: 'DPoP' },
    { token_type: 'refresh_token' },
    { sub: undefined },
    { client_id: '' },
    { exp: undefined },
    { iat: 'x' },
    { active: 'true' },
  ]
  for (const [index, more] of wrong.entries()) {
    t.match(
      await outcome(opaque(`wrong${index}`, more)),
      /^(?:inactive|introspection_unavailable)$/,
      JSON.stringify(more),
    )
  }
})

t.test('a server that does not answer: 503, and nothing is remembered', async (t) => {
  const { issuer, check, outcome, opaque } = await open(t)
  const token = opaque('good')
  for (const answer of [
    '',
    'x',
    '[]',
    '{}',
    '{"active":true,"active":false}',
    `{"active":true,"x":"${'x'.repeat(70_000)}"}`,
  ]) {
    issuer.handlers.set('/introspect', (_, response) => response.end(answer))
    t.match(await check(token), { status: 503, reason: 'introspection_unavailable' }, answer.slice(0, 20))
  }
  issuer.handlers.set('/introspect', () => undefined)
  const pending = check(token)
  await until('it was asked', () => issuer.asked.filter((path) => path === '/introspect').length === 7)
  issuer.platform.advance(5_000)
  t.match(await pending, { status: 503 })
  issuer.handlers.clear()
  t.equal(await outcome(token), 'ok')
})

t.test('a flood of made-up tokens is no flood at the server', async (t) => {
  const { issuer, outcome, asked } = await open(t)
  issuer.handlers.set('/introspect', () => undefined)
  const flood = Array.from({ length: 500 }, (_, index) => outcome(`oat_${String(index).padEnd(43, 'x')}`))
  await until('some were sent', () => asked() === 64)
  issuer.platform.advance(5_000)
  t.same(new Set(await Promise.all(flood)), new Set(['introspection_unavailable']))
  t.equal(asked(), 64)
})

t.test('what nobody would have given is not asked about', async (t) => {
  const { outcome, asked } = await open(t)
  for (const token of ['x', 'x'.repeat(21), 'x'.repeat(513)]) t.equal(await outcome(token), 'token_malformed')
  t.equal(asked(), 0)
})

t.test('without credentials an opaque token is none', async (t) => {
  const issuer = await TestIssuer.start(t)
  const { outcome } = await issuer.protect(t)
  t.equal(await outcome(`oat_${'x'.repeat(43)}`), 'token_malformed')
  t.notOk(issuer.asked.includes('/introspect'))
})

t.test('attack 80: a truncated opaque token of the real server, and one that was revoked', async (t) => {
  const server = await createRunningServer(t)
  const identifier = 'https://opaque.example'
  const { clientId, clientSecret } = await server.createResource(identifier, 'docs:read', { tokenFormat: 'opaque' })
  const service = await server.createService('docs:read')
  const { issuer } = server.ctx.config.server
  const api = await protect({
    issuer,
    audience: identifier,
    credentials: { clientId, clientSecret },
    warn: () => undefined,
  })
  t.teardown(() => api.close())
  const outcome = async (token: string) => {
    const decision = await api.check({ headers: { authorization: `Bearer ${token}` } }, { scopes: ['docs:read'] })
    return decision.ok ? 'ok' : decision.reason
  }
  const issue = async (): Promise<string> =>
    (
      await server.post(
        '/token',
        { grant_type: 'client_credentials', scope: 'docs:read' },
        { authorization: service.basic },
      )
    ).json().access_token
  const token = await issue()
  t.match(token, /^oat_/)
  t.equal(await outcome(token), 'ok')
  for (const other of [
    token.slice(0, -1),
    token.slice(0, 40),
    `${token}A`,
    `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`,
    token.toLowerCase(),
  ]) {
    t.equal(await outcome(other), 'inactive', 'as unknown to the server')
  }
  const unseen = await issue()
  for (const each of [token, unseen]) {
    t.equal((await server.post('/revoke', { token: each }, { authorization: service.basic })).statusCode, 200)
  }
  t.equal(await outcome(unseen), 'inactive')
  await until('the other one is refused too', async () => (await outcome(token)) !== 'ok')
})
