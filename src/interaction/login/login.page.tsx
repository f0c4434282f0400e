import {
  Alert,
  ClientName,
  CsrfToken,
  displayName,
  Host,
  type LoginFailure,
  loginFailureMessage,
  Page,
} from '../../ui/index.js'

export interface LoginPageProps {
  /** As the client named itself: shown normalised, and never without its host where that is known. */
  readonly clientName?: string
  /** A host that was verified, such as that of the redirect URI. */
  readonly clientHost?: string
  readonly csrfToken: string
  /** What was typed before, or the account to confirm. */
  readonly username?: string
  readonly failure?: LoginFailure
  /** Seconds until another attempt makes sense. */
  readonly retryAfter?: number
  /** The user is signed in, but must prove it again (OIDC Core §3.1.2.1 `prompt`, `max_age`). */
  readonly reauthenticate?: boolean
}

/** Asks for username and password. Nothing on it tells whether an account exists. */
export function LoginPage(props: LoginPageProps) {
  const { clientName, csrfToken, username = '', failure, retryAfter, reauthenticate = false } = props
  const wrong = failure === 'wrong_credentials'
  // One place has the focus: what must be waited for is read, what can be mended is typed.
  const focus =
    failure === 'held_back' || failure === 'busy' ? 'alert' : username === '' ? ('username' as const) : 'password'
  const describedBy = failure === undefined ? undefined : 'login-failure'
  const title = clientName === undefined ? 'Sign in' : `Sign in to ${displayName(clientName)}`
  return (
    <Page title={failure === undefined ? title : `Problem: ${title}`}>
      <div class="stack-s">
        <h1>Sign in</h1>
        <Destination {...props} />
      </div>
      {failure !== undefined && (
        <Alert id="login-failure" focused={focus === 'alert'}>
          {loginFailureMessage(failure, retryAfter)}
        </Alert>
      )}
      {reauthenticate && failure === undefined && (
        <p class="notice">You are signed in already. To go on, please confirm with your password that it is you.</p>
      )}
      <form method="post">
        <CsrfToken value={csrfToken} />
        <div class="field">
          <label for="username">E-mail address</label>
          <input
            id="username"
            name="username"
            type="text"
            inputMode="email"
            autocomplete="username"
            autocapitalize="none"
            autocorrect="off"
            spellcheck={false}
            required
            value={username}
            autofocus={focus === 'username'}
            aria-invalid={wrong || undefined}
            aria-describedby={describedBy}
          />
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input
            id="password"
            name="password"
            type="password"
            autocomplete="current-password"
            required
            autofocus={focus === 'password'}
            aria-invalid={wrong || undefined}
            aria-describedby={describedBy}
          />
        </div>
        <button id="login-submit" class="button primary" type="submit">
          Sign in
        </button>
      </form>
    </Page>
  )
}

/** To which application the login leads. Attack 98: its own word for itself is never alone where there is a better one. */
function Destination({ clientName, clientHost }: LoginPageProps) {
  if (clientName !== undefined && clientHost !== undefined) {
    return (
      <p class="lead">
        to continue to <ClientName name={clientName} /> at <Host host={clientHost} />
      </p>
    )
  }
  if (clientName !== undefined) {
    return (
      <p class="lead">
        to continue to <ClientName name={clientName} />
      </p>
    )
  }
  if (clientHost !== undefined) {
    return (
      <p class="lead">
        to continue to <Host host={clientHost} />
      </p>
    )
  }
  return <p class="lead">to continue to your account</p>
}
