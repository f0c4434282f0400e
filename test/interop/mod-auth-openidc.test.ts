import t from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { launch, signIn, skip as skipBrowser } from '../browser/chromium.js'
import { skip as skipApache, startApache } from '../support/apache.js'
import { alsoOverTls, tls } from '../support/own-tls.js'
import { createRunningServer, freePort } from '../support/running-server.js'
import { deliver } from '../support/telling.js'

const skip = skipApache || skipBrowser

t.test(
  'mod_auth_openidc (Apache httpd, in C): login, UserInfo, refresh, logout, a logout elsewhere',
  { skip },
  async (t) => {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const server = await createRunningServer(t, { env: { OUTBOUND_ALLOW: `127.0.0.1:${port}` } })
    const { issuer } = server.ctx.config.server
    const { clientId, clientSecret } = await server.createClient({
      redirect_uris: [`${origin}/callback`],
      post_logout_redirect_uris: [`${origin}/out.txt`],
      backchannel_logout_uri: `${origin}/callback?logout=backchannel`,
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid profile email',
    })
    const person = await server.createUser()
    await startApache(t, port, {
      OIDCProviderMetadataURL: `${issuer}/.well-known/openid-configuration`,
      OIDCCABundlePath: tls.TLS_CERT_FILE,
      OIDCClientID: clientId,
      OIDCClientSecret: clientSecret,
      OIDCRedirectURI: `${origin}/callback`,
      OIDCCryptoPassphrase: 'of-this-test-alone',
      OIDCScope: '"openid profile email"',
      OIDCPKCEMethod: 'S256',
      OIDCProviderTokenEndpointAuth: 'client_secret_basic',
      OIDCInfoHook: 'id_token userinfo access_token',
    })

    const tab = await (await launch(t)).newPage()
    const page = `${origin}/page.txt`
    const json = async (path: string) => JSON.parse(await (await tab.goto(origin + path))!.text())
    await tab.goto(page)
    await signIn(tab, person)
    await tab.waitForURL(page)
    t.equal((await tab.goto(page))?.headers()['x-claims'], `${person.id} Ada ${person.email}`)
    const { access_token: token, id_token, userinfo } = await json('/callback?info=json')
    t.match(id_token, { iss: issuer, aud: clientId, sub: person.id })
    t.match(userinfo, { sub: person.id, email: person.email })

    await tab.goto(`${origin}/callback?${new URLSearchParams({ refresh: page, access_token: token })}`)
    t.equal(tab.url(), page)
    t.not((await json('/callback?info=json')).access_token, token)
    t.equal((await server.audit('token.refreshed')).length, 1)

    await tab.goto(`${origin}/callback?${new URLSearchParams({ logout: `${origin}/out.txt` })}`)
    await tab.click('#logout-yes')
    await tab.waitForURL(`${origin}/out.txt*`)

    await tab.goto(page)
    await signIn(tab, person, { consents: false })
    await tab.waitForURL(page)
    await tab.goto(`${issuer}/account`)
    await tab.click('text=Sign out')
    await tab.waitForSelector('text=You are signed out')
    const delivery = createDelivery(server.ctx)
    t.teardown(() => delivery.stop())
    await deliver(delivery)
    await tab.goto(page)
    t.ok(await tab.isVisible('#login-submit'), 'it was told')
  },
)

await alsoOverTls(import.meta.url)
