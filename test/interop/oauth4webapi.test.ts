import * as oauth from 'oauth4webapi'
import t, { type Test } from 'tap'
import { TestBrowser } from '../support/browser.js'
import { createRunningServer } from '../support/running-server.js'
import type { TestClient, TestServer } from '../support/server.js'

/** Plain http is for loopback alone; the library has to be told. */
const insecure = { [oauth.allowInsecureRequests]: true }
const redirectUri = 'https://app.example/cb'
const api = 'https://api.example.com'

async function discover(server: TestServer): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(server.ctx.config.server.issuer)
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
  return oauth.processDiscoveryResponse(issuer, response)
}

/** Login and consent, to the address at the client. */
async function visit(server: TestServer, address: URL): Promise<URL> {
  const user = await server.createUser()
  const browser = new TestBrowser(server)
  const login = await browser.open(address.href)
  const consent = await browser.submit(
    login,
    { username: user.email, password: user.password },
    { button: 'login-submit' },
  )
  const done = await browser.submit(consent, {}, { button: 'consent-allow' })
  if (!done.left) throw new Error(`did not reach the client: ${done.text.slice(0, 500)}`)
  return done.left
}

async function codeFlow(t: Test, clientAuth: (client: TestClient) => oauth.ClientAuth, metadata: object) {
  const server = await createRunningServer(t)
  await server.createResource(api, 'orders:read orders:write')
  const registered = await server.createClient({
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'orders:read orders:write offline_access',
    ...metadata,
  })
  const as = await discover(server)
  const client: oauth.Client = { client_id: registered.clientId }
  const auth = clientAuth(registered)
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const address = new URL(as.authorization_endpoint!)
  for (const [name, value] of Object.entries({
    response_type: 'code',
    client_id: registered.clientId,
    redirect_uri: redirectUri,
    scope: 'orders:read orders:write offline_access',
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })) {
    address.searchParams.set(name, value)
  }
  const parameters = oauth.validateAuthResponse(as, client, await visit(server, address), state)
  const reply = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, redirectUri, verifier, insecure)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, reply)
  return { server, as, client, auth, tokens }
}

t.test('oauth4webapi: a web application from discovery to revocation', async (t) => {
  const { as, client, auth, tokens, server } = await codeFlow(
    t,
    ({ clientSecret }) => oauth.ClientSecretBasic(clientSecret),
    {},
  )
  t.match(tokens, { token_type: 'bearer', expires_in: 600, scope: 'orders:read orders:write offline_access' })

  const request = new Request('https://api.example.com/orders', {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  })
  const claims = await oauth.validateJwtAccessToken(as, request, api, insecure)
  t.match(claims, { iss: as.issuer, aud: api, client_id: client.client_id, scope: tokens.scope }, 'a JWT by RFC 9068')

  const again = await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token!, insecure)
  const refreshed = await oauth.processRefreshTokenResponse(as, client, again)
  t.not(refreshed.refresh_token, tokens.refresh_token, 'rotated')

  const introspect = async (token: string) =>
    oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, token, insecure))
  t.match(await introspect(refreshed.access_token), { active: true, sub: claims.sub })
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, auth, refreshed.refresh_token!, insecure),
  )
  t.same(await introspect(refreshed.access_token), { active: false }, 'the access tokens end with the refresh token')
  t.match(await server.audit('grant.revoked'), [{ reason: 'revoked_by_client' }])
})

t.test('oauth4webapi: client_secret_post', async (t) => {
  const { tokens } = await codeFlow(t, ({ clientSecret }) => oauth.ClientSecretPost(clientSecret), {
    token_endpoint_auth_method: 'client_secret_post',
  })
  t.ok(tokens.refresh_token)
})

t.test('oauth4webapi: a public client', async (t) => {
  const { tokens } = await codeFlow(t, () => oauth.None(), { token_endpoint_auth_method: 'none' })
  t.ok(tokens.refresh_token)
})

t.test('oauth4webapi: client credentials with a resource', async (t) => {
  const server = await createRunningServer(t)
  await server.createResource(api, 'orders:read')
  const service = await server.createService('orders:read')
  const as = await discover(server)
  const client: oauth.Client = { client_id: service.clientId }
  const reply = await oauth.clientCredentialsGrantRequest(
    as,
    client,
    oauth.ClientSecretBasic(service.clientSecret),
    { scope: 'orders:read', resource: api },
    insecure,
  )
  t.match(await oauth.processClientCredentialsResponse(as, client, reply), { scope: 'orders:read' })

  const wrong = await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic('wrong'), {}, insecure)
  await t.rejects(oauth.processClientCredentialsResponse(as, client, wrong), {
    status: 401,
    code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE',
  })
})
