import { CsrfToken, displayText, Time } from '../ui/index.js'
import { AccountPage } from './layout.js'

export interface OverviewPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  readonly user: { readonly name?: string | undefined; readonly email: string }
  readonly authTime: Date
  /** What they were told of late, newest first. */
  readonly notices: readonly { readonly at: Date; readonly text: string; readonly href?: string | undefined }[]
}

/** Who is signed in, what they have here, and the way out. */
export function OverviewPage({ base, csrfToken, user, authTime, notices }: OverviewPageProps) {
  const name = user.name === undefined ? '' : displayText(user.name, 80)
  return (
    <AccountPage title="Your account" base={base} part="overview">
      <h1>Your account</h1>
      <section class="account" aria-label="Who is signed in">
        <p>
          {name !== '' && (
            <>
              <strong>
                <bdi>{name}</bdi>
              </strong>
              <br />
            </>
          )}
          <bdi>{displayText(user.email, 254)}</bdi>
          <br />
          <span class="small muted">
            Signed in since <Time at={authTime} />
          </span>
        </p>
        <form method="post">
          <CsrfToken value={csrfToken} />
          <button class="button" type="submit" name="action" value="sign_out">
            Sign out
          </button>
        </form>
      </section>
      {notices.length > 0 && (
        <section class="section" aria-labelledby="notices">
          <h2 id="notices">What you should know</h2>
          <ul class="notices">
            {notices.map(({ at, text, href }) => (
              <li key={`${at.getTime()} ${text}`}>
                {href === undefined ? displayText(text, 300) : <a href={href}>{displayText(text, 300)}</a>}{' '}
                <span class="small muted">
                  <Time at={at} />
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
      <section class="section" aria-labelledby="access">
        <h2 id="access">Sign-ins and applications</h2>
        <p>The browsers in which you are signed in, and the applications that may use your account: end any of them.</p>
        <p class="links">
          <a href={`${base}/sessions`}>See where you are signed in</a>
          <a href={`${base}/applications`}>See your applications</a>
        </p>
      </section>
      <section class="section" aria-labelledby="keys">
        <h2 id="keys">API keys</h2>
        <p>
          Credentials for your programs: make one for each, see when it was last used, and end it when it is not needed.
        </p>
        <p>
          <a href={`${base}/api-keys`}>See your API keys</a>
        </p>
      </section>
    </AccountPage>
  )
}
