/** @jsxRuntime automatic */
/** @jsxImportSource preact */

import type { VNode } from 'preact'
import t from 'tap'
import { ChangeKeyPage } from '../../../src/account/api-keys/change.page.js'
import { EndKeyPage } from '../../../src/account/api-keys/end.page.js'
import { KeyPage } from '../../../src/account/api-keys/key.page.js'
import type { KeyView } from '../../../src/account/api-keys/key-facts.js'
import { ListPage } from '../../../src/account/api-keys/list.page.js'
import { type FilledForm, NewKeyPage } from '../../../src/account/api-keys/new.page.js'
import { RotateKeyPage } from '../../../src/account/api-keys/rotate.page.js'
import { MadeBeforePage, SecretPage } from '../../../src/account/api-keys/secret.page.js'
import { ApplicationsPage } from '../../../src/account/applications/applications.page.js'
import { OverviewPage } from '../../../src/account/overview.page.js'
import { SessionsPage } from '../../../src/account/sessions/sessions.page.js'
import { SignedOutPage } from '../../../src/account/signed-out.page.js'
import { DemoPage, type DemoPageProps } from '../../../src/demo/demo.page.js'
import { ConsentPage, type ConsentPageProps } from '../../../src/interaction/consent/consent.page.js'
import { LoginPage } from '../../../src/interaction/login/login.page.js'
import {
  SignedOutPage as LoggedOutPage,
  LogoutPage,
  StillSignedInPage,
} from '../../../src/protocol/logout/logout.page.js'
import { ErrorPage, errorTexts, HomePage, type LoginFailure, renderPage } from '../../../src/ui/index.js'
import { style } from '../../../src/ui/style.js'

const NONCE = 'bm9uY2U'
const render = (page: VNode) => renderPage(page, { nonce: NONCE })

/** What a reader sees, in one line: without head, tags and entities. */
function textOf(html: string): string {
  return html
    .replace(/<head>.*<\/head>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&lt;/g, '<')
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .replace(/ ([,.:])/g, '$1')
    .trim()
}

