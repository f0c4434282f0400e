import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { challenge, verifier } from '../support/grants.js'
import { createRunningServer } from '../support/running-server.js'
import { launch, skip, takePictures } from './chromium.js'

interface Received {
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
}

/** An application at another site. It takes the form and sends its user on to a page that is at yet another origin. */
async function createApplication(t: Test) {
  const received: Received[] = []
  const home = await listen(t, (request, response) => {
    const at = request.url?.split('?')[0]
    response.setHeader('content-type', 'text/html').end(`<title>The application</title><p id="at">${at}</p>`)
  })
  const receiver = await listen(t, async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end()
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    received.push({ headers: request.headers, form: new URLSearchParams(Buffer.concat(parts).toString()) })
    response.writeHead(303, { location: `${home}/welcome` }).end()
  })
  return { redirectUri: `${receiver}/callback`, landing: `${home}/welcome`, received }
}

async function listen(t: Test, answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What it holds would run in a page that prints it, and ends a form that does not escape it. */
const state = '"></form><script>document.title="run"</script><img src=x onerror="document.title=1">&amp; &eacute;'

async function setUp(t: Test) {
  const server = await createRunningServer(t)
  const application = await createApplication(t)
  const { redirectUri } = application
  const client = await server.createClient({
    client_name: 'Meeting Planner',
    redirect_uris: [redirectUri],
    scope: 'openid',
  })
  const user = await server.createUser('ada@example.com', 'correct horse battery')
  const { issuer } = server.ctx.config.server
  const request = (more: Readonly<Record<string, string>> = {}) =>
    `${issuer}/authorize?${new URLSearchParams({
      ...{ response_type: 'code', response_mode: 'form_post', scope: 'openid', state },
      ...{ client_id: client.clientId, redirect_uri: redirectUri },
      ...{ code_challenge: challenge, code_challenge_method: 'S256', ...more },
    })}`
  const signIn = async (page: Page): Promise<void> => {
    await page.goto(request())
    await page.fill('input[name=username]', user.email)
    await page.fill('input[name=password]', user.password)
    await page.click('#login-submit')
    await page.click('#consent-allow')
  }
  /** That it is the answer, for this client, and what it was asked for. */
  const redeem = async (t: Test, { headers, form }: Received): Promise<void> => {
    t.equal(headers['content-type'], 'application/x-www-form-urlencoded')
    t.equal(headers.cookie, undefined, 'nothing of ours comes along')
    t.same([...form.keys()].toSorted(), ['code', 'iss', 'state'])
    t.same([form.get('iss'), form.get('state')], [issuer, state])
    const code = form.get('code') ?? ''
    const grant = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier }
    const reply = await server.post('/token', grant, { authorization: client.basic })
    t.equal(reply.statusCode, 200, reply.body)
    t.type(reply.json().id_token, 'string')
  }
  return { ...application, issuer, request, signIn, redeem }
}

/** What the browser says of its own accord against a page. */
async function openPage(context: BrowserContext) {
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  return { page, complaints }
}

const viewport = { width: 1280, height: 800 }

t.test('Form Post §2: the answer sends itself to another site, which sends the user on', { skip }, async (t) => {
  const { received, redirectUri, landing, request, signIn, redeem } = await setUp(t)
  const { page, complaints } = await openPage(await (await launch(t)).newContext({ viewport }))

  await signIn(page)
  await page.waitForURL(landing)
  t.equal(await page.textContent('#at'), '/welcome')
  t.equal(received.length, 1)
  await redeem(t, received[0]!)

  await page.goto(request())
  await page.waitForURL(landing)
  t.equal(received.length, 2, 'signed in and remembered: nothing is asked, and nothing clicked')
  await redeem(t, received[1]!)

  await page.goto(request({ prompt: 'none', max_age: '0' }))
  await page.waitForURL(landing)
  t.match(Object.fromEntries(received[2]!.form), { error: 'login_required', state }, 'an error takes the same way')
  t.same(complaints, [], redirectUri)
})

t.test('Form Post §2: without script the user sends it, by a button', { skip }, async (t) => {
  const { received, issuer, landing, signIn, redeem } = await setUp(t)
  const { page, complaints } = await openPage(
    await (await launch(t)).newContext({ viewport, javaScriptEnabled: false }),
  )
  await signIn(page)
  await page.waitForSelector('main button')
  t.equal(received.length, 0)
  t.ok(page.url().startsWith(issuer))
  t.equal(await page.locator('form').count(), 1, 'the state ended no form')
  await takePictures(page, 'form-post')

  await page.click('main button')
  await page.waitForURL(landing)
  t.equal(received.length, 1)
  await redeem(t, received[0]!)
  t.same(complaints, [])
})

t.test('attack 127: in the page that sends itself no script runs but its own', { skip }, async (t) => {
  const { received, landing, signIn } = await setUp(t)
  const context = await (await launch(t)).newContext({ viewport })
  const { page, complaints } = await openPage(context)
  const policies: string[] = []
  // As if something had not been escaped: a script without the nonce, one with a wrong one, a handler, a frame and an image.
  await page.route('**/*', async (route) => {
    const response = await route.fetch({ maxRedirects: 0 })
    const body = await response.text()
    const injected =
      '<script>document.title="run"</script><script nonce="x">document.title="run"</script>' +
      '<iframe src="data:text/html,x"></iframe><img src="https://evil.example/x" onerror="document.title=1"><base href="/x">'
    if (!body.includes('document.forms[0].submit()')) return route.fulfill({ response })
    policies.push(/script-src[^;]*/.exec(response.headers()['content-security-policy'] ?? '')?.[0] ?? '')
    return route.fulfill({ response, body: body.replace('<form', `${injected}<form`) })
  })
  await signIn(page)
  await page.waitForURL(landing)
  t.equal(received.length, 1, 'its own script ran')
  t.match(policies, [/^script-src 'nonce-[\w-]{22}'$/])
  const refused = complaints.filter((text) => text.includes('Content Security Policy'))
  t.ok(refused.length >= 3, refused.join('\n'))
})
