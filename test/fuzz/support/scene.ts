import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { authorizationUrl, signedIn } from '../../support/authorization.js'
import { TestBrowser, type TestPage } from '../../support/browser.js'
import { issueCode } from '../../support/grants.js'
import { createTestServer, type Owner, type TestServer } from '../../support/server.js'
import { apiIdentifier, application, type Scene as TokenScene, tokensFor } from '../../support/tokens.js'

/** Stands in whatever secret is made up here: it may occur in no answer and in no log line. */
export const marker = 'k3epqu1et'

/** What a generated request speaks of. It is named in the plan and looked up when the request is built. */
export type Reference =
  | 'clientId'
  | 'clientSecret'
  | 'postClientId'
  | 'postClientSecret'
  | 'publicClientId'
  | 'weakClientId'
  | 'weakClientSecret'
  | 'apiClientId'
  | 'apiClientSecret'
  | 'email'
  | 'password'
  | 'code'
  | 'otherCode'
  | 'accessToken'
  | 'otherAccessToken'
  | 'refreshToken'
  | 'usedRefreshToken'
  | 'otherRefreshToken'
  | 'staleRefreshToken'
  | 'interaction'
  | 'loginToken'
  | 'consentInteraction'
  | 'consentToken'
  | 'browserCookie'
  | 'consentBrowserCookie'
  | 'sessionCookie'

export type References = Readonly<Record<Reference, string>>

/** These belong into pages and addresses. Everything else is known to the client or the browser alone. */
const shown: readonly Reference[] = [
  'clientId',
  'postClientId',
  'publicClientId',
  'weakClientId',
  'apiClientId',
  'email',
  'interaction',
  'loginToken',
  'consentInteraction',
  'consentToken',
]

/** A server whose bounds on guessing are out of the way, one that has the normal ones, and what there is to attack. */
export interface Scene extends TokenScene {
  /** On the same database, with the normal bounds. */
  readonly strict: TestServer
  /** Where the first one listens. */
  readonly port: number
  readonly references: () => References
  /** Whether the text holds a secret of this scene, or one that was made up. */
  readonly holdsSecret: (text: string) => boolean
  /** Lets time pass, and makes codes, tokens and logins anew. */
  readonly renew: () => Promise<void>
}

const generous = {
  FAILURES_PER_ACCOUNT: '1000',
  FAILURES_PER_CLIENT: '1000',
  FAILURES_PER_NETWORK: '100000',
  FAILURES_PER_SITE: '1000000',
  INTERACTIONS_PER_NETWORK: '10000000',
  FAILURE_WINDOW: '60',
  PASSWORD_QUEUE: '10000',
}

/** @param onLog hears every line of the log; none is kept */
export async function openScene(t: Owner, onLog: (line: string) => void): Promise<Scene> {
  const server = await createTestServer(t, { env: generous, onLog })
  // Behind a proxy besides: what says whom a request came from is read.
  const strict = await createTestServer(t, { beside: server, env: { TRUST_PROXY: '192.0.2.0/24' }, onLog })
  const api = await server.createResource(apiIdentifier, 'read write')
  const client = await server.createClient({ ...application, client_name: 'Fuzzed' })
  const post = await server.createClient({ ...application, token_endpoint_auth_method: 'client_secret_post' })
  const open = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const service = { redirect_uris: undefined, grant_types: ['client_credentials'] }
  const weak = await server.createClient({ ...service, client_secret: `${marker} weak` }, true)
  const user = await server.createUser('ada@example.com', `${marker} horse battery`)
  const users = { password: user.password, email: user.email }
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.app.server.address() as AddressInfo
  const scene: TokenScene = { server, api, client, user }

  let references: References
  let secrets: RegExp
  let staleRefreshToken = 'ort_none'

  async function renew(): Promise<void> {
    await server.ctx.audit.flush()
    await strict.ctx.audit.flush()
    server.clock.advance(30)
    await Promise.all([server.refresh(), strict.refresh()])
    const other: TokenScene = { ...scene, client: post }
    const otherTokens = await tokensWithPost(other)
    const used = await tokensFor(scene)
    const fresh = await refreshOf(scene, used.refresh_token)
    const login = new TestBrowser(server)
    const loginPage = await login.open(authorizationUrl(client, { scope: 'read write' }))
    const consent = await signedIn(server, user)
    const consentPage = await consent.open(authorizationUrl(client, { scope: 'read write', prompt: 'consent' }))
    references = {
      clientId: client.clientId,
      clientSecret: client.clientSecret,
      postClientId: post.clientId,
      postClientSecret: post.clientSecret,
      publicClientId: open.clientId,
      weakClientId: weak.clientId,
      weakClientSecret: weak.clientSecret,
      apiClientId: api.clientId,
      apiClientSecret: api.clientSecret,
      ...users,
      code: (await issueCode(server, client, user.id, { scope: ['read'], resources: [apiIdentifier] })).code,
      otherCode: (await issueCode(server, post, user.id, { scope: ['read'], resources: [apiIdentifier] })).code,
      accessToken: used.access_token,
      otherAccessToken: otherTokens.access_token,
      refreshToken: fresh,
      usedRefreshToken: used.refresh_token,
      otherRefreshToken: otherTokens.refresh_token,
      staleRefreshToken,
      interaction: idOf(loginPage),
      loginToken: tokenOf(loginPage, 'login-submit'),
      consentInteraction: idOf(consentPage),
      consentToken: tokenOf(consentPage, 'consent-allow'),
      browserCookie: login.cookies.get('ostiary_browser')?.value ?? '',
      consentBrowserCookie: consent.cookies.get('ostiary_browser')?.value ?? '',
      sessionCookie: consent.cookies.get('ostiary_session')?.value ?? '',
    }
    staleRefreshToken = references.refreshToken
    const hidden = Object.entries(references).flatMap(([name, value]) =>
      shown.some((each) => each === name) || value.length < 12 ? [] : [value],
    )
    const masterKey = Buffer.alloc(32, 7)
    const all = [marker, ...hidden, masterKey.toString('base64'), masterKey.toString('hex'), plainHash]
    secrets = new RegExp(all.map((text) => text.replace(/[^\w]/g, '\\$&')).join('|'), 'i')
  }
  await renew()
  return { ...scene, strict, port, renew, references: () => references, holdsSecret: (text) => secrets.test(text) }
}

/** What a plain hash of a secret would be, which is as good as the secret where that can be guessed. */
const plainHash = createHash('sha256').update(`${marker} weak`).digest('hex')

async function tokensWithPost({ server, client, user }: TokenScene) {
  const issued = await issueCode(server, client, user.id, { scope: ['read'], resources: [apiIdentifier] })
  const form = { ...issued.form, client_id: client.clientId, client_secret: client.clientSecret }
  return answerOf(await server.post('/token', form))
}

async function refreshOf({ server, client }: TokenScene, token: string): Promise<string> {
  const form = { grant_type: 'refresh_token', refresh_token: token }
  return answerOf(await server.post('/token', form, { authorization: client.basic })).refresh_token
}

function answerOf(reply: { readonly statusCode: number; readonly json: () => unknown }) {
  if (reply.statusCode !== 200) throw new Error(`the scene could not be set: ${reply.statusCode}`)
  return reply.json() as { readonly access_token: string; readonly refresh_token: string }
}

function idOf({ url, step }: TestPage): string {
  const [, , id = ''] = url.pathname.split('/')
  if (step === undefined || id === '') throw new Error(`the scene could not be set: ${url.pathname}`)
  return id
}

function tokenOf(page: TestPage, button: string): string {
  return String(page.form(button).form['csrf_token'])
}
