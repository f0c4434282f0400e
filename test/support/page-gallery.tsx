/** @jsxRuntime automatic */
/** @jsxImportSource preact */

// For whoever changes a page: writes each one, with sample props, as HTML and as pictures in light, dark and phone
// width, and says where. `node --import=tsx test/support/page-gallery.tsx [FOLDER]`; CHROMIUM names the browser.

import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import type { VNode } from 'preact'
import { DemoPage } from '../../src/demo/demo.page.js'
import { ConsentPage } from '../../src/interaction/consent/consent.page.js'
import { LoginPage } from '../../src/interaction/login/login.page.js'
import { ErrorPage, errorTexts, HomePage, renderPage } from '../../src/ui/index.js'

const client = { clientName: 'Acme Notes', clientHost: 'notes.example.com', csrfToken: 'sample' }
const account = { name: 'Ada Lovelace', email: 'ada@example.com' }
const hostile = `"><script>alert(1)</script> \u202EelgooG\u202C ${'very long name '.repeat(700)}`

const pages: Readonly<Record<string, VNode>> = {
  home: <HomePage issuer="http://localhost:3000" version="0.1.0" demo={{ url: '/demo' }} />,
  'home-plain': <HomePage issuer="https://login.example.com" version="0.1.0" />,
  login: <LoginPage {...client} />,
  'login-wrong': <LoginPage {...client} username="ada@example.com" failure="wrong_credentials" />,
  'login-held-back': <LoginPage {...client} username="ada@example.com" failure="held_back" retryAfter={540} />,
  'login-again': <LoginPage {...client} username="ada@example.com" reauthenticate />,
  consent: (
    <ConsentPage
      {...client}
      clientUri="https://notes.example.com/"
      policyUri="https://notes.example.com/privacy"
      tosUri="https://notes.example.com/terms"
      account={account}
      native={false}
      redirectHost="notes.example.com"
      scopes={[
        { name: 'email', sentence: '', optional: true, checked: true },
        { name: 'offline_access', sentence: '', optional: true, checked: true },
        { name: 'notes.read', sentence: 'Read your notes', resource: 'Notes API', optional: false, checked: true },
        {
          name: 'notes.write',
          sentence: 'Write new notes and change the ones that you have',
          resource: 'Notes API',
          optional: true,
          checked: false,
        },
      ]}
    />
  ),
  'consent-sign-in': (
    <ConsentPage
      {...client}
      account={{ email: account.email }}
      native={false}
      redirectHost="notes.example.com"
      scopes={[]}
    />
  ),
  'consent-native': (
    <ConsentPage
      {...client}
      account={account}
      native
      redirectHost="127.0.0.1"
      scopes={[
        { name: 'notes.read', sentence: 'Read your notes', resource: 'Notes API', optional: false, checked: true },
      ]}
    />
  ),
  'consent-hostile': (
    <ConsentPage
      {...client}
      clientName={hostile}
      clientHost={`${'sub.'.repeat(40)}example.com`}
      clientUri="javascript:alert(1)"
      account={{ name: hostile, email: `${'a'.repeat(200)}@example.com` }}
      native={false}
      redirectHost={`${'sub.'.repeat(40)}example.com`}
      scopes={[{ name: 'x', sentence: hostile, resource: hostile, optional: true, checked: true }]}
    />
  ),
  error: (
    <ErrorPage
      status={400}
      requestId="7f3c9a52-1e0b-4f6a-9d27-3b8e5c41a6f0"
      {...errorTexts.interactionExpired}
      actions={[
        { href: 'https://notes.example.com/', label: 'Back to Acme Notes' },
        { href: '/', label: 'About this server' },
      ]}
    />
  ),
  demo: (
    <DemoPage
      issuer="http://localhost:3000"
      hasRefreshToken
      scope="notes.read notes.write offline_access"
      accessToken={{
        header: { alg: 'ES256', typ: 'at+jwt', kid: 'q3Vt0m2c' },
        claims: {
          iss: 'http://localhost:3000',
          sub: '0b5e8f0e-4b0a-4c3c-9f0e-2f6f5f1b7a11',
          aud: 'https://api.example.com',
          client_id: 'demo',
          scope: 'notes.read notes.write offline_access',
          iat: 1_767_225_600,
          exp: 1_767_226_200,
          jti: 'm1wq8hZk3rXc5Jd0',
          grant_id: '3f1d7f3e-9c1b-4d2a-8a43-6f3de1c7d0a2',
          roles: ['editor', 'reader'],
        },
        expiresIn: 600,
        raw: `eyJhbGciOiJFUzI1NiJ9.${'eyJpc3MiOiJodHRwOi8v'.repeat(20)}.${'c2lnbmF0dXJl'.repeat(7)}`,
      }}
      commands={[
        {
          title: 'Ask the server whether the token is still good',
          command: 'curl -u demo:SECRET http://localhost:3000/introspect -d token=ACCESS_TOKEN',
        },
        {
          title: 'Get the next access token',
          command:
            'curl -u demo:SECRET http://localhost:3000/token \\\n  -d grant_type=refresh_token \\\n  -d refresh_token=REFRESH_TOKEN',
        },
        {
          title: 'End it all, then ask again',
          command: 'curl -u demo:SECRET http://localhost:3000/revoke -d token=REFRESH_TOKEN',
        },
      ]}
    />
  ),
}

const views = {
  light: { colorScheme: 'light', viewport: { width: 1100, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1100, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
} as const

const folder = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'ostiary-pages-')))
await mkdir(folder, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})
try {
  for (const [name, page] of Object.entries(pages)) {
    await writeFile(join(folder, `${name}.html`), renderPage(page, { nonce: 'sample' }))
  }
  for (const [view, options] of Object.entries(views)) {
    const context = await browser.newContext(options)
    const tab = await context.newPage()
    for (const name of Object.keys(pages)) {
      await tab.goto(pathToFileURL(join(folder, `${name}.html`)).href)
      const sideways = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      if (sideways > 0) console.log(`${name} in ${view} is ${sideways} pixels too wide`)
      await tab.screenshot({ path: join(folder, `${name}-${view}.png`), fullPage: true })
    }
    await context.close()
  }
} finally {
  await browser.close()
}
console.log(folder)
