import { TestBrowser, type TestPage } from './browser.js'
import { challenge } from './grants.js'
import type { TestClient, TestServer } from './server.js'

export const redirectUri = 'https://app.example/cb'

/** The address of an authorization request that is right in every part, but for what is given; undefined leaves it out. */
export function authorizationUrl(
  client: Pick<TestClient, 'clientId'>,
  parameters: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): string {
  return `/authorize?${authorizationQuery(client, parameters)}`
}

export function authorizationQuery(
  { clientId }: Pick<TestClient, 'clientId'>,
  parameters: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): string {
  const query = new URLSearchParams()
  const all = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state: 'the state',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...parameters,
  }
  for (const [name, value] of Object.entries(all)) for (const each of [value ?? []].flat()) query.append(name, each)
  return query.toString()
}

export interface Person {
  readonly email: string
  readonly password: string
}

/** Fills in the login page. */
export function logIn(browser: TestBrowser, page: TestPage, { email, password }: Person): Promise<TestPage> {
  return browser.submit(page, { username: email, password }, { button: 'login-submit' })
}

/** A browser in which the person is signed in, by way of a first-party client that is of no further use. */
export async function signedIn(
  server: TestServer,
  person: Person,
  browser = new TestBrowser(server),
): Promise<TestBrowser> {
  const portal = await server.createClient({ first_party: true, client_name: 'Portal' })
  const page = await browser.open(authorizationUrl(portal))
  const done = await logIn(browser, page, person)
  if (done.answer['code'] === undefined) throw new Error(`not signed in: ${done.status} ${done.text.slice(0, 300)}`)
  return browser
}

/** Request, login and consent to everything; gives the answer that the client gets. */
export async function authorize(
  server: TestServer,
  client: Pick<TestClient, 'clientId'>,
  person: Person,
  parameters: Readonly<Record<string, string | readonly string[] | undefined>> = {},
  browser = new TestBrowser(server),
): Promise<Readonly<Record<string, string>>> {
  let page = await browser.open(authorizationUrl(client, parameters))
  if (page.step === 'login') page = await logIn(browser, page, person)
  if (page.step === 'consent') page = await browser.submit(page, {}, { button: 'consent-allow' })
  if (!page.left) throw new Error(`no answer: ${page.status} ${page.text.slice(0, 300)}`)
  return page.answer
}