/** The tags alone, attribute values left out: what the markup is when nobody's text counts. */
const structureOf = (html: string) =>
  (html.match(/<(?:"[^"]*"|[^">])*>/g) ?? []).map((tag) => tag.replace(/="[^"]*"/g, '')).join('\n')

const tags = (html: string, name: string) => html.match(new RegExp(`<${name}\\b[^>]*>`, 'g')) ?? []
const tagWith = (html: string, attribute: string) => html.match(new RegExp(`<[^>]*\\b${attribute}[^>]*>`))?.[0] ?? ''

function keyView(text: string): KeyView {
  return {
    href: `/${text}`,
    id: text,
    kind: 'publishable',
    prefix: 'pk',
    environment: text,
    name: text,
    description: text,
    scope: [text, text],
    resources: [text],
    networks: [text],
    ownerNetworks: [text],
    managed: true,
    origins: [text],
    state: 'live',
    createdAt: new Date(0),
    expiresAt: new Date(0),
    lastUsedAt: new Date(0),
    exposedAt: new Date(0),
    lastUsedFrom: text,
    through: text,
  }
}

/** The same of the pages of an account. */
function accountPages(text: string): Readonly<Record<string, VNode>> {
  const view = keyView(text)
  const shared = { base: `/${text}`, csrfToken: text }
  const filled: FilledForm = {
    ...{ keyId: text, name: text, description: text, environment: text, origins: text, networks: text },
    ...{ kind: 'secret', ticked: new Set([text]), lifetime: 'never' },
  }
  const groups = [text, `${text}2`].map((label) => ({
    identifier: label,
    label,
    scopes: [{ name: text, sentence: text }],
  }))
  const ended = { ...view, state: 'ended', endedAt: new Date(0), endReason: text, successorHref: `/${text}` } as const
  return {
    overview: (
      <OverviewPage
        {...shared}
        user={{ name: text, email: text }}
        authTime={new Date(0)}
        notices={[{ at: new Date(0), text, href: '/account/api-keys/x' }]}
      />
    ),
    sessions: (
      <SessionsPage
        {...shared}
        sessions={[true, false].map((isThis) => ({
          id: `${text} ${isThis}`,
          ...{ isThis, since: new Date(0), lastUsed: new Date(0), ip: text },
        }))}
      />
    ),
    applications: (
      <ApplicationsPage
        {...shared}
        applications={[
          {
            ...{
              clientId: text,
              name: text,
              scopes: [{ name: text, sentence: text }],
              resources: [text],
              offline: true,
            },
            ...{ since: new Date(0), latest: new Date(0), openHref: `https://a.example/${text}` },
          },
        ]}
      />
    ),
    'signed-out': <SignedOutPage base={`/${text}`} />,
    'list of keys': <ListPage base={`/${text}`} over={false} first={false} keys={[view, ended]} next={text} />,
    'new key': <NewKeyPage {...shared} {...{ groups, filled }} lifetimes={[86_400]} />,
    'new key, name wrong': (
      <NewKeyPage
        {...shared}
        {...{ groups, filled }}
        lifetimes={[86_400]}
        failure={{ field: 'name', message: text, status: 400 }}
      />
    ),
    'new key, scope wrong': (
      <NewKeyPage
        {...shared}
        {...{ groups, filled }}
        lifetimes={[86_400]}
        failure={{ field: 'scope', message: text, status: 400 }}
      />
    ),
    key: <KeyPage base={`/${text}`} view={view} />,
    'ended key': <KeyPage base={`/${text}`} view={ended} />,
    'made key': (
      <SecretPage base={`/${text}`} view={view} text={text} previous={{ href: `/${text}`, expiresAt: new Date(0) }} />
    ),
    'key made before': <MadeBeforePage base={`/${text}`} view={view} />,
    'change of a key': (
      <ChangeKeyPage
        {...shared}
        view={view}
        filled={{ name: text, description: text, networks: text }}
        failure={{ message: text, status: 409 }}
      />
    ),
    'rotation of a key': <RotateKeyPage {...shared} view={view} failure={{ message: text, status: 409 }} />,
    'end of a key': <EndKeyPage {...shared} view={view} />,
  }
}

/** Sample props for each page, every free text given by the caller. */
function allPages(text: string): Readonly<Record<string, VNode>> {
  return {
    login: (
      <LoginPage clientName={text} clientHost={text} csrfToken={text} username={text} failure="wrong_credentials" />
    ),
    consent: (
      <ConsentPage
        clientName={text}
        clientHost={text}
        clientUri={`https://a.example/${text}`}
        policyUri={`https://a.example/${text}`}
        tosUri={`https://a.example/${text}`}
        account={{ name: text, email: text }}
        csrfToken={text}
        native
        redirectHost={text}
        scopes={[
          { name: text, sentence: text, resource: text, optional: true, checked: true },
          { name: `${text}2`, sentence: text, resource: text, optional: false, checked: true },
        ]}
      />
    ),
    error: (
      <ErrorPage
        message={text}
        advice={text}
        requestId={text}
        status={400}
        actions={[{ href: `/${text}`, label: text }]}
      />
    ),
    ...accountPages(text),
    logout: <LogoutPage csrfToken={text} account={{ name: text, email: text }} clientName={text} redirectHost={text} />,
    'logout done': <LoggedOutPage account={`/${text}`} onward={{ href: `https://a.example/${text}`, host: text }} />,
    'logout refused': <StillSignedInPage account={`/${text}`} />,
    home: <HomePage issuer="http://localhost:3000" version={text} demo={{ url: `/${text}` }} />,
    demo: (
      <DemoPage
        issuer={text}
        hasRefreshToken
        scope={text.replaceAll(' ', '')}
        accessToken={{
          header: { alg: text },
          claims: { sub: text, [text]: [text], exp: 1 },
          expiresIn: 600,
          raw: text,
        }}
        commands={[{ title: text, command: text }]}
      />
    ),
  }
}

for (const [name, page] of Object.entries(allPages('Acme Notes'))) {
  const html = render(page)

  t.test(`the ${name} page is a whole document that loads nothing`, async (t) => {
    t.match(html, /^<!doctype html><html lang="en" dir="ltr"><head><meta charset="utf-8"\/?><title>[^<]+<\/title>/)
    t.match(html, /<meta name="viewport" content="width=device-width, initial-scale=1"/)
    t.match(html, '<meta name="referrer" content="no-referrer"')
    t.match(html, /<\/html>$/)
    t.notMatch(html, /<(?:script|link|img|iframe|object|embed|base)\b/i)
    t.notMatch(html, /\s(?:src|srcset|style|action|formaction)=|\son[a-z]+=/i)
  })

  t.test(`the ${name} page has its style under the nonce, unchanged by escaping`, async (t) => {
    t.ok(html.includes(`<style nonce="${NONCE}">${style}</style>`))
    t.equal(tags(html, 'style').length, 1)
  })

  t.test(`the ${name} page can be read by a machine that reads aloud`, async (t) => {
    t.equal(tags(html, 'h1').length, 1)
    t.equal(tags(html, 'main').length, 1)
    const ids = [...html.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id)
    t.equal(new Set(ids).size, ids.length, 'ids are unique')
    for (const [, list = ''] of html.matchAll(/\saria-(?:describedby|labelledby)="([^"]*)"/g))
      for (const id of list.split(' ')) t.ok(ids.includes(id), `${id} is there`)
    const levels = [...html.matchAll(/<h([1-6])\b/g)].map(([, level]) => Number(level))
    t.ok(
      levels.every((level, index) => index === 0 || level <= (levels[index - 1] ?? 0) + 1),
      'no level is skipped',
    )
    for (const svg of tags(html, 'svg')) t.match(svg, 'aria-hidden="true"')
    for (const input of tags(html, 'input').filter((tag) => /type="(?:text|password|email)"/.test(tag))) {
      const id = /\sid="([^"]*)"/.exec(input)?.[1]
      t.ok(html.includes(`<label for="${id}">`), `${id} has a label`)
    }
    t.ok(tags(html, 'button').every((button) => button.includes('type="submit"')))
    t.ok((html.match(/\sautofocus/g) ?? []).length <= 1, 'at most one place takes the focus')
  })

  t.test(`the ${name} page: each form posts to its own URL with the CSRF token`, async (t) => {
    const forms = html.match(/<form\b.*?<\/form>/gs) ?? []
    for (const form of forms) {
      t.match(form, /^<form method="post">/)
      t.match(form, /<input type="hidden" name="csrf_token" value="Acme Notes"/)
    }
  })
}

