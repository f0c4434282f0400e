import t, { type Test } from 'tap'
import type { Decision, RequestLike, Requirement } from '../../packages/resource-server/src/index.js'
import { audience, credentials, TestIssuer } from './support/issuer.js'

const issuer = await TestIssuer.start(t)
const { api } = await issuer.protect(t)
const metadata = 'resource_metadata="https://orders.example/.well-known/oauth-protected-resource"'
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const invalid = `error="invalid_token", error_description="The access token is malformed, expired, revoked or not for this API."`

/** The answer, without what is the same in all of them. */
function answerOf(t: Test, decision: Decision): { status: number; challenge: string | undefined; error: unknown } {
  if (decision.ok) return { status: 200, challenge: undefined, error: undefined }
  t.match(decision.headers, { 'cache-control': 'no-store', 'content-type': 'application/json' })
  return {
    status: decision.status,
    challenge: decision.headers['www-authenticate'],
    error: JSON.parse(decision.body).error,
  }
}

const user = issuer.token()
const cases: readonly {
  readonly title: string
  readonly request: RequestLike
  readonly requirement?: Requirement
  readonly status: number
  readonly challenge?: string
  readonly error?: string
}[] = [
  { title: 'a good token', request: { headers: bearer(user) }, status: 200 },
  {
    title: '§2.1: the name of the scheme is in any case',
    request: { headers: { authorization: `bEARER  ${user}` } },
    status: 200,
  },
  {
    title: 'with the scope',
    request: { headers: bearer(user) },
    requirement: { scopes: ['orders:read'] },
    status: 200,
  },
  { title: '§3.1: no token: no error code', request: { headers: {} }, status: 401, challenge: `Bearer ${metadata}` },
  {
    title: '§3: no token, and the scope that would do',
    request: { headers: {} },
    requirement: { scopes: ['orders:read', 'orders:write'] },
    status: 401,
    challenge: `Bearer scope="orders:read orders:write", ${metadata}`,
  },
  {
    title: '§3.1: another scheme is no token',
    request: { headers: { authorization: 'Basic eDp5' } },
    status: 401,
    challenge: `Bearer ${metadata}`,
  },
  {
    title: 'a word that begins like it',
    request: { headers: { authorization: 'Bearers x' } },
    status: 401,
    challenge: `Bearer ${metadata}`,
  },
  {
    title: 'an empty header',
    request: { headers: { authorization: '' } },
    status: 401,
    challenge: `Bearer ${metadata}`,
  },
  ...[
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Bearer a,b',
    'Bearer é',
    'Bearer =a',
    'Bearer "a"',
    `Bearer ${user}, Bearer ${user}`,
    `Bearer ${user}, Basic eDp5`,
  ].map((authorization) => ({
    title: `§3.1: malformed: ${authorization.slice(0, 12)}`,
    request: { headers: { authorization } },
    status: 400,
    error: 'invalid_request',
  })),
  {
    title: '§2: two headers, as Node.js shows them',
    request: {
      headers: bearer(user),
      rawHeaders: ['Authorization', `Bearer ${user}`, 'authorization', `Bearer ${user}`],
    },
    status: 400,
    error: 'invalid_request',
  },
  {
    title: '§2: two headers, as the Fetch standard shows them',
    request: {
      headers: new Headers([
        ['authorization', `Bearer ${user}`],
        ['Authorization', `Bearer ${user}`],
      ]),
    },
    status: 400,
    error: 'invalid_request',
  },
  {
    title: 'a header of several values',
    request: { headers: { authorization: [`Bearer ${user}`, `Bearer ${user}`] } },
    status: 400,
    error: 'invalid_request',
  },
  {
    title: '§2.3: a token in the address',
    request: { url: `/orders?access_token=${user}`, headers: {} },
    status: 400,
    error: 'invalid_request',
  },
  {
    title: '§2: a token in both',
    request: { url: '/orders?x=1&access%5Ftoken=x', headers: bearer(user) },
    status: 400,
    error: 'invalid_request',
  },
  {
    title: '§3.1: a token that is none',
    request: { headers: bearer('mF_9.B5f-4.1JqM') },
    status: 401,
    challenge: `Bearer ${invalid}, ${metadata}`,
    error: 'invalid_token',
  },
  {
    title: '§3.1: an expired one',
    request: { headers: bearer(issuer.token({ exp: issuer.platform.seconds - 60 })) },
    status: 401,
    error: 'invalid_token',
  },
  {
    title: '§3.1: a bad token is never 403, whatever it lacks besides',
    request: { headers: bearer(issuer.token({ aud: 'https://other.example', scope: '' })) },
    requirement: { scopes: ['orders:read'] },
    status: 401,
    challenge: `Bearer ${invalid}, scope="orders:read", ${metadata}`,
    error: 'invalid_token',
  },
  {
    title: '§3.1: a good token without the scope',
    request: { headers: bearer(user) },
    requirement: { scopes: ['orders:read', 'orders:delete'] },
    status: 403,
    challenge: `Bearer error="insufficient_scope", error_description="The access token does not permit this.", scope="orders:read orders:delete", ${metadata}`,
    error: 'insufficient_scope',
  },
  {
    title: 'a scope is a whole word',
    request: { headers: bearer(issuer.token({ scope: 'orders:readers' })) },
    requirement: { scopes: ['orders:read'] },
    status: 403,
    error: 'insufficient_scope',
  },
  {
    title: 'a token without any scope',
    request: { headers: bearer(issuer.token({ scope: undefined })) },
    requirement: { scopes: ['orders:read'] },
    status: 403,
    error: 'insufficient_scope',
  },
  {
    title: 'with the role',
    request: { headers: bearer(issuer.token({ roles: ['clerk', 'auditor'] })) },
    requirement: { roles: ['auditor'] },
    status: 200,
  },
  {
    title: 'without the role',
    request: { headers: bearer(issuer.token({ roles: ['clerk'] })) },
    requirement: { roles: ['auditor'] },
    status: 403,
    error: 'insufficient_scope',
  },
  {
    title: 'roles that are no list',
    request: { headers: bearer(issuer.token({ roles: 'auditor' })) },
    requirement: { roles: ['auditor'] },
    status: 403,
    error: 'insufficient_scope',
  },
]

