import t from 'tap'
import type { Client } from '../../../src/clients/index.js'
import type { Context } from '../../../src/context.js'
import type { Resource } from '../../../src/resources/index.js'
import { allowedScope, askedResources, askedScope, scopeForGrant, scopeForToken } from '../../../src/tokens/index.js'
import { knownScope } from '../../../src/tokens/scope.js'

const resource = (identifier: string, scope: string, usesRoles = false): Resource => ({
  identifier,
  tokenFormat: 'jwt',
  claims: [],
  usesRoles,
  acceptsBasic: false,
  clientId: `rs ${identifier}`,
  scopes: scope.split(' ').map((name) => ({ name })),
  createdAt: new Date(0),
  updatedAt: new Date(0),
})

const orders = resource('https://orders.example', 'orders:read orders:write shared')
const stock = resource('https://stock.example', 'stock:read shared')
const pay = resource('https://pay.example', 'pay:read pay:write', true)
const all = [orders, stock, pay]

/** What these functions ask of a context. */
const ctx = {
  resources: {
    find: (identifier: string) => all.find((each) => each.identifier === identifier),
    ownersOf: (scope: string) =>
      all.filter(({ scopes }) => scopes.some(({ name }) => name === scope)).map(({ identifier }) => identifier),
  },
} as unknown as Context

const client = (scope: string, more: Partial<Client> = {}): Client =>
  ({ scope: scope.split(' '), defaultScope: [], allowedResources: [], ...more }) as unknown as Client

const everything = client('openid orders:read orders:write shared stock:read pay:read pay:write unowned')

t.test('RFC 6749 §3.3: no more than the client is registered for', async (t) => {
  t.same(askedScope(ctx, everything, { scope: 'orders:read openid', resources: [] }), ['orders:read', 'openid'])
  t.throws(() => askedScope(ctx, everything, { scope: 'orders:read admin', resources: [] }), { code: 'invalid_scope' })
  t.throws(() => askedScope(ctx, everything, { scope: 'orders:read  openid', resources: [] }), {
    code: 'invalid_scope',
  })
  t.throws(() => askedScope(ctx, everything, { scope: 'ORDERS:READ', resources: [] }), { code: 'invalid_scope' })
})

t.test('RFC 6749 §3.3: without the parameter the default, of which what is nobody’s is left out', async (t) => {
  const withDefault = client('orders:read stock:read unowned openid', {
    defaultScope: ['orders:read', 'unowned', 'openid', 'stock:read'],
  })
  t.same(askedScope(ctx, withDefault, { scope: undefined, resources: [] }), ['orders:read', 'openid', 'stock:read'])
  t.same(askedScope(ctx, withDefault, { scope: undefined, resources: [stock.identifier] }), ['openid', 'stock:read'])
  t.same(askedScope(ctx, everything, { scope: undefined, resources: [] }), [], 'none is no scope')
})

t.test('RFC 8707 §2: a resource that is unknown, malformed or not allowed to the client is no target', async (t) => {
  t.same(askedResources(ctx, everything, [orders.identifier, orders.identifier]), [orders.identifier])
  for (const bad of ['https://unknown.example', 'orders', 'https://orders.example#x', `${orders.identifier}/`]) {
    t.throws(() => askedResources(ctx, everything, [bad]), { code: 'invalid_target' }, bad)
  }
  const narrow = client('stock:read', { allowedResources: [stock.identifier] })
  t.throws(() => askedResources(ctx, narrow, [orders.identifier]), { code: 'invalid_target' })
  t.same(askedResources(ctx, narrow, [stock.identifier]), [stock.identifier])
})

