// What the suite's browser does at our pages, in the form in which its configuration has that: an entry for the address that it
// is sent to, of tasks for the addresses that it then arrives at.

type Command = readonly (string | number)[]

interface Task {
  readonly task: string
  readonly match: string
  readonly optional?: boolean
  readonly commands?: readonly Command[]
}

interface Entry {
  readonly match: string
  /** How often it is good. */
  readonly 'match-limit'?: number
  readonly tasks: readonly Task[]
}

export interface Person {
  readonly email: string
  readonly password: string
}

/** The page is kept for whoever reviews the run, once it says this. */
function keep(text: string): Command {
  return ['wait', 'xpath', '//*', 10, text, 'update-image-placeholder']
}

/** What is done by default, and what of it is other for single modules. */
export function browserConfig(issuer: string, person: Person): { browser: readonly Entry[]; override: object } {
  const authorize = `${issuer}/authorize*`
  const logout = `${issuer}/logout*`

  const signIn = (...before: readonly Command[]): Task => ({
    task: 'Sign in',
    match: `${issuer}/interaction/*/login*`,
    optional: true,
    commands: [
      ...before,
      ['text', 'id', 'username', person.email],
      ['text', 'id', 'password', person.password],
      ['click', 'id', 'login-submit'],
    ],
  })
  const allow: Task = {
    task: 'Allow',
    match: `${issuer}/interaction/*/consent*`,
    optional: true,
    commands: [['click', 'id', 'consent-allow']],
  }
  const back: Task = {
    task: 'Back at the client',
    match: '*/test/*/callback*',
    commands: [['wait', 'id', 'submission_complete', 10]],
  }
  const signOut: Task = {
    task: 'Sign out',
    match: `${issuer}/logout/confirm*`,
    commands: [['click', 'id', 'logout-yes']],
  }
  const authorization: Entry = { match: authorize, tasks: [signIn(), allow, back] }

  const page = (match: string, text: string) => ({ match, tasks: [{ task: text, match: '*', commands: [keep(text)] }] })
  const twice = {
    browser: [
      { ...authorization, 'match-limit': 1 },
      { match: authorize, tasks: [signIn(keep('confirm with your password that it is you')), allow, back] },
    ],
  }
  const noRedirect = { browser: [page(authorize, 'not registered for it')] }
  const consentPage = (text: string) => ({
    browser: [{ match: authorize, tasks: [signIn(), { task: text, match: allow.match, commands: [keep(text)] }] }],
  })
  const signedOut = {
    browser: [
      authorization,
      {
        match: logout,
        tasks: [signOut, { task: 'Done', match: `${issuer}/logout*`, commands: [keep('You have signed out')] }],
      },
    ],
  }
  const notSignedOut = { browser: [authorization, page(logout, 'You were not signed out')] }

  return {
    browser: [
      authorization,
      { match: logout, tasks: [signOut, { task: 'Back at the client', match: '*/test/*/post_logout_redirect*' }] },
    ],
    override: {
      'oidcc-prompt-login': twice,
      'oidcc-max-age-1': twice,
      'oidcc-ensure-registered-redirect-uri': noRedirect,
      'oidcc-ensure-redirect-uri-in-authorization-request': noRedirect,
      'oidcc-redirect-uri-query-added': noRedirect,
      'oidcc-redirect-uri-query-mismatch': noRedirect,
      'oidcc-registration-logo-uri': consentPage('It calls itself'),
      'oidcc-registration-policy-uri': consentPage('Privacy policy'),
      'oidcc-registration-tos-uri': consentPage('Terms of service'),
      'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri': notSignedOut,
      'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri': notSignedOut,
      'oidcc-rp-initiated-logout-modified-id-token-hint': notSignedOut,
      'oidcc-rp-initiated-logout-bad-id-token-hint': notSignedOut,
      'oidcc-rp-initiated-logout-no-id-token-hint': notSignedOut,
      'oidcc-rp-initiated-logout-no-params': signedOut,
      'oidcc-rp-initiated-logout-no-post-logout-redirect-uri': signedOut,
      'oidcc-rp-initiated-logout-only-state': signedOut,
    },
  }
}
