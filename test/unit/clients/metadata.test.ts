import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  clientMetadataNames,
  formatClientMetadata,
  isPublicClient,
  mergeClientMetadata,
  readClientMetadata,
} from '../../../src/clients/metadata.js'
import { outboundProblem } from '../../../src/platform/outbound/outbound-url.js'

// The same cases in every run: a failure repeats.
fc.configureGlobal({ seed: 6749 })

const supported = {
  addresses: (url: string) => outboundProblem(url, new Set()),
  grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  authenticationMethods: ['client_secret_basic', 'client_secret_post', 'none'],
}
const read = (input: unknown) => readClientMetadata(input, supported)
const webApp = { redirect_uris: ['https://app.example/cb'] }
const service = { grant_types: ['client_credentials'] }
const withWebApp = (fields: object) => read({ ...webApp, ...fields })

const publicKey = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
}

function refuses(t: Test, fields: object, message: RegExp | string, code = 'invalid_client_metadata'): void {
  t.throws(() => withWebApp(fields), { code, message }, encodeURI(JSON.stringify(fields).slice(0, 120)))
}

t.test('RFC 7591 §2: the least that a web app has to say', async (t) => {
  t.match(withWebApp({}), {
    clientId: undefined,
    clientSecret: undefined,
    contacts: [],
    redirectUris: ['https://app.example/cb'],
    grantTypes: ['authorization_code'],
    responseTypes: ['code'],
    tokenEndpointAuthMethod: 'client_secret_basic',
    applicationType: 'web',
    scope: [],
    defaultScope: [],
    requiredScope: [],
    requirePkce: true,
    firstParty: false,
    allowedOrigins: [],
    allowedResources: [],
    accessTokenLifetime: undefined,
    refreshTokenRotation: true,
    refreshTokenRetryWindow: 10,
  })
})

t.test('RFC 7591 §2: the least that a service has to say', async (t) => {
  t.match(read(service), {
    grantTypes: ['client_credentials'],
    responseTypes: [],
    redirectUris: [],
    tokenEndpointAuthMethod: 'client_secret_basic',
  })
})

t.test('RFC 8252 §8.4: a native app is a public client', async (t) => {
  const client = read({ redirect_uris: ['com.example.app:/cb', 'http://127.0.0.1/cb'], application_type: 'native' })
  t.equal(client.tokenEndpointAuthMethod, 'none')
  t.ok(isPublicClient(client))
  t.ok(isPublicClient({ applicationType: 'native', tokenEndpointAuthMethod: 'client_secret_basic' }))
  t.ok(isPublicClient({ applicationType: 'web', tokenEndpointAuthMethod: 'none' }))
  t.notOk(isPublicClient(withWebApp({})))
})

