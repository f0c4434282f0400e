import * as oauth from 'oauth4webapi'
import t, { type Test } from 'tap'
import { createInitialAccessToken } from '../../src/protocol/registration/index.js'
import { launch, skip, visitInChromium } from '../browser/chromium.js'
import { serve } from '../support/application.js'
import { visit, visitByQuery } from '../support/relying-party.js'
import { createRunningServer } from '../support/running-server.js'
import type { TestClient, TestServer } from '../support/server.js'

/** Plain http is for loopback alone; the library has to be told. */
const insecure = { [oauth.allowInsecureRequests]: true }
const redirectUri = 'https://app.example/cb'
const api = 'https://api.example.com'

async function discover(
  server: TestServer,
  algorithm: 'oauth2' | 'oidc' = 'oauth2',
): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(server.ctx.config.server.issuer)
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
  return oauth.processDiscoveryResponse(issuer, response)
}

interface CodeFlow {
  readonly redirectUri?: string
  /** By whom the user goes where the client sends them; otherwise a browser of the tests. */
  readonly visit?: typeof visitByQuery
}

async function codeFlow(
  t: Test,
  clientAuth: (client: TestClient) => oauth.ClientAuth,
  metadata: object,
  { redirectUri: callback = redirectUri, visit = visitByQuery }: CodeFlow = {},
) {
  const server = await createRunningServer(t)
  await server.createResource(api, 'orders:read orders:write')
  const registered = await server.createClient({
    redirect_uris: [callback],
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
    redirect_uri: callback,
    scope: 'orders:read orders:write offline_access',
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })) {
    address.searchParams.set(name, value)
  }
  const answer = await visit(server, address, await server.createUser())
  const parameters = oauth.validateAuthResponse(as, client, answer, state)
  const reply = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, callback, verifier, insecure)
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

t.test('oauth4webapi in a real browser', { skip }, async (t) => {
  const redirectUri = `${await serve(t, (_request, response) => response.end('The application'))}/cb`
  const tab = await (await launch(t)).newPage()
  const visit: typeof visitByQuery = async (_server, address, person) => {
    const answer = await visitInChromium(tab, address, person, { redirectUri })
    if (answer instanceof Request) throw new Error('the answer is a form')
    return answer
  }
  const auth = ({ clientSecret }: TestClient) => oauth.ClientSecretBasic(clientSecret)
  const { tokens } = await codeFlow(t, auth, {}, { redirectUri, visit })
  t.match(tokens, { refresh_token: /./, scope: 'orders:read orders:write offline_access' })
  await tab.waitForURL(`${redirectUri}?*`)
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

t.test('oauth4webapi: private_key_jwt, and a request object', async (t) => {
  for (const alg of ['ES256', 'RS256', 'PS256']) {
    const { privateKey, publicKey } = await oauth.generateKeyPair(alg, { extractable: true })
    const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), alg, use: 'sig', kid: 'first' }
    const signer = { key: privateKey, kid: 'first' }
    const { as, client, auth, tokens, server } = await codeFlow(t, () => oauth.PrivateKeyJwt(signer), {
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [jwk] },
    })
    const again = await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token!, insecure)
    t.ok((await oauth.processRefreshTokenResponse(as, client, again)).access_token, alg)

    const state = oauth.generateRandomState()
    const verifier = oauth.generateRandomCodeVerifier()
    const parameters = new URLSearchParams({
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'orders:read',
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    })
    const address = new URL(as.authorization_endpoint!)
    address.searchParams.set('client_id', client.client_id)
    address.searchParams.set('request', await oauth.issueRequestObject(as, client, parameters, signer))
    const answered = await visitByQuery(server, address, await server.createUser('grace@example.com'))
    const answer = oauth.validateAuthResponse(as, client, answered, state)
    const reply = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirectUri, verifier, insecure)
    t.match(await oauth.processAuthorizationCodeResponse(as, client, reply), { scope: 'orders:read' })
  }
})

t.test(
  'oauth4webapi registers with a token (RFC 7591), logs somebody in by form_post, and checks who it is',
  async (t) => {
    const server = await createRunningServer(t, { env: { REGISTRATION: 'token' } })
    const user = await server.createUser()
    const as = await discover(server, 'oidc')
    const metadata = { client_name: 'Notes', redirect_uris: [redirectUri], scope: 'openid email' }
    const { value } = await createInitialAccessToken(server.ctx, { maxUses: 1, lifetime: 60 }, { actor: 'operator' })
    const sent = { initialAccessToken: value, ...insecure }
    const registration = await oauth.dynamicClientRegistrationRequest(as, metadata, sent)
    const client = await oauth.processDynamicClientRegistrationResponse(registration)
    t.match(client, { client_id: /^[0-9a-f-]{36}$/, client_secret: /./, client_secret_expires_at: 0 })
    const again = await oauth.dynamicClientRegistrationRequest(as, metadata, sent)
    await t.rejects(oauth.processDynamicClientRegistrationResponse(again), oauth.WWWAuthenticateChallengeError)

    const [state, nonce, verifier] = [
      oauth.generateRandomState(),
      oauth.generateRandomNonce(),
      oauth.generateRandomCodeVerifier(),
    ]
    const address = new URL(as.authorization_endpoint!)
    address.search = new URLSearchParams({
      response_type: 'code',
      response_mode: 'form_post',
      client_id: client.client_id,
      redirect_uri: redirectUri,
      scope: 'openid email',
      ...{ state, nonce, max_age: '600' },
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }).toString()
    const posted = (await visit(server, address, user)) as Request
    t.equal(posted.method, 'POST')
    const form = new URLSearchParams(await posted.text())
    const answer = oauth.validateAuthResponse(as, client, form, state)
    const auth = oauth.ClientSecretBasic(String(client['client_secret']))
    const reply = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirectUri, verifier, insecure)
    const demands = { expectedNonce: nonce, maxAge: 600, requireIdToken: true }
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, reply, demands)
    await oauth.validateApplicationLevelSignature(as, reply, insecure)
    const { sub = '' } = oauth.getValidatedIdTokenClaims(tokens) ?? {}
    t.equal(sub, user.id)
    const userInfo = await oauth.userInfoRequest(as, client, tokens.access_token, insecure)
    t.match(await oauth.processUserInfoResponse(as, client, sub, userInfo), { sub, email: user.email })
  },
)