t.test('attack 127: hostile text changes no page’s markup', async (t) => {
  const harmless = allPages('Acme Notes')
  const hostile: readonly string[] = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    `' onfocus='alert(1)`,
    '</title></style></textarea><svg/onload=alert(1)>',
    '&lt;script&gt; &#60; &amp;',
    '\u202Ekcatta\u202C',
    '{{7*7}}<%= 7 %>',
    'x'.repeat(10_000),
    '<'.repeat(10_000),
    '__proto__',
    'constructor',
  ]
  for (const text of hostile) {
    for (const [name, page] of Object.entries(allPages(text))) {
      const expected = harmless[name]
      t.ok(expected)
      if (!expected) continue
      t.equal(structureOf(render(page)), structureOf(render(expected)), `${name}: ${text.slice(0, 40)}`)
    }
  }
})

t.test('attack 98: bidi and invisible characters of a client reach no text on login and consent', async (t) => {
  const pages = allPages('A\u202Ecme\u2066 \u200BNotes\u0000')
  for (const name of ['login', 'consent', 'error']) {
    const page = pages[name]
    t.ok(page)
    if (page) t.notMatch(textOf(render(page)), /[\p{Cf}\p{Cc}]/u)
  }
})

t.test('a page without end is not made by a name without end', async (t) => {
  const page = render(<LoginPage clientName={'x'.repeat(10_000)} clientHost="a.example" csrfToken="t" />)
  t.ok(page.length - style.length < 4_000)
})

// ── Login ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const login = { clientName: 'Acme Notes', clientHost: 'notes.example.com', csrfToken: 'token' }

t.test('the login page says where it leads: the name and the verified host', async (t) => {
  const html = render(<LoginPage {...login} />)
  t.match(html, '<title>Sign in to Acme Notes · Ostiary</title>')
  t.match(html, '<h1>Sign in</h1>')
  t.match(textOf(html), 'to continue to Acme Notes at notes.example.com')
  t.match(textOf(render(<LoginPage csrfToken="t" clientHost="a.example" />)), 'to continue to a.example')
  t.match(textOf(render(<LoginPage csrfToken="t" clientName="Acme" />)), 'to continue to Acme')
  t.match(textOf(render(<LoginPage csrfToken="t" />)), 'Sign in to continue')
})

