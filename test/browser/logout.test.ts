import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { challenge, verifier } from '../support/grants.js'
import { claimsOfToken } from '../support/logout.js'
import { openReceiver } from '../support/receiver.js'
import { createRunningServer } from '../support/running-server.js'
import { deliver } from '../support/telling.js'
import { launch, skip, takePictures } from './chromium.js'

/** An application at another site: it shows where its user came back to, and begins with a form of its own. */
async function createApplication(t: Test, form: () => string): Promise<string> {
  const app = createServer((request, response) => {
    const page = request.url === '/' ? form() : `<p id="at">${request.url?.replaceAll('&', '&amp;')}</p>`
    response.setHeader('content-type', 'text/html').end(`<title>The application</title>${page}`)
  })
  await new Promise<void>((resolve) => app.listen({ host: '127.0.0.1', port: 0 }, resolve))
  t.teardown(() => {
    app.closeAllConnections()
    app.close()
  })
  return `http://127.0.0.1:${(app.address() as AddressInfo).port}`
}

t.test('a person signs out from an application, without script, and the others hear of it', { skip }, async (t) => {
  const receiver = await openReceiver(t)
  receiver.answer(200)
  const server = await createRunningServer(t, { env: { OUTBOUND_ALLOW: new URL(receiver.url).host } })
  const { issuer } = server.ctx.config.server
  let hint = ''
  const app = await createApplication(
    t,
    () => `<form method="post" action="${issuer}/logout">
      <input name="id_token_hint" value="${hint}"><input name="post_logout_redirect_uri" value="${app}/out">
      <input name="state" value="xyz"><button id="leave">Sign out</button></form>`,
  )
  const client = await server.createClient({
    client_name: 'Meeting Planner',
    redirect_uris: [`${app}/cb`],
    post_logout_redirect_uris: [`${app}/out`],
    backchannel_logout_uri: receiver.url,
    initiate_login_uri: `${app}/login`,
    scope: 'openid email',
  })
  const user = await server.createUser('ada@example.com', 'correct horse battery')
  const context = await (await launch(t)).newContext({
    javaScriptEnabled: false,
    viewport: { width: 1280, height: 800 },
  })
  const page = await context.newPage()
  const violations: string[] = []
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
  })
  const signIn = async () => {
    const redirect_uri = `${app}/cb`
    const request = { response_type: 'code', client_id: client.clientId, redirect_uri, scope: 'openid email' }
    await page.goto(
      `${issuer}/authorize?${new URLSearchParams({ ...request, code_challenge: challenge, code_challenge_method: 'S256' })}`,
    )
    await page.fill('input[name=username]', user.email)
    await page.fill('input[name=password]', user.password)
    await page.click('#login-submit')
    if (/\/consent$/.test(new URL(page.url()).pathname)) await page.click('#consent-allow')
    await page.waitForURL(`${app}/cb?*`)
    const code = new URL(page.url()).searchParams.get('code') ?? ''
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri }
    hint = (await server.post('/token', form, { authorization: client.basic })).json().id_token
  }

  await signIn()
  await page.goto(`${issuer}/account`)
  await page.click('text=See where you are signed in')
  await takePictures(page, 'account-sessions')
  t.match(await page.locator('main').innerText(), /This browser[\s\S]*127\.0\.0\.1|::1/)
  await page.click('nav >> text=Applications')
  await takePictures(page, 'account-applications')
  t.match(await page.getAttribute('text=Open', 'href'), `${app}/login?iss=${encodeURIComponent(issuer)}`)

  await page.goto(app)
  await page.click('#leave')
  t.match(await page.innerText('h1'), 'Do you want to sign out?', 'the cookie came along')
  await takePictures(page, 'logout')
  await page.click('#logout-no')
  t.match(await page.innerText('h1'), 'You are still signed in')

  await page.goto(app)
  await page.click('#leave')
  await page.click('#logout-yes')
  await page.waitForURL(`${app}/out?state=xyz`)
  const delivery = createDelivery(server.ctx)
  await deliver(delivery)
  await delivery.stop()
  t.equal(receiver.received.length, 1)
  const token = new URLSearchParams(receiver.received[0]?.body).get('logout_token') ?? ''
  t.equal(claimsOfToken(token)['sid'], claimsOfToken(hint)['sid'])

  await page.goto(`${issuer}/logout?client_id=${client.clientId}&post_logout_redirect_uri=${app}/out`)
  t.match(await page.innerText('h1'), 'You have signed out')
  await takePictures(page, 'logout-done')
  await page.click('#logout-onward')
  await page.waitForURL(`${app}/out`)
  await page.goto(`${issuer}/logout?client_id=${client.clientId}&post_logout_redirect_uri=${app}/elsewhere`)
  t.match(await page.locator('main').innerText(), /You were not signed out/)
  await takePictures(page, 'logout-failed')
  t.same(violations, [])
})
