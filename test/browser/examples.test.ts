import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createDemoServer, type ExampleServer, type RunningExample, startExample } from '../support/examples.js'
import { waitFor } from '../support/process.js'
import { launch, skip } from './chromium.js'

async function setUp(t: Test, name: string) {
  const server = await createDemoServer(t)
  const example = await startExample(t, server, name)
  const context = await (await launch(t)).newContext({ viewport: { width: 1280, height: 800 } })
  const page = await context.newPage()
  const violations: string[] = []
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
  })
  return { server, example, page, context, violations }
}

async function signIn(page: Page, { user }: ExampleServer): Promise<void> {
  await page.fill('input[name=username]', user.email)
  await page.fill('input[name=password]', user.password)
  await page.click('#login-submit')
}

async function signInAndConsent(page: Page, server: ExampleServer): Promise<void> {
  await signIn(page, server)
  await page.click('#consent-allow')
}

t.test('examples/web-app: from its page to the login and back, and out', { skip }, async (t) => {
  const { server, example, page, violations } = await setUp(t, 'web-app')
  await page.goto(example.origin)
  await page.click('text=Sign in')
  await signIn(page, server)
  await page.waitForSelector('text=Hello, Demo User')
  t.equal(page.url(), `${example.origin}/`)
  t.match(await page.textContent('p'), server.user.email)
  await page.click('text=Sign out')
  await page.waitForSelector('text=Nobody is signed in')
  await page.goto(`${server.ctx.config.server.issuer}/account`)
  await page.waitForSelector('#login-submit')
  t.same(violations, [])
})

t.test('examples/backend-for-frontend: a __Host- cookie on loopback, and no token in the page', { skip }, async (t) => {
  const { server, example, page, context, violations } = await setUp(t, 'backend-for-frontend')
  const seen: string[] = []
  page.on('response', async (response) => {
    if (response.url().startsWith(example.origin) && response.status() === 200) seen.push(await response.text())
  })
  await example.untilItAnswers(`${example.api}/health`)
  await page.goto(example.origin)
  await page.click('text=Sign in')
  await signInAndConsent(page, server)
  await page.waitForSelector('li:has-text("A door")')
  t.match(
    (await context.cookies(example.origin)).filter(({ name }) => name === '__Host-bff'),
    [{ secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost' }],
    'Chromium takes Secure cookies from http://localhost',
  )
  t.notMatch(await page.evaluate(() => document.cookie), '__Host-bff')
  await page.fill('input[name=item]', 'A key')
  await page.click('text=Order >> nth=-1')
  await page.waitForSelector('li:has-text("A key")')
  t.notMatch(seen.join(), /eyJ|ort_/)

  await t.test('a page at another port is the same site, and can do nothing', async (t) => {
    const other = await context.newPage()
    await other.goto(await anotherOrigin(t))
    const orders = `${example.origin}/api/orders`
    const refused = other.waitForResponse((response) => response.url() === orders)
    await other.evaluate(async (address) => {
      const body = JSON.stringify({ item: 'Of the attacker' })
      await fetch(address, { method: 'POST', mode: 'no-cors', credentials: 'include', body })
    }, orders)
    t.equal((await refused).status(), 403)
    t.match((await (await refused).request().allHeaders())['cookie'], '__Host-bff', 'though its cookie came along')
    const withHeader = other.evaluate(
      (address) => fetch(address, { credentials: 'include', headers: { 'x-csrf': '1' } }),
      orders,
    )
    await t.rejects(withHeader, /Failed to fetch/)
  })

  await page.click('text=Sign out')
  await page.waitForSelector('text=Nobody is signed in')
  t.notMatch(await page.textContent('body'), 'Of the attacker')
  t.same(violations, [])
})

async function anotherOrigin(t: Test): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<title>Another</title>')
  })
  await new Promise<void>((resolve) => server.listen({ host: 'localhost', port: 0 }, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

async function signInByWindow(page: Page, server: ExampleServer): Promise<void> {
  const opened = page.waitForEvent('popup')
  await page.click('text=Sign in')
  const popup = await opened
  await popup.waitForSelector('#login-submit, #consent-allow')
  if (await popup.isVisible('#login-submit')) await signInAndConsent(popup, server)
  else await popup.click('#consent-allow')
}

async function storedBy(page: Page, { origin }: RunningExample) {
  const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie] as const)
  const { cookies, origins } = await page.context().storageState({ indexedDB: true })
  return [
    ...kept,
    origins.filter((each) => each.origin === origin).length,
    cookies.filter(({ path }) => path !== '/').length,
  ]
}

t.test(
  'examples/single-page-app: a login in a window, tokens in memory, refreshed and taken back',
  { skip },
  async (t) => {
    const { server, example, page, violations } = await setUp(t, 'single-page-app')
    await example.untilItAnswers(`${example.api}/health`)
    await page.goto(example.origin)
    await signInByWindow(page, server)
    await page.waitForSelector('li:has-text("A door")')
    t.same(await storedBy(page, example), [0, 0, '', 0, 0], 'nothing is stored')

    await page.clock.setFixedTime(Date.now() + 575_000)
    const answers: number[] = []
    page.on('response', (response) => {
      if (response.url() === `${example.api}/orders`) answers.push(response.status())
    })
    await page.getByText('Reload').evaluate((button: HTMLElement) => {
      for (let clicks = 0; clicks < 4; clicks++) button.click()
    })
    await waitFor(() => answers.filter((status) => status === 200).length === 4, 20, 'the page did not load four times')
    t.equal((await server.audit('token.refreshed')).length, 1, 'once, however often it is asked at once')

    await page.click('text=Sign out')
    await page.waitForSelector('text=Nobody is signed in')
    t.equal((await server.audit('grant.revoked')).length, 1)
    t.same(violations, [])

    await signInByWindow(page, server)
    await page.waitForSelector('li:has-text("A door")')
    await page.reload()
    await page.waitForSelector('text=Nobody is signed in')
  },
)

t.test('examples/single-page-app: an answer that was not asked for changes nothing', { skip }, async (t) => {
  const { server, example, page } = await setUp(t, 'single-page-app')
  await page.goto(example.origin)
  const requests: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  const opened = page.waitForEvent('popup')
  await page.click('text=Sign in')
  const popup = await opened
  await popup.waitForSelector('#login-submit')
  // A page of another origin, and this very page: neither is the window that was opened.
  await page.evaluate(() => window.postMessage('?code=stolen&state=guessed', location.origin))
  t.equal(await page.textContent('[role=status]'), 'Nobody is signed in.')
  const { issuer } = server.ctx.config.server
  await popup
    .goto(`${example.origin}/callback?code=stolen&state=guessed&iss=${encodeURIComponent(issuer)}`)
    .catch(() => undefined)
  await page.waitForSelector('text=That did not work: not our answer')
  t.notMatch(requests.join(), '/token')
})
