import t from 'tap'
import { ConfigError, loadConfig } from '../../../../src/platform/config/index.js'

t.test('registration is off, and says nothing then of what it would allow', async (t) => {
  const { config, warnings } = loadConfig({ env: { REGISTRATION_SCOPES: 'openid' } })
  t.match(config.registration, { mode: 'off', redirectHosts: [], quota: 100, unusedDays: 30 })
  t.same(warnings, [])
})

t.test(
  'unsigned requests and requests without PKCE are shown also where registration is off: clients that are left may send them',
  async (t) => {
    for (const more of [{}, { CLIENT_ID_METADATA_DOCUMENTS: 'on' }]) {
      const { warnings } = loadConfig({ env: { REGISTRATION: 'off', REGISTRATION_UNSIGNED_REQUESTS: 'on', ...more } })
      t.match(warnings, [/REGISTRATION_UNSIGNED_REQUESTS is on.*OIDC Core/])
      t.equal(warnings.length, 1)
    }
    const { warnings } = loadConfig({ env: { REGISTRATION: 'off', REGISTRATION_REQUIRE_PKCE: 'off' } })
    t.match(warnings, [/REGISTRATION_REQUIRE_PKCE is off.*RFC 9700/])
  },
)

t.test('lists are read, and exemptions from PKCE and from signatures are shown', async (t) => {
  const { config, warnings } = loadConfig({
    env: {
      REGISTRATION: 'open',
      REGISTRATION_SCOPES: 'openid orders:read',
      REGISTRATION_GRANT_TYPES: 'authorization_code',
      REGISTRATION_REDIRECT_HOSTS: 'App.example *.apps.example com.example.app: 127.0.0.1 [::1]',
      REGISTRATION_REQUIRE_PKCE: 'off',
      REGISTRATION_UNSIGNED_REQUESTS: 'on',
    },
  })
  t.match(config.registration, {
    scopes: ['openid', 'orders:read'],
    grantTypes: ['authorization_code'],
    redirectHosts: ['app.example', '*.apps.example', 'com.example.app:', '127.0.0.1', '[::1]'],
    requirePkce: false,
    unsignedRequests: true,
  })
  t.match(warnings, [/REGISTRATION_REQUIRE_PKCE is off.*RFC 9700/, /REGISTRATION_UNSIGNED_REQUESTS is on.*OIDC Core/])
})

t.test('what is no host or scope is refused', async (t) => {
  for (const [name, value] of [
    ['REGISTRATION', 'on'],
    ['REGISTRATION_SCOPES', 'openid "x"'],
    ['REGISTRATION_REDIRECT_HOSTS', 'https://app.example/'],
    ['REGISTRATION_REDIRECT_HOSTS', '*'],
    ['REGISTRATION_REDIRECT_HOSTS', 'app.example:8443'],
    ['REGISTRATION_QUOTA', '0'],
  ] as const) {
    t.throws(() => loadConfig({ env: { [name]: value } }), ConfigError, `${name}=${value}`)
  }
})
