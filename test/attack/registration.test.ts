import t from 'tap'
import { findClient, registerClient, toRegistration, updateClient } from '../../src/clients/index.js'
import { createCommandLine } from '../support/command.js'
import { refused } from '../support/refused.js'
import { createTestServer, registration, sql } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server
const metadata = { client_name: 'Test', redirect_uris: ['https://app.example/cb'] }
const refusal = { code: 'invalid_client_metadata' }

/** What only this server sets, or what other servers know by such a name. */
const foreign: Readonly<Record<string, unknown>> = {
  client_id_issued_at: 1,
  client_secret_expires_at: 1,
  created_at: '2020-01-01',
  updated_at: '2020-01-01',
  disabled_at: null,
  not_before: null,
  last_used_at: null,
  secrets: [],
  registration_access_token: 'x',
  registration_client_uri: 'https://x.example',
  client_credentials_scopes: 'admin',
  skip_consent: true,
  tenant_id: 'other',
  is_first_party: true,
  firstParty: true,
  clientId: 'admin',
  clientSecret: 'x',
  redirectUris: ['https://evil.example'],
  roles: ['admin'],
  resource_server_of: 'https://api.example.com',
  resourceServerOf: 'https://api.example.com',
  resource: 'https://api.example.com',
  admin: true,
  constructor: { prototype: { firstParty: true } },
  prototype: {},
  toString: 'x',
  hasOwnProperty: 'x',
}

const count = async () => (await sql(server, 'SELECT count(*)::int AS count FROM client'))[0]?.count

t.test('attack 94: fields that are the server’s own are refused at registration', async (t) => {
  const before = await count()
  for (const [name, value] of Object.entries(foreign)) {
    // A name that JSON.parse makes an own member, whatever an object has by itself.
    const input: unknown = JSON.parse(
      `{${JSON.stringify(name)}:${JSON.stringify(value)},${JSON.stringify(metadata).slice(1)}`,
    )
    await refused(t, registerClient(ctx, input, registration), refusal, name)
  }
  t.equal(await count(), before, 'nothing was registered')
})

t.test('attack 94: __proto__ is a name like any other, and pollutes nothing', async (t) => {
  for (const text of [
    `{"__proto__":{"first_party":true,"firstParty":true},${JSON.stringify(metadata).slice(1)}`,
    `{"jwks":{"__proto__":{"keys":[]}},${JSON.stringify(metadata).slice(1)}`,
    `{"constructor":{"prototype":{"polluted":true}},${JSON.stringify(metadata).slice(1)}`,
  ]) {
    await refused(t, registerClient(ctx, JSON.parse(text), registration), refusal, text)
  }
  t.notOk('first_party' in {})
  t.notOk('polluted' in {})

  const inherited = Object.assign(Object.create({ first_party: true, require_pkce: false }), metadata)
  const { client } = await registerClient(ctx, inherited, registration)
  t.match(client, { firstParty: false, requirePkce: true }, 'what is inherited is not read')
})

t.test('attack 94: nor can they come in by an update', async (t) => {
  const { client } = await registerClient(ctx, metadata, registration)
  for (const [name, value] of Object.entries({ ...foreign, client_id: 'other', client_secret: 'x'.repeat(40) })) {
    const input: unknown = JSON.parse(`{${JSON.stringify(name)}:${JSON.stringify(value)}}`)
    await refused(t, updateClient(ctx, client.clientId, input, registration), refusal, name)
  }
  await refused(
    t,
    updateClient(ctx, client.clientId, JSON.parse('{"__proto__":{"firstParty":true}}'), registration),
    refusal,
    '__proto__',
  )
  t.same(toRegistration(await findClient(ctx, client.clientId)), toRegistration(client))
})

t.test('attack 94: what is no object, or of another type, is refused', async (t) => {
  const before = await count()
  for (const input of [null, [], [metadata], 'x', 1, true, undefined]) {
    await refused(t, registerClient(ctx, input, registration), refusal, String(input))
  }
  for (const wrong of [
    { first_party: 'true' },
    { first_party: 1 },
    { require_pkce: 'false' },
    { redirect_uris: 'https://app.example/cb' },
    { redirect_uris: { 0: 'https://app.example/cb', length: 1 } },
    { grant_types: ['client_credentials', 'password'] },
    { grant_types: ['urn:ietf:params:oauth:grant-type:device_code'] },
    { scope: ['read'] },
    { access_token_lifetime: '600' },
    { access_token_lifetime: 1e9 },
    { refresh_token_lifetime: -1 },
    { token_endpoint_auth_method: 'private_key_jwt' },
    { response_types: ['token'] },
  ]) {
    await refused(t, registerClient(ctx, { ...metadata, ...wrong }, registration), refusal, JSON.stringify(wrong))
  }
  t.equal(await count(), before)
})