t.test('every field is read and formatted', async (t) => {
  const everything = {
    client_id: 'my-app:1',
    client_secret: 'correct horse battery staple, and more',
    client_name: 'My app',
    client_uri: 'https://app.example/',
    logo_uri: 'https://app.example/logo.png',
    policy_uri: 'https://app.example/policy',
    tos_uri: 'http://localhost:8080/terms',
    contacts: ['ops@app.example'],
    application_type: 'web',
    redirect_uris: ['https://app.example/cb', 'http://localhost:8080/cb'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
    scope: 'openid offline_access read write',
    default_scope: 'openid read',
    required_scope: 'openid',
    jwks: { keys: [publicKey] },
    require_pkce: false,
    first_party: true,
    allowed_origins: ['https://app.example', 'http://localhost:8080', 'http://[::1]:8080'],
    allowed_resources: ['https://api.example.com', 'urn:example:api'],
    allowed_networks: ['192.0.2.0/24', '2001:db8::/64'],
    access_token_lifetime: 60,
    refresh_token_idle_lifetime: 3600,
    refresh_token_lifetime: 34_560_000,
    refresh_token_rotation: false,
    refresh_token_retry_window: 0,
    software_id: '4NRB1-0XZABZI9E6-5SM3R',
    software_version: '2.1',
    rate_tier: 'gold',
    subject_type: 'pairwise',
    sector_identifier_uri: 'https://app.example/sector.json',
    id_token_signed_response_alg: 'ES256',
    userinfo_signed_response_alg: 'RS256',
    request_object_signing_alg: 'none',
    request_uris: ['https://app.example/request#of-today'],
    client_assertion_audience: 'endpoint',
    default_max_age: 0,
    require_auth_time: true,
    default_acr_values: ['1'],
    initiate_login_uri: 'https://app.example/login',
    post_logout_redirect_uris: ['https://app.example/signed-out'],
    backchannel_logout_uri: 'https://app.example/logout',
    backchannel_logout_session_required: true,
  }
  const client = read(everything)
  t.match(client, {
    clientId: 'my-app:1',
    scope: ['openid', 'offline_access', 'read', 'write'],
    jwks: { keys: [publicKey] },
    firstParty: true,
    refreshTokenRetryWindow: 0,
  })
  t.strictSame(formatClientMetadata(client), everything)
  t.same(
    [...Object.keys(everything), 'jwks_uri', 'token_endpoint_auth_signing_alg'].sort(),
    [...clientMetadataNames].sort(),
    'this test names every field',
  )
  t.equal(withWebApp({ jwks_uri: 'https://app.example/jwks' }).jwksUri, 'https://app.example/jwks')
})

t.test('RFC 7591 §2: only what is set is shown', async (t) => {
  t.strictSame(formatClientMetadata(withWebApp({})), {
    application_type: 'web',
    redirect_uris: ['https://app.example/cb'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    require_pkce: true,
    first_party: false,
    refresh_token_rotation: true,
    refresh_token_retry_window: 10,
  })
  const stored = { ...withWebApp({}), createdAt: 'yesterday', notBefore: undefined }
  t.notOk('created_at' in formatClientMetadata(stored) || 'createdAt' in formatClientMetadata(stored))
})

t.test('what is formatted can be read again, an API without grant types too', async (t) => {
  for (const input of [webApp, service, { grant_types: [] }]) {
    t.strictSame(read(formatClientMetadata(read(input))), read(input))
    t.strictSame(read(JSON.parse(JSON.stringify(formatClientMetadata(read(input))))), read(input))
  }
})

t.test('metadata is an object', async (t) => {
  for (const input of [undefined, null, 1, 'x', [], [webApp], true]) {
    t.throws(() => read(input), { code: 'invalid_client_metadata', reason: 'metadata_not_an_object' })
  }
})

t.test('an unknown name is refused, with a suggestion if one edit leads to a known one', async (t) => {
  refuses(t, { redirect_uri: ['https://app.example/cb'] }, 'redirect_uri is unknown. Did you mean redirect_uris?')
  refuses(t, { grant_type: ['authorization_code'] }, 'grant_type is unknown. Did you mean grant_types?')
  refuses(t, { socpe: 'read' }, 'socpe is unknown. Did you mean scope?')
  refuses(t, { required_pkce: true }, 'required_pkce is unknown.')
  refuses(t, { 'client_name#ja': 'x' }, 'client_name#ja is unknown.')
  refuses(t, { '\u001b[2J<b>': 'x' }, 'A field of the metadata is unknown.')
  refuses(t, { ['a'.repeat(100_000)]: 'x' }, 'A field of the metadata is unknown.')
})

t.test('attack 94: a field that the server owns is refused', async (t) => {
  for (const name of [
    'client_credentials_scopes',
    'skip_consent',
    'tenant_id',
    'is_first_party',
    'constructor',
    'prototype',
    'toString',
    'disabled_at',
    'disabledAt',
    'clientId',
    'created_at',
    'updated_at',
    'last_used_at',
    'not_before',
    'secrets',
    'client_id_issued_at',
    'client_secret_expires_at',
    'registration_access_token',
    'registration_client_uri',
  ]) {
    t.throws(() => withWebApp({ [name]: 'x' }), {
      code: 'invalid_client_metadata',
      message: new RegExp(`^${name} is `),
    })
    t.throws(() => withWebApp({ [name]: null }), { code: 'invalid_client_metadata' }, `${name}: null`)
    t.throws(() => mergeClientMetadata(withWebApp({}), { [name]: 'x' }, supported), { code: 'invalid_client_metadata' })
  }
  const polluted = JSON.parse('{"redirect_uris":["https://app.example/cb"],"__proto__":{"first_party":true}}')
  t.throws(() => read(polluted), { message: '__proto__ is unknown.' })
  t.throws(() => mergeClientMetadata(withWebApp({}), polluted, supported), { message: '__proto__ is unknown.' })
  t.equal(Object.getOwnPropertyDescriptor(Object.prototype, 'first_party'), undefined)
})

t.test('null is the same as not given', async (t) => {
  const nulls = Object.fromEntries(clientMetadataNames.map((name) => [name, null]))
  t.strictSame(read({ ...nulls, ...webApp }), read(webApp))
})

t.test('a value of the wrong type is refused, whatever the field', async (t) => {
  for (const name of clientMetadataNames) {
    for (const value of [Symbol('x'), { a: 1 }, [1], [[]], [null], Number.NaN, '\0', -1]) {
      t.throws(
        () => withWebApp({ [name]: value }),
        { code: 'invalid_client_metadata', message: new RegExp(`^${name} `) },
        name,
      )
    }
  }
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...clientMetadataNames), fc.jsonValue()), (fields) => {
        try {
          withWebApp(fields)
          return true
        } catch (error) {
          return error instanceof Error && /^Invalid(ClientMetadata|RedirectUri)Error$/.test(error.name)
        }
      }),
      { numRuns: 500 },
    ),
  )
})

