import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { setUpDemo } from '../../src/demo/index.js'
import { challenge, verifier } from '../support/grants.js'
import { createRunningServer } from '../support/running-server.js'
import type { TestServer } from '../support/server.js'
import { launch, skip, takePictures } from './chromium.js'

/** An application of somebody else, at another origin: it shows what it was sent. */
async function createApplication(t: Test): Promise<string> {
  const app = createServer((request, response) => {
    response
      .setHeader('content-type', 'text/html')
      .end(`<title>The application</title><p id="at">${request.url?.split('?')[0]}</p>`)
  })
  await new Promise<void>((resolve) => app.listen({ host: '127.0.0.1', port: 0 }, resolve))
  t.teardown(() => {
    app.closeAllConnections()
    app.close()
  })
  return `http://127.0.0.1:${(app.address() as AddressInfo).port}/callback`
}

async function setUp(t: Test) {
  const server = await createRunningServer(t)
  const redirectUri = await createApplication(t)
  await server.createResource('https://calendar.example', 'events:read events:write', {
    name: 'Calendar',
    scopes: [
      { name: 'events:read', description: 'See the events in your calendar' },
      { name: 'events:write', description: 'Add and change events in your calendar' },
    ],
  })
  const client = await server.createClient({
    client_name: 'Meeting Planner',
    client_uri: 'https://planner.example',
    policy_uri: 'https://planner.example/privacy',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid events:read events:write offline_access',
    required_scope: 'events:read',
  })
  const user = await server.createUser('ada@example.com', 'correct horse battery')
  const page = await (await launch(t)).newPage({ viewport: { width: 1280, height: 800 } })
  const violations: string[] = []
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
  })
  const address = `${server.ctx.config.server.issuer}/authorize?${new URLSearchParams({
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: redirectUri,
    scope: 'openid events:read events:write offline_access',
    state: 'xyz',
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })}`
  return { server, client, user, page, violations, address, redirectUri }
}

async function signIn(page: Page, email: string, password: string): Promise<void> {
  await page.fill('input[name=username]', email)
  await page.fill('input[name=password]', password)
  await page.click('#login-submit')
}

async function redeem(server: TestServer, left: URL, redirectUri: string, authorization: string) {
  return server.post(
    '/token',
    {
      grant_type: 'authorization_code',
      code: left.searchParams.get('code')!,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    },
    { authorization },
  )
}

t.test('a person signs in, allows, and the application gets its tokens', { skip }, async (t) => {
  const { server, client, user, page, violations, address, redirectUri } = await setUp(t)

  await page.goto(address)
  t.match(await page.textContent('h1'), 'Sign in')
  await takePictures(page, 'login')
  await signIn(page, user.email, 'not the password')
  t.match(await page.textContent('[role=alert]'), /wrong|not right|do not match|incorrect/i)
  t.equal(await page.inputValue('input[name=username]'), user.email, 'what was typed is kept')
  await takePictures(page, 'login-failed')
  await signIn(page, user.email, user.password)

  await page.waitForSelector('#consent-allow')
  t.match(await page.textContent('main'), /Meeting Planner/)
  t.match(await page.textContent('main'), /See the events in your calendar/)
  await takePictures(page, 'consent')
  await page.uncheck('input[name=scope][value="events:write"]')
  await page.click('#consent-allow')

  await page.waitForURL(`${redirectUri}?**`)
  const left = new URL(page.url())
  t.match(Object.fromEntries(left.searchParams), { state: 'xyz', iss: server.ctx.config.server.issuer })
  const tokens = (await redeem(server, left, redirectUri, client.basic)).json()
  t.equal(tokens.scope, 'openid events:read offline_access', 'without what was unticked')
  t.same(violations, [])

  await page.goto(address)
  await page.waitForURL(`${redirectUri}?**`)
  t.ok(new URL(page.url()).searchParams.get('code'), 'signed in and remembered: nothing is asked')
})

t.test('the whole way by keyboard', { skip }, async (t) => {
  const { user, page, address, redirectUri } = await setUp(t)
  await page.goto(address)
  // The browser sets the focus when it first paints: what is typed before goes nowhere.
  await page.waitForSelector('input:focus')
  await page.keyboard.type(user.email)
  await page.keyboard.press('Tab')
  await page.keyboard.type(user.password)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#consent-allow')
  for (let presses = 0; presses < 30; presses++) {
    await page.keyboard.press('Tab')
    if ((await page.evaluate(() => document.activeElement?.id)) === 'consent-allow') break
  }
  await page.keyboard.press('Enter')
  await page.waitForURL(`${redirectUri}?**`)
  t.ok(new URL(page.url()).searchParams.get('code'))
})

t.test('a person says no', { skip }, async (t) => {
  const { user, page, address, redirectUri } = await setUp(t)
  await page.goto(address)
  await signIn(page, user.email, user.password)
  await page.click('#consent-deny')
  await page.waitForURL(`${redirectUri}?**`)
  t.match(Object.fromEntries(new URL(page.url()).searchParams), { error: 'access_denied', state: 'xyz' })
})

t.test('without script, and with the back button after the end', { skip }, async (t) => {
  const { user, address, redirectUri, server } = await setUp(t)
  const browser = await launch(t)
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
  await page.goto(address)
  const loginAddress = page.url()
  await signIn(page, user.email, user.password)
  await page.click('#consent-allow')
  await page.waitForURL(`${redirectUri}?**`)

  await page.goto(loginAddress)
  t.match(await page.textContent('h1'), 'Something went wrong')
  t.equal(page.url(), loginAddress, 'the error stays at its address')
  await takePictures(page, 'error')
  await page.click('main a')
  await page.waitForURL(`${redirectUri}?**`)
  t.ok(new URL(page.url()).searchParams.get('code'), 'and has a way on')
  t.match(await server.audit('code.issued'), [{}, {}])
})

t.test('an unknown client is never redirected', { skip }, async (t) => {
  const { page, server } = await setUp(t)
  const address = `${server.ctx.config.server.issuer}/authorize?response_type=code&client_id=nobody&redirect_uri=https%3A%2F%2Fevil.example`
  const reply = await page.goto(address)
  t.equal(reply?.status(), 400)
  t.equal(page.url(), address)
  t.match(await page.textContent('h1'), 'Something went wrong')
})

t.test('the demo of a first start, from its home page to the tokens explained', { skip }, async (t) => {
  const server = await createRunningServer(t, { demo: true })
  const accounts = await setUpDemo(server.ctx)
  await server.refresh()
  const { issuer } = server.ctx.config.server
  const page = await (await launch(t)).newPage({ viewport: { width: 1280, height: 800 } })
  await page.goto(issuer)
  await takePictures(page, 'home')
  await page.click(`a[href="${issuer}/demo"]`)
  t.equal(await page.inputValue('input[name=username]'), accounts!.user.email)
  await signIn(page, accounts!.user.email, accounts!.user.password)
  await page.click('#consent-allow')
  await page.waitForURL(`${issuer}/demo/callback?**`)
  t.match(await page.textContent('h1'), 'You are signed in')
  t.match(await page.textContent('main'), /orders:read/)
  await takePictures(page, 'demo')
})
