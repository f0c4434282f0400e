import { readFileSync } from 'node:fs'
import t from 'tap'
import { launch, signIn, skip } from '../browser/chromium.js'
import { serve } from '../support/application.js'
import { alsoOverTls } from '../support/own-tls.js'
import { createRunningServer } from '../support/running-server.js'

const library = readFileSync(
  new URL('../../node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js', import.meta.url),
)

/** The whole of the application: the rest is found from the issuer. */
const page = (authority: string, clientId: string) => `<!doctype html><title>The application</title>
<button id="in" onclick="manager.signinRedirect()">Sign in</button>
<button id="popup" onclick="manager.signinPopup()">Sign in by a window</button>
<button id="out" onclick="manager.signoutRedirect({ state: 'over' })">Sign out</button>
<script src="/oidc-client-ts.js"></script>
<script>
  const manager = new oidc.UserManager({
    authority: '${authority}', client_id: '${clientId}', scope: 'openid profile email',
    redirect_uri: location.origin + '/cb', popup_redirect_uri: location.origin + '/popup',
    silent_redirect_uri: location.origin + '/silent', post_logout_redirect_uri: location.origin + '/out',
    loadUserInfo: true, automaticSilentRenew: false, revokeTokensOnSignout: true,
  })
  if (location.pathname === '/popup') manager.signinPopupCallback()
  if (location.pathname === '/silent') manager.signinSilentCallback()
</script>`

interface User {
  readonly access_token: string
  readonly profile: Readonly<Record<string, unknown>>
}

t.test('oidc-client-ts in a page of another site: login, UserInfo, refresh, a window, logout', { skip }, async (t) => {
  const server = await createRunningServer(t)
  const { issuer } = server.ctx.config.server
  let clientId = ''
  const origin = await serve(t, ({ url }, response) => {
    const isScript = url === '/oidc-client-ts.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? library : page(issuer, clientId))
  })
  const sameSite = origin.replace('127.0.0.1', 'localhost')
  const registered = await server.createClient({
    token_endpoint_auth_method: 'none',
    redirect_uris: [`${origin}/cb`, `${origin}/popup`, `${sameSite}/silent`],
    post_logout_redirect_uris: [`${origin}/out`],
    allowed_origins: [origin, sameSite],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid profile email',
  })
  clientId = registered.clientId
  const person = await server.createUser()
  const context = await (await launch(t)).newContext()
  const tab = await context.newPage()

  await tab.goto(origin)
  await tab.click('#in')
  await signIn(tab, person)
  await tab.waitForURL(`${origin}/cb?*`)
  const user: User = await tab.evaluate('manager.signinRedirectCallback()')
  t.match(user.profile, { sub: person.id, name: 'Ada', email: person.email })
  const renewed: User = await tab.evaluate('manager.signinSilent()')
  t.not(renewed.access_token, user.access_token)
  t.match(renewed.profile, { sub: person.id }, 'the ID token of a refresh is of the same user')
  t.equal((await server.audit('token.refreshed')).length, 1)

  const opened = tab.waitForEvent('popup')
  await tab.click('#popup')
  const popup = await opened
  await Promise.all([popup.waitForEvent('close'), signIn(popup, person)])
  await tab.waitForFunction(`manager.getUser().then((user) => user.access_token !== '${renewed.access_token}')`)

  const fetchFrom = (page: typeof tab, path: string): Promise<number> =>
    page.evaluate((address) => fetch(address).then(({ status }) => status), `${issuer}${path}`)
  const documents = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/jwks']
  for (const path of documents) t.equal(await fetchFrom(tab, path), 200, path)
  const other = await context.newPage()
  await other.goto(await serve(t, (_request, response) => response.end()))
  for (const path of documents) await t.rejects(fetchFrom(other, path), /Failed to fetch/, 'of no client')

  // In a frame, which has the cookie of the server's site alone: whoever is on this machine is asked each time. The scheme
  // is part of a site, so that this page over http is of another one than a server over TLS.
  await other.goto(sameSite)
  const refusal = issuer.startsWith('https:') ? /The user has to sign in/ : /The user has to consent/
  await t.rejects(other.evaluate('manager.signinSilent()'), refusal)

  await tab.click('#out')
  await tab.click('#logout-yes')
  await tab.waitForURL(`${origin}/out?state=*`)
  await tab.evaluate('manager.signoutRedirectCallback()')
  t.equal(await tab.evaluate('manager.getUser()'), null)
  t.match(await server.audit('grant.revoked'), [{ reason: 'revoked_by_client' }], 'and took its tokens back before')
  t.match(await server.audit('session.revoked'), [{ reason: 'logout_requested' }])
})

await alsoOverTls(import.meta.url)