t.test('client_id and client_secret may be brought along', async (t) => {
  t.equal(withWebApp({ client_id: 'https://app.example/client' }).clientId, 'https://app.example/client')
  t.equal(withWebApp({ client_id: 'a'.repeat(255) }).clientId?.length, 255)
  for (const client_id of ['', 'a'.repeat(256), 'a b', 'a\n', 'é', 'a\u007f', 1])
    refuses(t, { client_id }, /^client_id /)
  t.equal(withWebApp({ client_secret: 'with space and : and %' }).clientSecret, 'with space and : and %')
  for (const client_secret of ['', 'a'.repeat(513), 'a\n', 'é']) refuses(t, { client_secret }, /^client_secret /)
  refuses(t, { client_secret: 'x', token_endpoint_auth_method: 'none' }, /^client_secret has no use/)
})

t.test('attack 98: a name holds nothing invisible', async (t) => {
  t.equal(withWebApp({ client_name: '  My   app ' }).clientName, 'My app')
  t.equal(withWebApp({ client_name: 'Cafe\u0301 Ωmega 株式会社 👍' }).clientName, 'Café Ωmega 株式会社 👍')
  for (const client_name of [
    '',
    ' ',
    'a'.repeat(201),
    'a\u202eb',
    'a\u200bb',
    'a\u2066b',
    '\ufeffa',
    'a\u00adb',
    'a\nb',
    'a\0b',
    'a\u2028b',
    '\ud800',
    '\ue000',
  ]) {
    refuses(t, { client_name }, /^client_name /)
  }
})

t.test('attacks 95, 127: links are https, what is fetched is on a public host', async (t) => {
  const bad = [
    'javascript:alert(1)',
    'data:text/html,x',
    'http://app.example/',
    'https://u:p@app.example/',
    '//app.example',
    'https://',
    'https://app.example/ x',
    'https://[',
    'ftp://app.example',
    '',
  ]
  for (const name of ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'jwks_uri']) {
    for (const uri of bad) refuses(t, { [name]: uri }, new RegExp(`^${name} `))
  }
  for (const host of [
    'localhost',
    'localhost.',
    'LOCALHOST:8443',
    'a.localhost',
    'printer.local',
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '0',
    '10.0.0.1',
    '169.254.169.254',
    '192.168.1.1.',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[fd00::1]',
    '8.8.8.8',
  ]) {
    refuses(t, { jwks_uri: `https://${host}/jwks` }, 'jwks_uri names no public host.')
    refuses(t, { request_uris: [`https://${host}/r`] }, 'request_uris names no public host.')
    refuses(t, { logo_uri: `https://${host}/logo` }, 'logo_uri names no public host.')
  }
})

