import t from 'tap'
import { isResourceIdentifier, narrowScope, parseResources, selectResource } from '../../../src/oauth/resource.js'

const api = 'https://api.example.com'
const files = 'https://files.example.com'

const owners = new Map<string, readonly string[]>([
  ['read', [api, files]],
  ['write', [api]],
  ['upload', [files]],
  ['email', []],
])
const ownersOf = (scope: string) => owners.get(scope) ?? []
const select = (scope: readonly string[], ...requested: readonly string[]) =>
  selectResource({ scope, ownersOf, requested })

t.test('RFC 8707 §2: a resource is an absolute URI without a fragment', async (t) => {
  t.same(parseResources([]), [])
  t.same(parseResources([api, `${api}/`, api, 'urn:example:api', `${api}/v1?x=1`]), [
    api,
    `${api}/`,
    'urn:example:api',
    `${api}/v1?x=1`,
  ])
  for (const text of [
    '',
    'api',
    '/api',
    '//api.example.com',
    'api.example.com/v1',
    'https:',
    'https://',
    'urn:',
    `${api}#`,
    `${api}/#x`,
    `${api} `,
    ` ${api}`,
    `${api}/a b`,
    `${api}\n`,
    `${api}/\0`,
    `${api}/é`,
    `${api}/"`,
    `${api}\\x`,
    `${api}/%`,
    `${api}/%zz`,
    'https://[::1',
    '1a:x',
    `${api}/${'a'.repeat(2048)}`,
  ]) {
    t.throws(
      () => parseResources([api, text]),
      { code: 'invalid_target', reason: 'resource_malformed' },
      JSON.stringify(text),
    )
    t.notOk(isResourceIdentifier(text))
  }
})

t.test('without scopes of a resource the token is for this server', async (t) => {
  t.strictSame(select([]), { resource: undefined, scope: [] })
  t.strictSame(select(['openid', 'email', 'offline_access']), {
    resource: undefined,
    scope: ['openid', 'email', 'offline_access'],
  })
})

t.test('scopes of one resource select it', async (t) => {
  t.strictSame(select(['write']), { resource: api, scope: ['write'] })
  t.strictSame(select(['openid', 'upload']), { resource: files, scope: ['openid', 'upload'] })
})

t.test('a name that several resources own belongs to the one that owns all the others too', async (t) => {
  t.strictSame(select(['read', 'write']), { resource: api, scope: ['read', 'write'] })
  t.strictSame(select(['openid', 'upload', 'read']), { resource: files, scope: ['openid', 'upload', 'read'] })
})

t.test('RFC 8707 §2: scopes that leave the resource open are refused with what to do', async (t) => {
  for (const scope of [['read'], ['openid', 'read'], ['write', 'upload'], ['read', 'write', 'upload']]) {
    t.throws(() => select(scope), { code: 'invalid_scope', reason: 'resource_ambiguous', message: /resource/ })
  }
})

t.test('RFC 8707 §2.2: a requested resource narrows the scopes to its own, and those that need none', async (t) => {
  t.strictSame(select(['openid', 'read', 'write', 'upload'], api), {
    resource: api,
    scope: ['openid', 'read', 'write'],
  })
  t.strictSame(select(['openid', 'read', 'write', 'upload'], files), {
    resource: files,
    scope: ['openid', 'read', 'upload'],
  })
  t.strictSame(select(['read'], files), { resource: files, scope: ['read'] })
  t.strictSame(select(['openid'], api), { resource: api, scope: ['openid'] })
  t.strictSame(select([], api), { resource: api, scope: [] })
})

t.test('RFC 8707 §2: scopes of other resources alone are not a request for this one', async (t) => {
  t.throws(() => select(['upload'], api), { code: 'invalid_scope', reason: 'scope_of_another_resource' })
  t.throws(() => select(['openid', 'write'], files), { code: 'invalid_scope', reason: 'scope_of_another_resource' })
})

t.test('RFC 8707 §2.2: a token is for one resource', async (t) => {
  t.throws(() => select(['read'], api, files), { code: 'invalid_target', reason: 'resource_ambiguous' })
})

t.test('attack 29: a scope that nobody knows is refused, with or without a resource', async (t) => {
  for (const requested of [[], [api]]) {
    for (const name of ['unknown', 'constructor', '__proto__']) {
      t.throws(() => select(['write', name], ...requested), {
        code: 'invalid_scope',
        reason: 'scope_unknown',
        message: `There is no scope ${name}.`,
      })
    }
  }
})

t.test('a resource may own a scope whose name is well known', async (t) => {
  const ownersOfEmail = (scope: string) => (scope === 'email' ? [api] : [])
  t.strictSame(selectResource({ scope: ['email'], ownersOf: ownersOfEmail, requested: [] }), {
    resource: api,
    scope: ['email'],
  })
})

t.test('RFC 8707 §2.1: an authorization request may name several resources', async (t) => {
  const scope = ['openid', 'read', 'write', 'upload']
  t.same(narrowScope({ scope, ownersOf, requested: [api, files] }), scope)
  t.same(narrowScope({ scope, ownersOf, requested: [api] }), ['openid', 'read', 'write'])
})
