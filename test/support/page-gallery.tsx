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
import { ChangeKeyPage } from '../../src/account/api-keys/change.page.js'
import { EndKeyPage } from '../../src/account/api-keys/end.page.js'
import { KeyPage } from '../../src/account/api-keys/key.page.js'
import type { KeyView } from '../../src/account/api-keys/key-facts.js'
import { ListPage } from '../../src/account/api-keys/list.page.js'
import { type FilledForm, NewKeyPage } from '../../src/account/api-keys/new.page.js'
import { RotateKeyPage } from '../../src/account/api-keys/rotate.page.js'
import { MadeBeforePage, SecretPage } from '../../src/account/api-keys/secret.page.js'
import { ApplicationsPage } from '../../src/account/applications/applications.page.js'
import { OverviewPage } from '../../src/account/overview.page.js'
import { SessionsPage } from '../../src/account/sessions/sessions.page.js'
import { SignedOutPage } from '../../src/account/signed-out.page.js'
import { DemoPage } from '../../src/demo/demo.page.js'
import { ConsentPage } from '../../src/interaction/consent/consent.page.js'
import { LoginPage } from '../../src/interaction/login/login.page.js'
import { SignedOutPage as LoggedOutPage, LogoutPage, StillSignedInPage } from '../../src/protocol/logout/logout.page.js'
import { ErrorPage, errorTexts, HomePage, renderPage } from '../../src/ui/index.js'

const client = { clientName: 'Acme Notes', clientHost: 'notes.example.com', csrfToken: 'sample' }
const account = { name: 'Ada Lovelace', email: 'ada@example.com' }
const hostile = `"><script>alert(1)</script> \u202EelgooG\u202C ${'very long name '.repeat(700)}`