t.test('RFC 7591 §3.2.2: a redirect URI that may not be registered has its own error', async (t) => {
  for (const uri of [
    'http://app.example/cb',
    'https://*.example/cb',
    'javascript:x',
    'com.example.app:/cb',
    'myapp:/cb',
  ]) {
    refuses(t, { redirect_uris: [uri] }, /^The redirect URI /, 'invalid_redirect_uri')
  }
  t.throws(() => read({ redirect_uris: ['myapp:/cb'], application_type: 'native' }), { code: 'invalid_redirect_uri' })
  refuses(t, { redirect_uris: 'https://app.example/cb' }, /^redirect_uris /)
  refuses(t, { redirect_uris: Array.from({ length: 101 }, (_, i) => `https://app.example/${i}`) }, /^redirect_uris /)
  t.same(withWebApp({ redirect_uris: ['https://a.example/', 'https://a.example/'] }).redirectUris, [
    'https://a.example/',
  ])
})

t.test('RFC 7591 §2.1: grant types, response types and redirect URIs agree', async (t) => {
  t.throws(() => read({}), { code: 'invalid_client_metadata', message: /^redirect_uris is missing.*default/ })
  t.throws(() => read({ redirect_uris: [] }), { message: /^redirect_uris is missing/ })
  refuses(t, { grant_types: ['password'] }, /^grant_types .*authorization_code, refresh_token, client_credentials/)
  refuses(t, { grant_types: ['authorization_code', 'implicit'] }, /^grant_types /)
  refuses(t, { grant_types: 'authorization_code' }, /^grant_types /)
  refuses(t, { grant_types: ['refresh_token'] }, /^grant_types has refresh_token without/)
  refuses(t, { grant_types: ['client_credentials', 'refresh_token'] }, /^grant_types has refresh_token without/)
  refuses(t, { response_types: ['token'] }, /^response_types /)
  refuses(t, { response_types: ['code', 'id_token'] }, /^response_types /)
  refuses(t, { response_types: [] }, /^response_types has code if/)
  refuses(t, { grant_types: ['client_credentials'], response_types: ['code'] }, /^response_types has code if/)
  refuses(t, { application_type: 'spa' }, 'application_type is not one of web, native.')
})

t.test('RFC 6749 §4.4: client_credentials is for confidential clients', async (t) => {
  const grant_types = ['authorization_code', 'client_credentials']
  refuses(t, { grant_types, token_endpoint_auth_method: 'none' }, /^grant_types has client_credentials/)
  refuses(t, { grant_types, application_type: 'native' }, /^grant_types has client_credentials/)
  t.ok(withWebApp({ grant_types }))
})

t.test('RFC 9700 §2.1.1, §4.14.2: a public client has PKCE and rotation', async (t) => {
  for (const isPublic of [{ token_endpoint_auth_method: 'none' }, { application_type: 'native' }]) {
    refuses(t, { ...isPublic, require_pkce: false }, /^require_pkce /)
    refuses(t, { ...isPublic, refresh_token_rotation: false }, /^refresh_token_rotation /)
    t.ok(withWebApp({ ...isPublic, require_pkce: true, refresh_token_rotation: true }))
  }
  refuses(t, { require_pkce: 'false' }, /^require_pkce /)
  refuses(t, { first_party: 1 }, /^first_party /)
})

t.test('attack 67: only a method that the server has can be registered', async (t) => {
  refuses(t, { token_endpoint_auth_method: 'private_key_jwt' }, /client_secret_basic, client_secret_post, none/)
  const more = { ...supported, authenticationMethods: [...supported.authenticationMethods, 'private_key_jwt'] }
  const byKey = { ...webApp, token_endpoint_auth_method: 'private_key_jwt' }
  t.throws(() => readClientMetadata(byKey, more), { message: /^jwks or jwks_uri is needed/ })
  t.ok(readClientMetadata({ ...byKey, jwks: { keys: [publicKey] } }, more))
  t.throws(() => readClientMetadata({ ...byKey, jwks: { keys: [publicKey] }, client_secret: 'x' }, more), {
    message: /^client_secret has no use/,
  })
})