for (const { title, request, requirement, status, challenge, error } of cases) {
  t.test(`RFC 6750 ${title}`, async (t) => {
    const answer = answerOf(t, await api.check(request, requirement))
    t.match(answer, { status, error })
    if (challenge !== undefined) t.equal(answer.challenge, challenge)
  })
}

const stepUp: readonly (readonly [string, Requirement, object, number])[] = [
  ['the acr that is wanted', { acrValues: ['mfa', 'phr'] }, { acr: 'phr' }, 200],
  ['another acr', { acrValues: ['mfa', 'phr'] }, { acr: 'pwd' }, 401],
  ['no acr', { acrValues: ['mfa', 'phr'] }, {}, 401],
  ['an acr that is no text', { acrValues: ['mfa'] }, { acr: ['mfa'] }, 401],
  ['a login that is new enough', { maxAge: 300 }, { auth_time: issuer.platform.seconds - 300 }, 200],
  ['an old login', { maxAge: 300 }, { auth_time: issuer.platform.seconds - 301 }, 401],
  ['no time of login', { maxAge: 300 }, {}, 401],
  ['a time that is none', { maxAge: 300 }, { auth_time: 'now' }, 401],
]
for (const [title, requirement, claims, status] of stepUp) {
  t.test(`attack 112: RFC 9470 §3: ${title}`, async (t) => {
    const answer = answerOf(
      t,
      await api.check({ headers: bearer(issuer.token({ ...claims })) }, { ...requirement, scopes: ['orders:read'] }),
    )
    t.equal(answer.status, status)
    if (status === 200) return
    const wanted = requirement.acrValues ? `acr_values="${requirement.acrValues.join(' ')}"` : 'max_age="300"'
    t.equal(
      answer.challenge,
      `Bearer error="insufficient_user_authentication", error_description="The user has to be authenticated more strongly, or anew.", scope="orders:read", ${wanted}, ${metadata}`,
    )
  })
}

