import t from 'tap'
import { formatScope, intersect, isSubset, parseScope, wellKnownScopes } from '../../../src/oauth/scope.js'

t.test('RFC 6749 §3.3: a scope is names separated by single spaces', async (t) => {
  t.same(parseScope('read write'), ['read', 'write'])
  t.same(parseScope('read'), ['read'])
  t.same(parseScope(''), [])
  t.same(parseScope('urn:x:read https://api.example.com/#write !#[]~'), [
    'urn:x:read',
    'https://api.example.com/#write',
    '!#[]~',
  ])
  t.same(parseScope('constructor __proto__'), ['constructor', '__proto__'])
})

t.test('RFC 6749 §3.3: the order does not matter and a repeated name adds nothing', async (t) => {
  t.same(parseScope('write read write'), ['write', 'read'])
})

t.test('attack 29: a scope with quotes, control or non-ASCII characters is refused', async (t) => {
  for (const text of ['a"b', 'a\\b', 'a\tb', 'a\nb', 'é', 'a\0', 'a\u00a0b', '\u007f', ' ', 'a ', ' a', 'a  b']) {
    t.throws(() => parseScope(text), { code: 'invalid_scope', reason: 'scope_malformed' }, JSON.stringify(text))
  }
})

t.test('a scope is formatted as it is parsed', async (t) => {
  t.equal(formatScope(['read', 'write']), 'read write')
  t.equal(formatScope([]), '')
  t.same(parseScope(formatScope(['read', 'write'])), ['read', 'write'])
})

t.test('intersect and isSubset', async (t) => {
  t.same(intersect(['c', 'a', 'b'], ['b', 'c', 'd']), ['c', 'b'])
  t.same(intersect([], ['a']), [])
  t.ok(isSubset(['a'], ['b', 'a']))
  t.ok(isSubset([], []))
  t.notOk(isSubset(['a', 'x'], ['a']))
})

t.test('OIDC Core §5.4, §11: six scopes need no resource, and each has a sentence', async (t) => {
  t.same(
    [...wellKnownScopes.keys()],
    ['openid', 'profile', 'email', 'address', 'phone', 'offline_access', 'api_keys', 'leaks'],
  )
  for (const sentence of wellKnownScopes.values()) t.match(sentence, /^[A-Z].+\.$/)
  t.notOk(wellKnownScopes.has('constructor'))
})