t.test('attack 94: a client cannot take the id of a user or of another client', async (t) => {
  const user = await server.createUser()
  const taken = await server.createClient()
  for (const client_id of [user.id, user.id.toUpperCase(), taken.clientId]) {
    const before = await count()
    await refused(
      t,
      registerClient(ctx, { ...metadata, client_id }, registration),
      { name: 'ConflictError' },
      client_id,
    )
    t.equal(await count(), before)
  }
})

t.test('attack 94: the command line refuses them too', async (t) => {
  const { run } = createCommandLine(t, { url: server.databaseUrl })
  const before = await count()
  for (const name of ['tenant_id', 'skip_consent', 'is_first_party', 'client_credentials_scopes', '__proto__']) {
    const stdin = `{${JSON.stringify(name)}:true,${JSON.stringify(metadata).slice(1)}`
    const { status, stdout, stderr } = await run(['client', 'create', '--from-json', '-', '--json'], { stdin })
    t.equal(status, 1, name)
    t.equal(stdout, '')
    t.match(stderr, 'is unknown')
  }
  t.equal(await count(), before)
})

const refusedUri = { code: 'invalid_redirect_uri' }

t.test('attack 7: redirect URIs that a browser would run or open', async (t) => {
  for (const uri of [
    ...['javascript:alert(1)', 'JavaScript:alert(1)', 'java\tscript:alert(1)', 'data:text/html,x', 'vbscript:x'],
    ...[
      'file:///etc/passwd',
      'blob:https://app.example/x',
      'about:blank',
      'view-source:https://app.example',
      'ftp://x',
    ],
  ]) {
    for (const application_type of ['web', 'native']) {
      const input = { ...metadata, application_type, redirect_uris: [uri] }
      await refused(t, registerClient(ctx, input, registration), refusedUri, `${application_type} ${uri}`)
    }
  }
})

t.test('attack 14: wildcards in a redirect URI', async (t) => {
  for (const uri of ['https://*.example/cb', 'https://app.example/*', 'https://app.example:*/cb', 'https://*', '*']) {
    await refused(t, registerClient(ctx, { ...metadata, redirect_uris: [uri] }, registration), refusedUri, uri)
  }
})

t.test('attack 13: a private-use scheme that nobody owns', async (t) => {
  const native = { client_name: 'Native', application_type: 'native' }
  for (const uri of [
    'myapp:/cb',
    'myapp://cb',
    'http:/cb',
    'com:/cb',
    'x-app:/cb',
    'com.example:',
    'com.example.app:cb#x',
  ]) {
    await refused(t, registerClient(ctx, { ...native, redirect_uris: [uri] }, registration), refusedUri, uri)
  }
  const { client } = await registerClient(ctx, { ...native, redirect_uris: ['com.example.app:/cb'] }, registration)
  t.same(client.redirectUris, ['com.example.app:/cb'])
})

t.test('attack 95: addresses that lead into a private network are not registered', async (t) => {
  const before = await count()
  for (const host of [
    ...['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'printer.local', '127.0.0.1', '127.1', '2130706433'],
    ...['0x7f.1', '0177.0.0.1', '0.0.0.0', '10.0.0.1', '192.168.1.1', '169.254.169.254', '[::1]', '[::ffff:127.0.0.1]'],
    ...['[fe80::1]', '[fd00::1]', '192.0.2.1.', 'user@example.com', 'user:pw@example.com'],
  ]) {
    for (const name of ['jwks_uri', 'logo_uri']) {
      const input = { ...metadata, [name]: `https://${host}/x` }
      await refused(t, registerClient(ctx, input, registration), refusal, `${name} ${host}`)
    }
  }
  for (const uri of [
    'http://example.com/x',
    'ftp://example.com',
    'file:///etc/passwd',
    'data:,x',
    '//example.com',
    'x',
  ]) {
    for (const name of ['jwks_uri', 'logo_uri']) {
      await refused(t, registerClient(ctx, { ...metadata, [name]: uri }, registration), refusal, `${name} ${uri}`)
    }
  }
  t.equal(await count(), before)
})