t.test('the login page has stable handles and helps password managers', async (t) => {
  const html = render(<LoginPage {...login} />)
  const username = tagWith(html, 'name="username"')
  t.match(username, 'type="text"', 'the browser must not refuse what is no e-mail address')
  t.match(username, /inputmode="email"/i)
  for (const attribute of ['autocomplete="username"', 'autocapitalize="none"', 'spellcheck="false"', 'required'])
    t.match(username, attribute)
  const password = tagWith(html, 'name="password"')
  for (const attribute of ['type="password"', 'autocomplete="current-password"', 'required'])
    t.match(password, attribute)
  t.notMatch(password, 'value=')
  t.match(tagWith(html, 'id="login-submit"'), /^<button/)
})

t.test('the focus is where the reader goes on, without script', async (t) => {
  const focused = (props: { username?: string; failure?: LoginFailure }) =>
    tagWith(render(<LoginPage {...login} {...props} />), 'autofocus')
  t.match(focused({}), 'name="username"')
  t.match(focused({ username: 'ada' }), 'name="password"')
  t.match(focused({ username: 'ada', failure: 'wrong_credentials' }), 'name="password"')
  t.match(focused({ failure: 'expired' }), 'name="username"')
  t.match(focused({ username: 'ada', failure: 'held_back' }), 'role="alert"')
  t.match(focused({ username: 'ada', failure: 'busy' }), 'role="alert"')
})

t.test('a failed login keeps the username, says what to do, and never whether the account exists', async (t) => {
  const html = render(<LoginPage {...login} username="ada@example.com" failure="wrong_credentials" />)
  t.match(html, '<title>Problem: Sign in to Acme Notes · Ostiary</title>')
  t.match(tagWith(html, 'name="username"'), 'value="ada@example.com"')
  t.match(html, /role="alert"[^>]*>The e-mail address or the password is wrong\. Please try again\./)
  t.match(tagWith(html, 'name="password"'), /aria-invalid="?true"?.*aria-describedby="login-failure"/)
  t.notMatch(textOf(html), /unknown|no such|not exist|does not|disabled|locked/i)
})

t.test('a login that is held back says for how long', async (t) => {
  const html = render(<LoginPage {...login} failure="held_back" retryAfter={540} />)
  t.match(textOf(html), 'Please try again in 9 minutes.')
  t.notMatch(tagWith(html, 'name="username"'), 'aria-invalid')
  t.match(textOf(render(<LoginPage {...login} failure="held_back" />)), 'Please try again later.')
  t.match(textOf(render(<LoginPage {...login} failure="busy" />)), 'Please try again in a moment.')
  t.match(textOf(render(<LoginPage {...login} failure="busy" retryAfter={5} />)), 'Please try again in 5 seconds.')
  t.match(textOf(render(<LoginPage {...login} failure="expired" />)), 'open for too long')
})

t.test('OIDC Core §3.1.2.1: who must confirm the password is told why', async (t) => {
  t.match(textOf(render(<LoginPage {...login} username="ada" reauthenticate />)), 'You are signed in already.')
  t.notMatch(textOf(render(<LoginPage {...login} username="ada" />)), 'signed in already')
})

// ── Consent ────────────────────────────────────────────────────────────────────────────────────────────────────────

const consent: ConsentPageProps = {
  clientName: 'Acme Notes',
  clientHost: 'notes.example.com',
  account: { name: 'Ada Lovelace', email: 'ada@example.com' },
  csrfToken: 'token',
  native: false,
  redirectHost: 'app.example.com',
  scopes: [
    { name: 'notes.read', sentence: 'Read your notes', resource: 'Notes API', optional: false, checked: true },
    { name: 'notes.write', sentence: 'Change your notes', resource: 'Notes API', optional: true, checked: true },
    { name: 'email', sentence: '', optional: true, checked: false },
  ],
}

t.test('the consent page says who asks, for what, as whom, and where it leads', async (t) => {
  const text = textOf(render(<ConsentPage {...consent} />))
  t.match(text, 'Acme Notes wants access to your account')
  t.match(text, 'The request comes from notes.example.com')
  t.match(text, 'Ada Lovelace ada@example.com')
  t.match(text, 'On Notes API, it asks to Read your notes Required Change your notes')
  t.match(text, 'After either answer you go back to app.example.com')
})

