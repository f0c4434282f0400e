import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'
import type { Person } from '../support/authorization.js'
import { certificatePin } from '../support/own-tls.js'

const places = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

const executablePath = places.find((place) => place !== undefined && existsSync(place))

/** For a test's options: tests in a browser install nothing by themselves. */
export const skip = executablePath === undefined ? 'no Chromium was found: set CHROMIUM_PATH, or install it' : false

/** A browser that talks to nobody but the pages it is sent to, and trusts the one certificate of the tests. */
export async function launch(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--font-render-hinting=none',
      `--ignore-certificate-errors-spki-list=${certificatePin}`,
    ],
  })
  t.teardown(() => browser.close())
  return browser
}

/** Signs in where that is asked for, and consents where that will be, at the pages of the server. */
export async function signIn(page: Page, { email, password }: Person, { consents = true } = {}): Promise<void> {
  await page.waitForSelector('#login-submit, #consent-allow')
  if (await page.isVisible('#login-submit')) {
    await page.fill('input[name=username]', email)
    await page.fill('input[name=password]', password)
    await page.click('#login-submit')
  }
  if (consents) await page.click('#consent-allow')
}

export interface ChromiumVisit {
  /** To which the user comes back: whatever begins like this. */
  readonly redirectUri: string
  readonly consents?: boolean
}

/**
 * What an independent client is called with, after its user went where it had sent them, signed in and consented at the real
 * pages: an address, or the form that a page posts there.
 */
export async function visitInChromium(
  page: Page,
  address: URL,
  person: Person,
  { redirectUri, consents = true }: ChromiumVisit,
): Promise<URL | Request> {
  const called = page.waitForRequest((request) => request.url().startsWith(redirectUri))
  const answer = page.goto(address.href).then(() => signIn(page, person, { consents }))
  const [request] = await Promise.all([called, answer])
  const form = request.postData()
  if (form === null) return new URL(request.url())
  return new Request(request.url(), { method: 'POST', body: new URLSearchParams(form) })
}

const looks = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
} as const satisfies Record<string, BrowserContextOptions>

const folder = fileURLToPath(new URL('../../docs/pages', import.meta.url))

/**
 * Pictures of the page as it is, in light, dark and phone width. They are kept in docs/pages/ by `npm run pages`;
 * otherwise they are taken, so that a page that cannot be shown fails, and thrown away.
 */
export async function takePictures(page: Page, name: string): Promise<void> {
  const keep = process.env['KEEP_PAGES'] === '1'
  if (keep) mkdirSync(folder, { recursive: true })
  const before = page.viewportSize()
  for (const [look, { colorScheme, viewport }] of Object.entries(looks)) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.setViewportSize(viewport)
    const path = keep ? join(folder, `${name}-${look}.png`) : undefined
    await page.screenshot({ path, fullPage: true })
  }
  await page.emulateMedia({ colorScheme: 'light' })
  if (before) await page.setViewportSize(before)
}
