import { logIn, type Person } from './authorization.js'
import { TestBrowser } from './browser.js'
import type { TestServer } from './server.js'

export interface Visit {
  readonly browser?: TestBrowser | undefined
  /** The button of the consent page. */
  readonly consent?: 'consent-allow' | 'consent-deny'
}

/**
 * What an independent client is called with, after its user went where it had sent them, signed in where that was asked for,
 * and answered: an address, or the form that a page posts there.
 */
export async function visit(
  server: TestServer,
  address: URL,
  person: Person,
  { browser = new TestBrowser(server), consent = 'consent-allow' }: Visit = {},
): Promise<URL | Request> {
  let page = await browser.open(address.href)
  if (page.step === 'login') page = await logIn(browser, page, person)
  if (page.step === 'consent') page = await browser.submit(page, {}, { button: consent })
  if (page.left) return page.left
  if (page.inputs.length === 0) throw new Error(`did not reach the client: ${page.status} ${page.text.slice(0, 500)}`)
  const { address: target, form } = page.form(undefined)
  return new Request(target, { method: 'POST', body: new URLSearchParams(form as Record<string, string>) })
}

/** The same where the client asked to be answered at its address. */
export async function visitByQuery(...args: Parameters<typeof visit>): Promise<URL> {
  const answer = await visit(...args)
  if (answer instanceof URL) return answer
  throw new Error('the answer is a form')
}