t.test('what concerns the account itself comes before the APIs', async (t) => {
  const text = textOf(render(<ConsentPage {...consent} />))
  t.ok(text.indexOf('It asks to See your e-mail address') > 0)
  t.ok(text.indexOf('See your e-mail address') < text.indexOf('On Notes API'))
})

t.test('optional scopes are checkboxes, required ones are not', async (t) => {
  const html = render(<ConsentPage {...consent} />)
  const boxes = tags(html, 'input').filter((tag) => tag.includes('type="checkbox"'))
  t.equal(boxes.length, 2)
  t.ok(boxes.every((tag) => tag.includes('name="scope"')))
  t.match(tagWith(html, 'value="notes.write"'), ' checked')
  t.notMatch(tagWith(html, 'value="email"'), ' checked')
  t.equal(tagWith(html, 'value="notes.read"'), '')
  t.match(textOf(html), 'Untick what you do not want to allow. What is required cannot be left out')
})

t.test('the consent page has stable handles, and Enter never allows', async (t) => {
  const html = render(<ConsentPage {...consent} />)
  t.match(tagWith(html, 'id="consent-allow"'), /^<button.*name="action".*value="allow"/)
  t.match(tagWith(html, 'id="consent-deny"'), /^<button.*name="action".*value="deny"/)
  // A browser presses the first submit button of a form on Enter. HTML §4.10.21.2.
  const forms = html.match(/<form\b.*?<\/form>/gs) ?? []
  const firstOf = (form: string | undefined) => tags(form ?? '', 'button')[0] ?? ''
  t.equal(forms.length, 2)
  t.match(firstOf(forms[0]), 'value="switch_account"')
  t.match(firstOf(forms[1]), 'value="deny"')
})

t.test('offline_access is worded as staying connected when you are away', async (t) => {
  const scopes = [{ name: 'offline_access', sentence: 'x', optional: true, checked: true }]
  t.match(
    textOf(render(<ConsentPage {...consent} scopes={scopes} />)),
    'Stay connected and keep this access when you are away',
  )
})

t.test('a scope without a sentence is named', async (t) => {
  for (const name of ['odd', 'constructor', '__proto__']) {
    const scopes = [{ name, sentence: ' ', optional: false, checked: true }]
    t.match(textOf(render(<ConsentPage {...consent} scopes={scopes} />)), `Use the permission “${name}”`)
  }
})

t.test('without a scope the application wants to sign you in', async (t) => {
  const html = render(<ConsentPage {...consent} scopes={[]} />)
  t.match(textOf(html), 'Acme Notes wants to sign you in')
  t.notMatch(html, /<fieldset|Required/)
})

t.test('RFC 8252 §8.6: a native app is called what it is, something that cannot prove its name', async (t) => {
  const text = textOf(render(<ConsentPage {...consent} native redirectHost="127.0.0.1" />))
  t.match(text, 'an app on this device')
  t.match(text, 'Any app can take this name.')
  t.match(text, 'back to the app on this device: 127.0.0.1')
  t.notMatch(textOf(render(<ConsentPage {...consent} />)), 'Any app can take this name.')
})

t.test('attack 98: an app on this device that registered itself has no host to be known by', async (t) => {
  const app = {
    ...consent,
    selfRegistered: true,
    native: true,
    clientHost: '127.0.0.1:3001',
    redirectHost: '127.0.0.1:3001',
  }
  const html = render(<ConsentPage {...app} hasNoHost />)
  t.match(html, '<title>An app on this device wants access')
  t.match(textOf(html), 'An app on this device wants access to your account It calls itself Acme Notes')
  t.notMatch(textOf(html), 'only if you know')
  const claimed = textOf(render(<ConsentPage {...app} clientHost="app.example" redirectHost="app.example" />))
  t.match(claimed, 'app.example wants access', 'a claimed https address is a host. RFC 8252 §7.2')
  t.match(claimed, 'allow it only if you know app.example')
})

t.test('the client’s links open apart and tell nothing about where they were', async (t) => {
  const html = render(
    <ConsentPage
      {...consent}
      clientUri="https://a.example/"
      policyUri="https://a.example/p"
      tosUri="javascript:alert(1)"
    />,
  )
  t.equal(tags(html, 'a').length, 2)
  for (const link of tags(html, 'a')) t.match(link, /target="_blank" rel="noopener noreferrer nofollow"/)
  t.notMatch(html, 'javascript:')
  t.equal(tags(render(<ConsentPage {...consent} />), 'a').length, 0)
})

