import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import t, { type Test } from 'tap'
import { disableClient } from '../../src/clients/index.js'
import { launch, signIn, skip } from '../browser/chromium.js'
import { logIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { TestClock } from '../support/clock.js'
import { createDemoServer, type ExampleServer, type RunningExample, startExample } from '../support/examples.js'
import { createAgent, mcpClientMetadata, mcpRedirectUri, type TestAgent } from '../support/mcp-client.js'
import { runAgain, tls } from '../support/own-tls.js'
import { waitFor } from '../support/process.js'

// The document of a client is at https in both.
if (process.env['NODE_EXTRA_CA_CERTS'] !== tls.TLS_CERT_FILE) {
  await runAgain(import.meta.url, 'over http on loopback')
  await runAgain(import.meta.url, 'over our own TLS', { OVER_TLS: '1' })
} else {
  await t.test('MCP: an agent with an address alone gets in by dynamic registration', byRegistration)
  await t.test('MCP, CIMD: an agent with an address alone gets in by its metadata document', byDocument)
}

interface Scene {
  readonly server: ExampleServer
  readonly mcp: RunningExample
  readonly url: string
}

async function setUp(t: Test, env: Readonly<Record<string, string>>): Promise<Scene> {
  const server = await createDemoServer(t, {
    clock: new TestClock(new Date()),
    env: { REGISTRATION_SCOPES: 'openid notes:read', ...env },
  })
  const mcp = await startExample(t, server, 'mcp-server')
  await waitUntilReady(mcp)
  return { server, mcp, url: `${mcp.origin}/mcp` }
}

/** It has heard of the server, and of what is revoked there. */
async function waitUntilReady({ origin }: RunningExample): Promise<void> {
  await waitFor(async () => (await fetch(`${origin}/health`)).ok, 60, 'the MCP server is not ready')
}

/** What the SDK opens in a browser, to where it comes back with a code. @returns also the text of the consent page */
async function allow({ server }: Scene, address: URL) {
  const browser = new TestBrowser(server)
  const login = await browser.open(address.href)
  const { email, password } = server.user
  const consent = await logIn(browser, login, { email, password })
  const { answer } = await browser.submit(consent, {}, { button: 'consent-allow' })
  return { code: answer['code'] ?? '', shown: consent.text }
}

/** The same in a real browser, where there is one. */
async function allowInChromium(t: Test, scene: Scene, address: URL) {
  let allowed: Awaited<ReturnType<typeof allow>> | undefined
  await t.test('its user signs in and allows it in a real browser', { skip }, async (t) => {
    const page = await (await launch(t)).newPage()
    const { email, password } = scene.server.user
    await page.goto(address.href)
    await signIn(page, { email, password }, { consents: false })
    await page.waitForSelector('#consent-allow')
    const shown = (await page.innerText('body')).replace(/\s+/g, ' ')
    // Nobody listens where the agent would.
    const called = page.waitForRequest((request) => request.url().startsWith(mcpRedirectUri))
    const [request] = await Promise.all([called, page.click('#consent-allow')])
    allowed = { code: new URL(request.url()).searchParams.get('code') ?? '', shown }
  })
  return allowed ?? allow(scene, address)
}

async function callTool(client: Client): Promise<{ readonly user: string; readonly notes: readonly string[] }> {
  const { content } = await client.callTool({ name: 'list_notes' })
  const [first] = content as readonly { readonly text: string }[]
  return JSON.parse(first?.text ?? '')
}

/** From the first 401 to the end of all that was allowed. @returns what the consent page said */
async function walk(
  t: Test,
  scene: Scene,
  agent: TestAgent,
  answer: (address: URL) => ReturnType<typeof allow>,
): Promise<string> {
  const { server, mcp, url } = scene
  const { issuer } = server.ctx.config.server

  const challenge = await fetch(url, { method: 'POST' })
  t.equal(challenge.status, 401)
  const metadata = `${mcp.origin}/.well-known/oauth-protected-resource/mcp`
  t.equal(challenge.headers.get('www-authenticate'), `Bearer scope="notes:read", resource_metadata="${metadata}"`)
  const described = { resource: url, authorization_servers: [issuer], scopes_supported: ['notes:read'] }
  t.match(await (await fetch(metadata)).json(), described, 'RFC 9728 §3.2')

  await t.rejects(agent.connect(), { message: 'Unauthorized' })
  const [address] = agent.asked
  if (!address) throw new Error('the agent opened nothing')
  const asked = address.searchParams
  t.equal(asked.get('resource'), url, 'RFC 8707 §2')
  t.equal(asked.get('scope'), 'notes:read')
  t.equal(asked.get('code_challenge_method'), 'S256')
  const { code, shown } = await answer(address)
  await agent.finish(code)
  const first = agent.tokens()
  t.match(first, { token_type: 'Bearer', refresh_token: /./, scope: 'notes:read' })

  const client = await agent.connect()
  t.teardown(() => client.close())
  t.match((await client.listTools()).tools, [{ name: 'list_notes' }])
  const [{ subject: user = '' } = {}] = await server.audit('login.succeeded')
  t.same(await callTool(client), { user, notes: ['Lock the door'] })

  server.clock.advance(server.ctx.config.tokens.accessTokenLifetime + 10)
  await mcp.advance(server.ctx.config.tokens.accessTokenLifetime + 10)
  await waitUntilReady(mcp)
  const expired = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${first?.access_token}` } })
  t.match(expired.headers.get('www-authenticate'), /error="invalid_token"/)
  t.same(await callTool(client), { user, notes: ['Lock the door'] }, 'the SDK has refreshed it by itself')
  const second = agent.tokens()
  t.not(second?.access_token, first?.access_token)
  t.not(second?.refresh_token, first?.refresh_token, 'OAuth 2.1 §4.3.1: of a public client it rotates')
  t.equal(agent.asked.length, 1, 'nobody was asked')

  const clientId = agent.information()?.client_id ?? ''
  t.equal(await disableClient(server.ctx, clientId, { actor: 'operator' }), true)
  const isRefused = async (): Promise<boolean> => {
    const headers = { authorization: `Bearer ${second?.access_token}` }
    return (await fetch(url, { method: 'POST', headers })).status === 401
  }
  await waitFor(isRefused, 10, 'it was accepted past the bound')
  await t.rejects(callTool(client), 'neither the token nor its refresh is good')
  const form = { grant_type: 'refresh_token', client_id: clientId, refresh_token: second?.refresh_token ?? '' }
  t.match((await server.post('/token', form)).json(), { error: 'invalid_client' })
  return shown
}

async function byRegistration(t: Test): Promise<void> {
  const scene = await setUp(t, { REGISTRATION: 'open' })
  const agent = createAgent(scene.url)
  const shown = await walk(t, scene, agent, (address) => allowInChromium(t, scene, address))
  t.match(shown, 'It calls itself Agent')
  t.match(shown, 'This application registered itself.')
  t.match(shown, /On Notes ?, it asks to Read your notes/)
  t.match(await scene.server.audit('client.registered'), [{ actor: 'anonymous' }, { actor: 'anonymous' }])
}

async function byDocument(t: Test): Promise<void> {
  let fetched = 0
  const host = createServer(
    { cert: readFileSync(tls.TLS_CERT_FILE), key: readFileSync(tls.TLS_KEY_FILE) },
    (_request, response) => {
      fetched++
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=3600' })
      response.end(JSON.stringify({ client_id: address, ...mcpClientMetadata }))
    },
  )
  host.listen(0, 'localhost')
  await once(host, 'listening')
  t.teardown(() => host.close())
  const at = `localhost:${(host.address() as AddressInfo).port}`
  const address = `https://${at}/client.json`

  const scene = await setUp(t, { CLIENT_ID_METADATA_DOCUMENTS: 'on', OUTBOUND_ALLOW: at })
  const agent = createAgent(scene.url, address)
  const shown = await walk(t, scene, agent, (address) => allow(scene, address))
  t.match(shown, `${at} wants access to your account`)
  t.match(shown, 'This application describes itself.')
  t.match(shown, `any app here can say that it is ${at}`)
  t.equal(agent.information()?.client_id, address)
  t.equal(fetched, 1, 'CIMD §4.4: it counts for an hour')
}