const base = '/account'
const key: KeyView = {
  href: '/account/api-keys/0kq3GZb7yXw9TfLm',
  id: '0kq3GZb7yXw9TfLm',
  kind: 'secret',
  prefix: 'sk',
  environment: 'live',
  name: 'Nightly report',
  description: 'Sends the orders of the day to the accountant.',
  scope: ['orders:read', 'orders:write'],
  resources: ['Orders API'],
  networks: ['192.0.2.0/24'],
  origins: [],
  state: 'live',
  createdAt: new Date('2026-11-02T09:12:00Z'),
  expiresAt: new Date('2027-01-31T09:12:00Z'),
  lastUsedAt: new Date('2026-11-28T23:00:00Z'),
  lastUsedFrom: '192.0.2.0/24',
  through: 'Acme Notes',
}
const never: KeyView = {
  ...key,
  id: '1',
  name: 'Import',
  through: undefined,
  expiresAt: undefined,
  lastUsedAt: undefined,
}
const exposed: KeyView = { ...key, id: '3', name: 'Widget', exposedAt: new Date('2026-11-20T08:00:00Z') }
const rotated: KeyView = { ...key, id: '2', name: 'Old import', state: 'rotated', successorHref: '/account/api-keys/x' }
const ended: KeyView = { ...key, state: 'ended', endedAt: key.createdAt, endReason: 'revoked_by_user' }
const secretKey = `sk_live_${key.id}${'8Zt3'.repeat(10)}Qw1x2y3z4`
const groups = [
  {
    identifier: 'https://orders.example.com',
    label: 'Orders API',
    scopes: [
      { name: 'orders:read', sentence: 'Read orders' },
      { name: 'orders:write', sentence: 'Make and change orders' },
    ],
  },
  {
    identifier: 'https://stock.example.com',
    label: 'https://stock.example.com',
    scopes: [{ name: 'stock', sentence: '' }],
  },
]
const filled: FilledForm = {
  keyId: 'sample',
  ...{ name: '', description: '', environment: 'live', kind: 'secret', origins: '', networks: '', ticked: new Set() },
  lifetime: '7776000',
}
const lifetimes = [30, 90, 365].map((days) => days * 86_400)
const asked = { base, csrfToken: 'sample', groups, lifetimes }

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
  'consent-self-registered': (
    <ConsentPage
      {...client}
      selfRegistered
      policyUri="https://notes.example.com/privacy"
      account={account}
      native={false}
      redirectHost="notes.example.com"
      scopes={[{ name: 'email', sentence: '', optional: true, checked: true }]}
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
  account: (
    <OverviewPage
      base={base}
      csrfToken="sample"
      user={account}
      authTime={key.createdAt}
      notices={[
        {
          at: key.createdAt,
          text: 'The API key “Nightly report” (0kq3GZb7yXw9TfLm) is to be rotated on 2026-12-12',
          href: `${base}/api-keys/0kq3GZb7yXw9TfLm`,
        },
      ]}
    />
  ),
  'account-sessions': (
    <SessionsPage
      base={base}
      csrfToken="sample"
      sessions={[
        { id: '1', isThis: true, since: key.createdAt, lastUsed: key.createdAt, ip: '2001:db8:85a3::8a2e:370:7334' },
        { id: '2', isThis: false, since: key.createdAt, lastUsed: key.createdAt },
      ]}
    />
  ),
  'account-applications': (
    <ApplicationsPage
      base={base}
      csrfToken="sample"
      applications={[
        {
          ...{ clientId: 'a', name: 'Acme Notes', resources: ['Notes API'], offline: true, since: key.createdAt },
          scopes: [
            { name: 'openid', sentence: '' },
            { name: 'email', sentence: '' },
            { name: 'notes.read', sentence: 'Read your notes' },
          ],
          ...{ latest: key.createdAt, openHref: 'https://notes.example.com/login' },
        },
        {
          ...{ clientId: 'b', name: hostile, resources: [hostile], offline: false, since: key.createdAt },
          ...{ scopes: [{ name: hostile, sentence: hostile }], latest: key.createdAt, openHref: 'javascript:alert(1)' },
        },
      ]}
    />
  ),
  'account-applications-none': <ApplicationsPage base={base} csrfToken="sample" applications={[]} />,
  logout: <LogoutPage csrfToken="sample" account={account} clientName="Acme Notes" redirectHost="notes.example.com" />,
  'logout-plain': (
    <LogoutPage csrfToken="sample" account={{ email: account.email }} clientName={undefined} redirectHost={undefined} />
  ),
  'logout-hostile': (
    <LogoutPage
      csrfToken="sample"
      account={{ name: hostile, email: `${'a'.repeat(200)}@example.com` }}
      clientName={hostile}
      redirectHost={`${'sub.'.repeat(40)}example.com`}
    />
  ),
  'logout-done': <LoggedOutPage account={base} />,
  'logout-done-onward': (
    <LoggedOutPage account={base} onward={{ href: 'https://notes.example.com/out', host: 'notes.example.com' }} />
  ),
  'logout-no': <StillSignedInPage account={base} />,
  'logout-failed': (
    <ErrorPage status={400} requestId="7f3c9a52-1e0b-4f6a-9d27-3b8e5c41a6f0" {...errorTexts.logoutRefused} />
  ),
  'account-signed-out': <SignedOutPage base={base} />,
  'account-keys': <ListPage base={base} over={false} first keys={[key, never, rotated, exposed]} next="x" />,
  'account-keys-none': <ListPage base={base} over={false} first keys={[]} />,
  'account-key-new': <NewKeyPage {...asked} filled={filled} />,
  'account-key-new-wrong': (
    <NewKeyPage
      {...asked}
      filled={{ ...filled, name: 'Import', networks: '192.0.2.0/33' }}
      failure={{
        field: 'networks',
        message: '192.0.2.0/33 is not a network, such as 192.0.2.0/24 or 2001:db8::/48.',
        status: 400,
      }}
    />
  ),
  'account-key-new-no-scope': (
    <NewKeyPage
      {...asked}
      filled={filled}
      failure={{ field: 'scope', message: 'Choose at least one thing that the key may do.', status: 400 }}
    />
  ),
  'account-key-made': <SecretPage base={base} view={{ ...key, through: undefined }} text={secretKey} />,
  'account-key-made-before': <MadeBeforePage base={base} view={key} />,
  'account-key': <KeyPage base={base} view={key} />,
  'account-key-never': <KeyPage base={base} view={never} />,
  'account-key-rotated': <KeyPage base={base} view={rotated} />,
  'account-key-exposed': <KeyPage base={base} view={exposed} />,
  'account-key-ended': <KeyPage base={base} view={ended} />,
  'account-key-hostile': (
    <KeyPage base={base} view={{ ...key, name: hostile, description: hostile, through: hostile }} />
  ),
  'account-key-change': (
    <ChangeKeyPage
      base={base}
      csrfToken="sample"
      view={key}
      filled={{ name: key.name, description: key.description ?? '', networks: '192.0.2.0/24' }}
    />
  ),
  'account-key-rotate': <RotateKeyPage base={base} csrfToken="sample" view={key} />,
  'account-key-rotate-again': <RotateKeyPage base={base} csrfToken="sample" view={rotated} />,
  'account-key-rotate-signing': <RotateKeyPage base={base} csrfToken="sample" view={{ ...key, kind: 'signing' }} />,
  'account-key-end': <EndKeyPage base={base} csrfToken="sample" view={key} />,
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
  phone: { colorScheme: 'light', viewport: { width: 360, height: 780 } },
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
