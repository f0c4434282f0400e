import * as client from 'openid-client'
import t from 'tap'
import { launch, skip, visitInChromium } from '../browser/chromium.js'
import { serve } from '../support/application.js'
import { TestBrowser } from '../support/browser.js'
import { createJwksHost } from '../support/client-keys.js'
import { visit } from '../support/relying-party.js'
import { createRunningServer } from '../support/running-server.js'
import type { TestServer } from '../support/server.js'

const redirectUri = 'https://app.example/cb'
const afterLogout = 'https://app.example/signed-out'
/** Plain http is for loopback alone; the library has to be told. It checks signatures where it is told, too. */
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]

const webApplication = {
  redirect_uris: [redirectUri],
  post_logout_redirect_uris: [afterLogout],
  grant_types: ['authorization_code', 'refresh_token'],
  scope: 'openid profile email orders:read orders:write',
}

const issuerOf = (server: TestServer): URL => new URL(server.ctx.config.server.issuer)

/** A login that was begun: where the user is sent, and what the answer has to fit. */
async function begin(
  config: client.Configuration,
  parameters: Record<string, string> = {},
  build: (
    config: client.Configuration,
    parameters: Record<string, string>,
  ) => URL | Promise<URL> = client.buildAuthorizationUrl,
) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  // Where no ID token is asked for, no nonce is.
  const identifies = parameters['scope'] === undefined || /\bopenid\b/.test(parameters['scope'])
  const nonce = identifies ? { expectedNonce: client.randomNonce() } : {}
  const address = await build(config, {
    redirect_uri: redirectUri,
    scope: 'openid profile email',
    state: expectedState,
    ...(nonce.expectedNonce === undefined ? {} : { nonce: nonce.expectedNonce }),
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...parameters,
  })
  return { address, checks: { pkceCodeVerifier, expectedState, ...nonce } }
}

/** The error code that the library read from the answer. */
async function refusal(request: Promise<unknown>): Promise<string | undefined> {
  const thrown: unknown = await request.then(
    () => undefined,
    (error) => error,
  )
  const isAnswer = thrown instanceof client.ResponseBodyError || thrown instanceof client.AuthorizationResponseError
  return isAnswer ? thrown.error : undefined
}

t.test('openid-client, from the issuer alone: login, ID token, UserInfo, refresh, logout', async (t) => {
  const server = await createRunningServer(t)
  const { clientId, clientSecret } = await server.createClient(webApplication)
  const user = await server.createUser()
  const config = await client.discovery(issuerOf(server), clientId, undefined, client.ClientSecretBasic(clientSecret), {
    execute,
  })
  const browser = new TestBrowser(server)
  for (const responseMode of ['query', 'form_post']) {
    const { address, checks } = await begin(config, { response_mode: responseMode, prompt: 'login', max_age: '60' })
    const answer = await visit(server, address, user, { browser })
    t.equal(answer instanceof Request ? 'form_post' : 'query', responseMode)
    const tokens = await client.authorizationCodeGrant(config, answer, { ...checks, maxAge: 60 })
    t.match(tokens, { token_type: 'bearer', expires_in: 600, scope: 'openid profile email' })
    t.match(tokens.claims(), { sub: user.id, iss: issuerOf(server).origin, aud: clientId })

    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token!)
    const userInfo = await client.fetchUserInfo(config, refreshed.access_token, user.id)
    t.match(userInfo, { sub: user.id, name: 'Ada', email: user.email })

    const parameters = { id_token_hint: tokens.id_token!, post_logout_redirect_uri: afterLogout, state: 'over' }
    const question = await browser.open(client.buildEndSessionUrl(config, parameters).href)
    const { left } = await browser.submit(question, {}, { button: 'logout-yes' })
    t.equal(left?.href, `${afterLogout}?state=over`)
    t.equal(await refusal(client.refreshTokenGrant(config, refreshed.refresh_token!)), 'invalid_grant')
  }
})

t.test('openid-client in a real browser: login by query and by form_post, logout', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const origin = await serve(t, (_request, response) => response.end('The application'))
  const [redirectUri, afterLogout] = [`${origin}/cb`, `${origin}/signed-out`]
  const uris = { redirect_uris: [redirectUri], post_logout_redirect_uris: [afterLogout] }
  const { clientId, clientSecret } = await server.createClient({ ...webApplication, ...uris })
  const user = await server.createUser()
  const auth = client.ClientSecretBasic(clientSecret)
  const config = await client.discovery(issuerOf(server), clientId, undefined, auth, { execute })
  const tab = await (await launch(t)).newPage()
  for (const responseMode of ['query', 'form_post']) {
    const { address, checks } = await begin(config, {
      ...{ redirect_uri: redirectUri, response_mode: responseMode, prompt: 'login' },
    })
    // Once it is remembered.
    const consents = responseMode === 'query'
    const answer = await visitInChromium(tab, address, user, { redirectUri, consents })
    t.equal(answer instanceof Request ? 'form_post' : 'query', responseMode)
    const tokens = await client.authorizationCodeGrant(config, answer, checks)
    t.equal(tokens.claims()?.sub, user.id)

    const parameters = { id_token_hint: tokens.id_token!, post_logout_redirect_uri: afterLogout, state: 'over' }
    await tab.goto(client.buildEndSessionUrl(config, parameters).href)
    await tab.click('#logout-yes')
    await tab.waitForURL(`${afterLogout}?state=over`)
    t.equal(await refusal(client.refreshTokenGrant(config, tokens.refresh_token!)), 'invalid_grant')
  }
})

