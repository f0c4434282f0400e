import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Test } from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { authorize, redirectUri, signedIn } from './authorization.js'
import type { TestBrowser } from './browser.js'
import { issueCode, verifier } from './grants.js'
import type { Received, Receiver } from './receiver.js'
import {
  createTestServer,
  sql,
  type TestClient,
  type TestServer,
  type TestServerOptions,
  testIssuer,
} from './server.js'

export const afterLogout = 'https://app.example/signed-out'

/** By the names of RFC 7591, for an application that logs people in and out. */
export const relyingParty = {
  scope: 'openid email offline_access',
  grant_types: ['authorization_code', 'refresh_token'],
  post_logout_redirect_uris: [afterLogout],
} as const

/** A server with somebody who is signed in at an application, and the tokens that it got. */
export async function openLogoutScene(t: Test, options: TestServerOptions = {}) {
  const server = await createTestServer(t, options)
  const user = await server.createUser('ada@example.com')
  const client = await server.createClient({ ...relyingParty, client_name: 'Acme Notes' })
  return { server, user, client }
}

export interface IdTokens {
  readonly access_token: string
  readonly id_token: string
  readonly refresh_token: string
}

/** What an application gets by a login in this browser. */
export async function idTokensFor(
  server: TestServer,
  client: TestClient,
  person: { readonly email: string; readonly password: string },
  browser?: TestBrowser,
  scope = 'openid',
): Promise<IdTokens> {
  const { code = '' } = await authorize(server, client, person, { scope }, browser)
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  const reply = await server.post('/token', form, { authorization: client.basic })
  if (reply.statusCode !== 200) throw new Error(`no tokens: ${reply.body}`)
  return reply.json()
}

/** A browser in which the person is signed in, and what this application got there. */
export async function signedInAt(
  server: TestServer,
  client: TestClient,
  person: { readonly email: string; readonly password: string },
) {
  const browser = await signedIn(server, person)
  return { browser, tokens: await idTokensFor(server, client, person, browser) }
}

/** The same as it lies in the database, without pages: the `sid` of a session in which these clients have got ID tokens. */
export async function sessionAt(
  server: TestServer,
  [first, ...others]: readonly [TestClient, ...TestClient[]],
  userId: string,
): Promise<string> {
  const { sid } = await issueCode(server, first, userId, { scope: ['openid'] })
  const columns =
    'bucket, user_id, session_bucket, session_id, scope, resources, offline, auth_time, created_at, expires_at'
  for (const { clientId } of others) {
    await sql(
      server,
      `INSERT INTO authorization_grant (id, client_id, ${columns})
       SELECT gen_random_uuid(), $2, ${columns} FROM authorization_grant WHERE session_id = $1 LIMIT 1`,
      [sid, clientId],
    )
  }
  return sid
}

/** The address of a request to sign out; undefined leaves a parameter out. */
export function logoutUrl(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return `/logout?${new URLSearchParams(given)}`
}

export const claimsOfToken = (token: string): Record<string, string> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

/** A server that may ask these receivers, and what delivers. */
export async function openTellingClients(t: Test, receivers: readonly Receiver[], options: TestServerOptions = {}) {
  const allow = receivers.map(({ url }) => new URL(url).host).join(' ')
  const scene = await openLogoutScene(t, { ...options, env: { OUTBOUND_ALLOW: allow, ...options.env } })
  const delivery = createDelivery(scene.server.ctx)
  t.teardown(() => delivery.stop())
  return { ...scene, delivery }
}

export const waitingLogouts = (server: TestServer) =>
  sql(
    server,
    `SELECT destination, payload, attempts, last_error FROM outbox WHERE kind = 'logout' ORDER BY destination`,
  )

/** What a relying party checks. Back-Channel Logout §2.6 */
export async function verifyLogout(server: TestServer, { clientId }: TestClient, { body }: Received) {
  const [token = ''] = new URLSearchParams(body).getAll('logout_token')
  const jwks = (await server.get('/jwks')).json()
  return jwtVerify(token, createLocalJWKSet(jwks), {
    issuer: testIssuer,
    audience: clientId,
    typ: 'logout+jwt',
    requiredClaims: ['iss', 'aud', 'iat', 'exp', 'jti', 'events'],
    currentDate: server.clock.now(),
  })
}