t.test('RFC 8707 §2.2: one token is for one resource', async (t) => {
  const ask = (scope: string, resources: readonly string[] = []) => {
    const selected = scopeForToken(ctx, everything, { scope: scope.split(' ').filter(Boolean), resources })
    return [selected.resource?.identifier, selected.scope.join(' ')]
  }
  t.same(ask(''), [undefined, ''], 'for this server itself')
  t.same(ask('openid'), [undefined, 'openid'])
  t.same(ask('orders:read openid'), [orders.identifier, 'orders:read openid'])
  t.same(ask('shared orders:read'), [orders.identifier, 'shared orders:read'], 'the other scope tells whose it is')
  t.same(ask('shared', [stock.identifier]), [stock.identifier, 'shared'])
  t.same(
    ask('orders:read stock:read', [stock.identifier]),
    [stock.identifier, 'stock:read'],
    'those of others are left out',
  )
  t.throws(() => ask('shared'), { code: 'invalid_scope' }, 'two own it')
  t.throws(() => ask('orders:read stock:read'), { code: 'invalid_scope' })
  t.throws(() => ask('orders:read', [stock.identifier]), { code: 'invalid_scope' })
  t.throws(() => ask('orders:read', [orders.identifier, stock.identifier]), { code: 'invalid_target' })
  t.throws(() => ask('unowned'), { code: 'invalid_scope' })
})

t.test('a scope that is shared is of the only owner that the client may reach', async (t) => {
  const narrow = client('shared', { allowedResources: [stock.identifier] })
  t.equal(scopeForToken(ctx, narrow, { scope: ['shared'], resources: [] }).resource, stock)
  const none = client('shared', { allowedResources: ['https://gone.example'] })
  t.throws(() => scopeForToken(ctx, none, { scope: ['shared'], resources: [] }), { code: 'invalid_scope' })
})

t.test('where a resource uses roles, a scope needs one', async (t) => {
  const roles = [
    { resource: pay.identifier, name: 'reader', scope: ['pay:read'] },
    { resource: orders.identifier, name: 'elsewhere', scope: ['pay:write'] },
  ]
  const ask = (scope: readonly string[], held = roles) =>
    allowedScope(scopeForToken(ctx, everything, { scope, resources: [] }), held)
  t.same(ask(['pay:read', 'pay:write']), ['pay:read'], 'and the role must be one of this resource')
  t.same(ask(['pay:write', 'openid']), ['openid'], 'what no resource owns needs none')
  t.throws(() => ask(['pay:write']), { code: 'invalid_scope' })
  t.throws(() => ask(['pay:read'], []), { code: 'invalid_scope' })
  t.same(ask(['orders:write'], []), ['orders:write'], 'other resources use none')
})

t.test('RFC 8707 §2.1: a grant may span several resources, if they are named', async (t) => {
  const ask = (scope: string, resources: readonly string[] = []) => scopeForGrant(ctx, everything, { scope, resources })
  t.same(ask('orders:read stock:read', [orders.identifier, stock.identifier]), {
    scope: ['orders:read', 'stock:read'],
    resources: [orders.identifier, stock.identifier],
  })
  t.same(ask('orders:read stock:read pay:read', [orders.identifier, stock.identifier]).scope, [
    'orders:read',
    'stock:read',
  ])
  t.same(ask('orders:read openid'), { scope: ['orders:read', 'openid'], resources: [orders.identifier] })
  t.same(ask('openid'), { scope: ['openid'], resources: [] })
  t.throws(() => ask('orders:read stock:read'), { code: 'invalid_scope' }, 'several, and none named')
  t.throws(() => ask('orders:read', [stock.identifier]), { code: 'invalid_scope' })
  t.throws(() => ask('orders:read', ['https://unknown.example']), { code: 'invalid_target' })
})

t.test('what was granted and has ceased to exist is left out', async (t) => {
  const { ownersOf } = ctx.resources
  t.same(knownScope(ownersOf, ['orders:read', 'gone', 'openid', 'stock:read'], []), [
    'orders:read',
    'openid',
    'stock:read',
  ])
  t.same(knownScope(ownersOf, ['orders:read', 'gone', 'openid', 'stock:read'], [stock.identifier]), [
    'openid',
    'stock:read',
  ])
})