t.test('openid-client: the implicit flow, where it is on (OIDC Core §3.2)', async (t) => {
  const server = await createRunningServer(t, { env: { IMPLICIT: 'on' } })
  const { clientId, clientSecret } = await server.createClient({
    ...{ ...webApplication, grant_types: ['implicit'], response_types: ['id_token'] },
  })
  const user = await server.createUser()
  const config = await client.discovery(issuerOf(server), clientId, undefined, client.ClientSecretBasic(clientSecret), {
    execute: [...execute, client.useIdTokenResponseType],
  })
  const browser = new TestBrowser(server)
  for (const responseMode of ['fragment', 'form_post']) {
    const [expectedNonce, expectedState] = [client.randomNonce(), client.randomState()]
    const address = client.buildAuthorizationUrl(config, {
      ...{ redirect_uri: redirectUri, scope: 'openid profile email', response_mode: responseMode },
      ...{ nonce: expectedNonce, state: expectedState },
    })
    const answer = await visit(server, address, user, { browser })
    t.equal(answer instanceof Request ? 'form_post' : 'fragment', responseMode)
    const claims = await client.implicitAuthentication(config, answer, expectedNonce, { expectedState })
    t.match(claims, { sub: user.id, iss: issuerOf(server).origin, aud: clientId, name: 'Ada', email: user.email })
  }
})

t.test('openid-client: OAuth alone (RFC 8414), introspection and revocation', async (t) => {
  const server = await createRunningServer(t)
  await server.createResource('https://api.example.com', 'orders:read orders:write')
  const { clientId, clientSecret } = await server.createClient(webApplication)
  const user = await server.createUser()
  const auth = client.ClientSecretBasic(clientSecret)
  const config = await client.discovery(issuerOf(server), clientId, undefined, auth, { algorithm: 'oauth2', execute })
  const { address, checks } = await begin(config, { scope: 'orders:read' })
  const tokens = await client.authorizationCodeGrant(config, await visit(server, address, user), checks)
  t.match(tokens, { scope: 'orders:read', token_type: 'bearer', expires_in: 600 })
  t.equal(tokens.id_token, undefined)
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
  const { clientId, clientSecret } = await server.createService()
  const auth = client.ClientSecretBasic(clientSecret)
  const config = await client.discovery(issuerOf(server), clientId, clientSecret, auth, { execute })
  t.match(await client.clientCredentialsGrant(config), { token_type: 'bearer' })
})

t.test('openid-client: a login that the user refuses', async (t) => {
  const server = await createRunningServer(t)
  const { clientId } = await server.createClient({ ...webApplication, token_endpoint_auth_method: 'none' })
  const user = await server.createUser()
  const config = await client.discovery(issuerOf(server), clientId, undefined, client.None(), { execute })
  const { address, checks } = await begin(config)
  const answer = await visit(server, address, user, { consent: 'consent-deny' })
  t.equal(await refusal(client.authorizationCodeGrant(config, answer, checks)), 'access_denied')
})

t.test('openid-client: private_key_jwt by jwks_uri, and its own request object', async (t) => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), kid: 'first', use: 'sig', key_ops: ['verify'] }
  const host = createJwksHost([jwk])
  const server = await createRunningServer(t, { outbound: host.outbound })
  const { clientId } = await server.createClient({
    ...webApplication,
    first_party: true,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://client.example.com/jwks',
  })
  const user = await server.createUser()
  const signer = { key: privateKey, kid: 'first' }
  const auth = client.PrivateKeyJwt(signer)
  const config = await client.discovery(issuerOf(server), clientId, undefined, auth, { execute })
  const { address, checks } = await begin(config, {}, (config, parameters) =>
    client.buildAuthorizationUrlWithJAR(config, parameters, signer),
  )
  t.same([...address.searchParams.keys()].sort(), ['client_id', 'request'])
  const tokens = await client.authorizationCodeGrant(config, await visit(server, address, user), checks)
  t.equal(tokens.claims()?.sub, user.id)
  t.equal(host.asked.length, 1, 'the keys were asked for once')
})

t.test('openid-client registers by itself, and logs somebody in', async (t) => {
  const server = await createRunningServer(t, { env: { REGISTRATION: 'open' } })
  const user = await server.createUser()
  for (const [method, alg, authenticate] of [
    ['client_secret_basic', 'RS256', client.ClientSecretBasic],
    ['client_secret_post', 'EdDSA', client.ClientSecretPost],
    ['none', 'ES256', client.None],
  ] as const) {
    const own = {
      token_endpoint_auth_method: method,
      id_token_signed_response_alg: alg,
      userinfo_signed_response_alg: alg,
    }
    const metadata = { client_name: 'Notes', redirect_uris: [redirectUri], scope: 'openid profile email', ...own }
    const config = await client.dynamicClientRegistration(issuerOf(server), metadata, authenticate(), { execute })
    t.match(config.clientMetadata(), own)
    const { address, checks } = await begin(config)
    const tokens = await client.authorizationCodeGrant(config, await visit(server, address, user), checks)
    t.equal(tokens.claims()?.sub, user.id)
    const userInfo = await client.fetchUserInfo(config, tokens.access_token, user.id)
    t.match(userInfo, { sub: user.id, email: user.email }, 'signed, too')
  }
})
