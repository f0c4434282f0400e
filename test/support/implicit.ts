import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { authorizationUrl, logIn, type Person } from './authorization.js'
import { TestBrowser, type TestPage } from './browser.js'
import { type TestClient, type TestServer, testIssuer } from './server.js'

/** With it clients may be registered for the implicit flow. */
export const implicitOn = { IMPLICIT: 'on' }

/** By the names of RFC 7591, for an application that is registered for nothing else. */
export const implicitClient = {
  grant_types: ['implicit'],
  response_types: ['id_token', 'id_token token'],
  scope: 'openid profile email offline_access',
} as const

type Parameters = Readonly<Record<string, string | readonly string[] | undefined>>

/** The address of a request of the implicit flow that is right in every part, but for what is given; undefined leaves it out. */
export function implicitUrl(client: Pick<TestClient, 'clientId'>, parameters: Parameters = {}): string {
  return authorizationUrl(client, {
    ...{ response_type: 'id_token token', scope: 'openid', nonce: 'the nonce' },
    ...{ code_challenge: undefined, code_challenge_method: undefined },
    ...parameters,
  })
}

/** Request, login and consent to everything; gives where the browser was sent. */
export async function authorizeImplicitly(
  server: TestServer,
  client: Pick<TestClient, 'clientId'>,
  person: Person,
  parameters: Parameters = {},
  browser = new TestBrowser(server),
): Promise<TestPage> {
  let page = await browser.open(implicitUrl(client, parameters))
  if (page.step === 'login') page = await logIn(browser, page, person)
  if (page.step === 'consent') page = await browser.submit(page, {}, { button: 'consent-allow' })
  if (!page.left) throw new Error(`no answer: ${page.status} ${page.text.slice(0, 300)}`)
  return page
}

/** What a client checks of an ID token by the keys that are published. OIDC Core §3.2.2.11 */
export async function readIdToken(
  server: TestServer,
  { clientId }: Pick<TestClient, 'clientId'>,
  idToken: string | undefined,
): Promise<JWTPayload> {
  const keys = createLocalJWKSet((await server.get('/jwks')).json())
  const checks = { issuer: testIssuer, audience: clientId, currentDate: server.clock.now() }
  return (await jwtVerify(idToken ?? '', keys, checks)).payload
}
