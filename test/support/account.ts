import type { Test } from 'tap'
import { keyApi } from './api-keys.js'
import { logIn, type Person } from './authorization.js'
import { type Fields, TestBrowser, type TestPage } from './browser.js'
import { createTestServer, type TestServer, type TestServerOptions } from './server.js'

/** A server with an API, and two people who have accounts there. */
export async function openAccountScene(t: Test, options: TestServerOptions = {}) {
  const server = await createTestServer(t, options)
  const api = await server.createResource(keyApi, 'read write orders:read', { name: 'Orders API' })
  const ada = await server.createUser('ada@example.com', 'correct horse battery')
  const bob = await server.createUser('bob@example.com', 'another battery, staple')
  return { server, api, ada, bob }
}

/** A browser in which the person is signed in, by way of /account. */
export async function atAccount(
  server: TestServer,
  person: Person,
  browser = new TestBrowser(server),
): Promise<TestBrowser> {
  const page = await logIn(browser, await browser.open('/account'), person)
  if (page.url.pathname !== '/account') throw new Error(`not signed in: ${page.status} ${page.text.slice(0, 300)}`)
  return browser
}

/** Fills in the form for a new key. */
export async function makeKeyByPage(browser: TestBrowser, fields: Fields = {}): Promise<TestPage> {
  const page = await browser.open('/account/api-keys/new')
  return browser.submit(page, { name: 'Report', scope: `${keyApi} read`, ...fields }, { button: 'make-key' })
}

/** The key that a page shows, this once. */
export function shownKey(page: TestPage): string {
  const [, key] = /<code id="new-key" class="secret select">([^<]+)<\/code>/.exec(page.html) ?? []
  if (key === undefined) throw new Error(`no key: ${page.status} ${page.text.slice(0, 400)}`)
  return key
}

export function idOf(key: string): string {
  return key.split('_')[2]!.slice(0, 16)
}