t.test('RFC 6749 §3.3: default and required scopes are among the registered', async (t) => {
  t.same(withWebApp({ scope: 'b a b' }).scope, ['b', 'a'])
  for (const name of ['scope', 'default_scope', 'required_scope']) {
    refuses(t, { [name]: 'a  b' }, new RegExp(`^${name} `))
    refuses(t, { [name]: 'a"b' }, new RegExp(`^${name} `))
    refuses(t, { [name]: ['a'] }, new RegExp(`^${name} `))
    refuses(t, { [name]: 'a'.repeat(8193) }, new RegExp(`^${name} `))
  }
  refuses(t, { scope: 'a', default_scope: 'a b' }, 'default_scope has a scope that is not in scope.')
  refuses(t, { required_scope: 'openid' }, 'required_scope has a scope that is not in scope.')
})

t.test('RFC 7517 §5: keys are public', async (t) => {
  for (const jwks of [
    null === undefined,
    'x',
    [],
    {},
    { keys: [] },
    { keys: {} },
    { keys: ['x'] },
    { keys: [{}] },
    { keys: [{ kty: 'oct', k: 'x' }] },
    { keys: [{ ...publicKey, d: 'x' }] },
    { keys: [publicKey, { kty: 'RSA', n: 'x', e: 'AQAB', p: 'x' }] },
    { keys: [{ ...publicKey, k: '' }] },
    { keys: Array(21).fill(publicKey) },
    { keys: [{ ...publicKey, x: 'x'.repeat(70_000) }] },
  ]) {
    refuses(t, { jwks }, /^jwks /)
  }
  refuses(t, { jwks: { keys: [publicKey] }, jwks_uri: 'https://app.example/jwks' }, /^jwks and jwks_uri exclude/)
})

t.test('attack 121: an allowed origin is exactly what a browser sends', async (t) => {
  for (const origin of [
    'null',
    '*',
    'https://*',
    'https://*.app.example',
    'https://app.example/',
    'https://app.example/x',
    'https://APP.example',
    'https://app.example:443',
    'http://app.example',
    'http://localhost.evil',
    'http://127.1',
    'app.example',
    'https://u@app.example',
    'https://app.example?x',
    'https://app.example#x',
    'https://bücher.example',
    'com.example.app://',
    'file://',
    '',
    ' https://app.example',
  ]) {
    refuses(t, { allowed_origins: [origin] }, /^allowed_origins /)
  }
  refuses(t, { allowed_origins: 'https://app.example' }, /^allowed_origins /)
  refuses(t, { allowed_origins: Array.from({ length: 51 }, (_, i) => `https://a${i}.example`) }, /^allowed_origins /)
})

t.test('allowed resources are identifiers, and an empty list is not "any"', async (t) => {
  refuses(t, { allowed_resources: [] }, /^allowed_resources is empty/)
  refuses(t, { allowed_resources: ['api'] }, /^allowed_resources /)
  refuses(t, { allowed_resources: ['https://api.example.com#x'] }, /^allowed_resources /)
})

t.test('lifetimes have bounds', async (t) => {
  const bounds = {
    access_token_lifetime: [60, 3600],
    refresh_token_idle_lifetime: [60, 34_560_000],
    refresh_token_lifetime: [60, 34_560_000],
    refresh_token_retry_window: [0, 86_400],
  }
  for (const [name, [minimum = 0, maximum = 0]] of Object.entries(bounds)) {
    for (const value of [minimum, maximum]) t.equal(formatClientMetadata(withWebApp({ [name]: value }))[name], value)
    for (const value of [minimum - 1, maximum + 1, minimum + 0.5, '600', Number.POSITIVE_INFINITY]) {
      refuses(t, { [name]: value }, new RegExp(`^${name} is not a whole number of seconds`))
    }
  }
  refuses(
    t,
    { refresh_token_idle_lifetime: 3601, refresh_token_lifetime: 3600 },
    'refresh_token_idle_lifetime is longer than refresh_token_lifetime.',
  )
})