// ── Error, home, demo ──────────────────────────────────────────────────────────────────────────────────────────────

t.test('an error page says what happened, what to do, and an id to ask for help with', async (t) => {
  const html = render(
    <ErrorPage
      status={400}
      requestId="req-1"
      {...errorTexts.invalidRedirectUri}
      actions={[
        { href: '/', label: 'Home' },
        { href: 'javascript:alert(1)', label: 'Bad' },
      ]}
    />,
  )
  t.match(html, '<h1>Something went wrong</h1>')
  t.match(html, /role="alert"[^>]*>The application asked to send you back/)
  t.match(html, /<code id="request-id" class="select">req-1<\/code>/)
  t.match(textOf(html), 'What you can do For your safety you were not sent there.')
  t.match(html, /<a class="button primary" href="\/"/)
  t.equal(tags(html, 'a').length, 1)
})

t.test('an error page without advice still has some', async (t) => {
  const html = render(<ErrorPage status={500} requestId="r" message="It broke." />)
  t.match(textOf(html), 'What you can do Go back to the application')
  t.notMatch(html, '<nav')
})

t.test('every dead end says what happened and what the reader can do', async (t) => {
  for (const [name, { message, advice }] of Object.entries(errorTexts)) {
    t.match(message, /^[A-Z].*\.$/, name)
    t.match(advice, /^[A-Z].*\.$/, name)
  }
})

t.test('RFC 8414 §3.1: the home page links to the metadata and the keys of its issuer', async (t) => {
  const html = render(<HomePage issuer="https://login.example.com" version="1.2.3" />)
  t.match(html, 'href="https://login.example.com/.well-known/oauth-authorization-server"')
  t.match(html, 'href="https://login.example.com/jwks"')
  t.match(textOf(html), 'Version 1.2.3')
  t.notMatch(html, 'demo')
  const withPath = render(<HomePage issuer="https://a.example/tenant" version="1" />)
  t.match(withPath, 'href="https://a.example/.well-known/oauth-authorization-server/tenant"')
  t.match(withPath, 'href="https://a.example/tenant/jwks"')
})

t.test('the home page of a demo leads to the demo login', async (t) => {
  const html = render(<HomePage issuer="http://localhost:3000" version="1" demo={{ url: '/demo?a=1&b=2' }} />)
  t.match(html, 'href="/demo?a=1&amp;b=2"')
})

const demo: DemoPageProps = {
  issuer: 'http://localhost:3000',
  hasRefreshToken: true,
  scope: 'read write',
  accessToken: {
    header: { alg: 'ES256', kid: 'k1' },
    claims: { sub: 'u1', exp: 1_767_226_200, aud: ['a', 'b'], custom: { a: 1 }, iat: 1e300, constructor: true },
    expiresIn: 600,
    raw: 'a.b.c',
  },
  commands: [{ title: 'Introspect it', command: 'curl -u a:b \\\n  http://localhost:3000/introspect' }],
}

t.test('the demo page explains each claim in a sentence', async (t) => {
  const html = render(<DemoPage {...demo} />)
  const text = textOf(html)
  t.match(html, '<h1>You are signed in</h1>')
  t.match(text, 'alg ES256 The signature algorithm.')
  t.match(text, 'exp 1767226200 1 January 2026 at 00:10:00 UTC. When it expires.')
  t.match(text, 'aud ["a","b"] The audience')
  t.match(text, 'custom {"a":1} A claim that this API asked for.')
  t.match(text, 'constructor true A claim that this API asked for.')
  t.match(text, 'No date. When it was issued.')
  t.match(text, 'It expires 10 minutes after it was issued')
  t.match(html, 'curl -u a:b \\\n  http://localhost:3000/introspect')
})

t.test('the demo page tells what a refresh token is only where there is one', async (t) => {
  t.match(textOf(render(<DemoPage {...demo} />)), 'The refresh token')
  t.notMatch(textOf(render(<DemoPage {...demo} hasRefreshToken={false} />)), /refresh token/i)
  t.match(textOf(render(<DemoPage {...demo} scope="" commands={[]} />)), 'No scope')
})
