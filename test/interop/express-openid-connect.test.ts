import express from 'express'
import openid from 'express-openid-connect'
import session from 'express-session'
import t from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { launch, signIn, skip } from '../browser/chromium.js'
import { serve } from '../support/application.js'
import { alsoOverTls } from '../support/own-tls.js'
import { createRunningServer, freePort } from '../support/running-server.js'
import { deliver } from '../support/telling.js'

t.test('express-openid-connect: login by form_post, UserInfo, logout, and a logout elsewhere', { skip }, async (t) => {
  const port = await freePort()
  const server = await createRunningServer(t, { env: { OUTBOUND_ALLOW: `127.0.0.1:${port}` } })
  const { issuer } = server.ctx.config.server
  const origin = `http://127.0.0.1:${port}`
  const { clientId, clientSecret } = await server.createClient({
    redirect_uris: [`${origin}/callback`],
    post_logout_redirect_uris: [`${origin}/out`],
    backchannel_logout_uri: `${origin}/backchannel-logout`,
    scope: 'openid profile email',
  })
  const person = await server.createUser()

  const app = express()
  app.get('/out', (_request, response) => void response.send('<h1>Signed out</h1>'))
  app.use(
    openid.auth({
      issuerBaseURL: issuer,
      baseURL: origin,
      clientID: clientId,
      clientSecret,
      secret: 'a secret of the test, of this app alone',
      idpLogout: true,
      routes: { postLogoutRedirect: `${origin}/out` },
      backchannelLogout: { store: new session.MemoryStore() as never },
      authorizationParams: { response_type: 'code', response_mode: 'form_post', scope: 'openid profile email' },
    }),
  )
  app.get('/', async ({ oidc }, response) => {
    response.json({ claims: oidc.idTokenClaims, userInfo: await oidc.fetchUserInfo() })
  })
  await serve(t, app, port)

  const tab = await (await launch(t)).newPage()
  const shown = async () => JSON.parse((await tab.textContent('body')) ?? '')
  await tab.goto(origin)
  await signIn(tab, person)
  await tab.waitForURL(`${origin}/`)
  t.match(await shown(), {
    claims: { sub: person.id, iss: issuer, aud: clientId },
    userInfo: { sub: person.id, name: 'Ada', email: person.email },
  })
  await tab.goto(`${origin}/logout`)
  await tab.click('#logout-yes')
  await tab.waitForURL(`${origin}/out`)

  await tab.goto(origin)
  await signIn(tab, person, { consents: false })
  await tab.waitForURL(`${origin}/`)
  await tab.goto(`${issuer}/account`)
  await tab.click('text=Sign out')
  await tab.waitForSelector('text=You are signed out')
  const delivery = createDelivery(server.ctx)
  t.teardown(() => delivery.stop())
  await deliver(delivery)
  await tab.goto(origin)
  t.ok(await tab.isVisible('#login-submit'), 'the application knows')
})

await alsoOverTls(import.meta.url)
