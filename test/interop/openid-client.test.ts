import * as client from 'openid-client'
import t from 'tap'
import { TestBrowser } from '../support/browser.js'
import { createRunningServer } from '../support/running-server.js'

const redirectUri = 'https://app.example/cb'

/** The error code that the library read from the answer. */
async function refusal(request: Promise<unknown>): Promise<string | undefined> {
  const thrown: unknown = await request.then(
    () => undefined,
    (error) => error,
  )
  const isAnswer = thrown instanceof client.ResponseBodyError || thrown instanceof client.AuthorizationResponseError
  return isAnswer ? thrown.error : undefined
}

t.test('openid-client: login by authorization code with PKCE, refresh, introspection and revocation', async (t) => {
  const server = await createRunningServer(t)
  await server.createResource('https://api.example.com', 'orders:read orders:write')
  const registered = await server.createClient({
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'orders:read orders:write',
  })
  const user = await server.createUser()

  const config = await client.discovery(
    new URL(server.ctx.config.server.issuer),
    registered.clientId,
    undefined,
    client.ClientSecretBasic(registered.clientSecret),
    { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
  )
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'orders:read',
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })

  const browser = new TestBrowser(server)
  const login = await browser.open(address.href)
  const consent = await browser.submit(
    login,
    { username: user.email, password: user.password },
    { button: 'login-submit' },
  )
  const { left } = await browser.submit(consent, {}, { button: 'consent-allow' })

  const tokens = await client.authorizationCodeGrant(config, left!, { pkceCodeVerifier, expectedState })
  t.match(tokens, { scope: 'orders:read', token_type: 'bearer', expires_in: 600 })
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token!)
  t.match(await client.tokenIntrospection(config, refreshed.access_token), { active: true, scope: 'orders:read' })
  await client.tokenRevocation(config, refreshed.access_token)
  t.match(await client.tokenIntrospection(config, refreshed.access_token), { active: false })
  t.equal(
    await refusal(client.refreshTokenGrant(config, tokens.refresh_token!, { scope: 'orders:write' })),
    'invalid_grant',
  )
})

t.test('openid-client: client credentials', async (t) => {
  const server = await createRunningServer(t)
  const service = await server.createService()
  const config = await client.discovery(
    new URL(server.ctx.config.server.issuer),
    service.clientId,
    service.clientSecret,
    client.ClientSecretBasic(service.clientSecret),
    { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
  )
  t.match(await client.clientCredentialsGrant(config), { token_type: 'bearer' })
})

t.test('openid-client: a login that the user refuses', async (t) => {
  const server = await createRunningServer(t)
  const registered = await server.createClient({ redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' })
  const user = await server.createUser()
  const config = await client.discovery(
    new URL(server.ctx.config.server.issuer),
    registered.clientId,
    undefined,
    client.None(),
    { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
  )
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const browser = new TestBrowser(server)
  const login = await browser.open(address.href)
  const consent = await browser.submit(
    login,
    { username: user.email, password: user.password },
    { button: 'login-submit' },
  )
  const { left } = await browser.submit(consent, {}, { button: 'consent-deny' })
  t.equal(
    await refusal(client.authorizationCodeGrant(config, left!, { pkceCodeVerifier, expectedState })),
    'access_denied',
  )
})