t.test('RFC 7592 §2.2: an update', async (t) => {
  const before = withWebApp({
    client_id: 'app',
    client_name: 'App',
    scope: 'read write',
    default_scope: 'read',
    require_pkce: false,
    grant_types: ['authorization_code', 'refresh_token'],
    allowed_resources: ['https://api.example.com'],
  })
  const update = (patch: unknown) => mergeClientMetadata(before, patch, supported)

  t.test('changes what it names and nothing else', async (t) => {
    t.strictSame(update({}), before)
    t.strictSame(update({ client_name: 'New', first_party: true }), { ...before, clientName: 'New', firstParty: true })
    t.strictSame(update({ client_id: 'app' }), before)
  })

  t.test('null removes, so that the default holds again', async (t) => {
    const after = update({ client_name: null, require_pkce: null, allowed_resources: null, default_scope: null })
    t.strictSame(after, { ...before, clientName: undefined, requirePkce: true, allowedResources: [], defaultScope: [] })
  })

  t.test('the result is checked as a whole', async (t) => {
    t.throws(() => update({ scope: 'write' }), { message: 'default_scope has a scope that is not in scope.' })
    t.throws(() => update({ token_endpoint_auth_method: 'none' }), { message: /^require_pkce / })
    t.throws(() => update({ redirect_uris: null }), { message: /^redirect_uris is missing/ })
    t.throws(() => update({ redirect_uris: ['http://evil.tld'] }), { code: 'invalid_redirect_uri' })
    t.throws(() => update({ nmae: 'x' }), { message: 'nmae is unknown.' })
    t.throws(() => update(null), { code: 'invalid_client_metadata', reason: 'metadata_not_an_object' })
  })

  t.test('response types follow the grant types', async (t) => {
    t.match(update({ grant_types: ['client_credentials'] }), { responseTypes: [], grantTypes: ['client_credentials'] })
    t.throws(() => update({ grant_types: ['client_credentials'], response_types: ['code'] }), {
      message: /^response_types/,
    })
  })

  t.test('id and secret stay', async (t) => {
    t.throws(() => update({ client_id: 'other' }), { message: 'client_id cannot be changed.' })
    t.throws(() => update({ client_id: null }), { message: 'client_id cannot be changed.' })
    t.throws(() => update({ client_secret: 'x'.repeat(40) }), { message: /^client_secret is changed by rotating/ })
  })
})

t.test('OIDC Core §8.1: pairwise subjects of several hosts need a sector', async (t) => {
  const two = ['https://app.example/cb', 'https://other.example/cb']
  refuses(t, { subject_type: 'pairwise', redirect_uris: two }, /^sector_identifier_uri is needed/)
  const sector = 'https://app.example/sector.json'
  t.ok(withWebApp({ subject_type: 'pairwise', redirect_uris: two, sector_identifier_uri: sector }))
  t.ok(withWebApp({ subject_type: 'pairwise' }))
  t.ok(withWebApp({ subject_type: 'public', redirect_uris: two }))
})

t.test('OIDC Core §8.1: no sector is claimed by a redirect URI that proves no host', async (t) => {
  for (const uri of ['com.evil.app://victim.example/cb', 'com.evil.app:/cb', 'http://127.0.0.1/cb']) {
    const native = { application_type: 'native', subject_type: 'pairwise', redirect_uris: [uri] }
    refuses(t, native, /^sector_identifier_uri is needed/)
    t.ok(withWebApp({ ...native, sector_identifier_uri: 'https://app.example/sector.json' }), uri)
    t.ok(withWebApp({ ...native, subject_type: 'public' }), uri)
  }
})

t.test('OpenID Connect: what has no use is refused', async (t) => {
  refuses(t, { token_endpoint_auth_signing_alg: 'ES256' }, /^token_endpoint_auth_signing_alg has no use/)
  refuses(t, { backchannel_logout_session_required: true }, /^backchannel_logout_session_required has no use/)
  refuses(t, { id_token_signed_response_alg: 'HS256' }, /^id_token_signed_response_alg /)
  refuses(t, { id_token_signed_response_alg: 'none' }, /^id_token_signed_response_alg /)
  refuses(t, { default_acr_values: ['a b'] }, /^default_acr_values /)
  refuses(t, { default_max_age: -1 }, /^default_max_age /)
  refuses(t, { backchannel_logout_uri: 'https://127.0.0.1/logout' }, 'backchannel_logout_uri names no public host.')
})

t.test('attack 12: a post-logout redirect URI is as strict as a redirect URI', async (t) => {
  for (const uri of [
    'javascript:alert(1)',
    'http://app.example/out',
    'https://app.example/*',
    'https://app.example/#a',
  ]) {
    refuses(t, { post_logout_redirect_uris: [uri] }, /^The redirect URI /, 'invalid_redirect_uri')
  }
})