t.test('attack 112: what no login would give is refused first', async (t) => {
  t.match(await api.check({ headers: bearer(user) }, { scopes: ['orders:delete'], maxAge: 0 }), { status: 403 })
})

t.test('nothing that a request brings gets into the answer', async (t) => {
  const decision = await api.check({ headers: bearer('"><script>') })
  const other = await api.check({ headers: bearer(issuer.token({ iss: 'https://evil.example"' })) })
  for (const each of [decision, other]) t.notMatch(JSON.stringify(each), /<script|evil/)
})

t.test('a requirement that could not stand in a challenge is refused when it is made', async (t) => {
  for (const scope of ['a b', 'a"b', 'a\\b', '', 'é', 'a\nb'])
    t.throws(() => api.scopes(scope), TypeError, JSON.stringify(scope))
  t.throws(() => api.require({ acrValues: ['a"'] }), TypeError)
  for (const maxAge of [-1, 0.5, Number.NaN]) t.throws(() => api.require({ maxAge }), TypeError)
  t.throws(() => api.require({ roles: [''] }), TypeError)
  await t.rejects(api.check({ headers: {} }, { scopes: ['"'] }), TypeError)
})

t.test('RFC 6750: knowledge that is missing is 503 with Retry-After, and no verdict', async (t) => {
  const other = await TestIssuer.start(t)
  const { check } = await other.protect(t, { credentials })
  await other.stop()
  other.platform.advance(10_001)
  const decision = await check(other.token())
  t.match(decision, { ok: false, status: 503, headers: { 'retry-after': '1' }, reason: 'knowledge_stale' })
  if (!decision.ok) t.notOk('www-authenticate' in decision.headers)
})

t.test('RFC 9728 §3.1: the well-known part stands before the path of the identifier', async (t) => {
  const paths = {
    'https://orders.example': '/.well-known/oauth-protected-resource',
    'https://orders.example/': '/.well-known/oauth-protected-resource',
    'https://example.com/apis/orders': '/.well-known/oauth-protected-resource/apis/orders',
    'urn:example:orders': undefined,
    orders: undefined,
  }
  for (const [identifier, path] of Object.entries(paths)) {
    const { api } = await issuer.protect(t, {
      audience: identifier,
      metadata: { resource_name: 'Orders', resource: 'x' },
    })
    api.scopes('orders:write', 'orders:read')
    t.equal(api.metadataPath, path, identifier)
    const decision = await api.check({ headers: {} })
    if (decision.ok) return t.fail()
    const url = path && `${new URL(identifier).origin}${path}`
    t.equal(decision.headers['www-authenticate'], url ? `Bearer resource_metadata="${url}"` : 'Bearer')
    if (!path) continue
    t.same(JSON.parse(api.metadataFor({ url: `${path}?x=1`, method: 'GET', headers: {} }) ?? ''), {
      resource: identifier,
      authorization_servers: [issuer.issuer],
      bearer_methods_supported: ['header'],
      scopes_supported: ['orders:read', 'orders:write'],
      resource_name: 'Orders',
    })
    t.equal(api.metadataFor({ url: path, method: 'POST', headers: {} }), undefined)
    t.equal(api.metadataFor({ url: `${path}x`, headers: {} }), undefined)
    t.equal(
      api.metadataFor({ url: `http://x${path}`, headers: {} }) === undefined,
      false,
      'as the Fetch standard writes addresses',
    )
  }
  t.equal(audience, 'https://orders.example')
})
