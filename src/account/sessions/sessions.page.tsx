import { CsrfToken, displayText, Time } from '../../ui/index.js'
import { AccountPage } from '../layout.js'

export interface SessionView {
  readonly id: string
  /** The one that this page is shown in. */
  readonly isThis: boolean
  readonly since: Date
  readonly lastUsed: Date
  /** From where its user signed in last, as far as that is known. */
  readonly ip?: string | undefined
}

export interface SessionsPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  /** This one first. */
  readonly sessions: readonly SessionView[]
}

/** Where somebody is signed in, and the end of it. */
export function SessionsPage({ base, csrfToken, sessions }: SessionsPageProps) {
  return (
    <AccountPage title="Where you are signed in" base={base} part="sessions">
      <div class="heading">
        <h1>Where you are signed in</h1>
        {sessions.length > 1 && (
          <form method="post">
            <CsrfToken value={csrfToken} />
            <button id="end-others" class="button danger" type="submit" name="action" value="end_others">
              Sign out everywhere else
            </button>
          </form>
        )}
      </div>
      <p>
        Each is a browser in which you have signed in here. Where one ends, the applications that it was used for end
        with it, and are told where they can be.
      </p>
      <ul class="keys">
        {sessions.map((session) => (
          <li key={session.id} class="key">
            <div class="heading">
              <h2>
                Signed in since <Time at={session.since} />
              </h2>
              {session.isThis && <span class="badge live">This browser</span>}
            </div>
            <dl class="facts pairs small">
              <div>
                <dt>Last used, to some minutes</dt>
                <dd>
                  <Time at={session.lastUsed} />
                </dd>
              </div>
              <div>
                <dt>Signed in from</dt>
                <dd>{session.ip === undefined ? 'Not known' : <code>{displayText(session.ip, 60)}</code>}</dd>
              </div>
            </dl>
            <form method="post">
              <CsrfToken value={csrfToken} />
              <div class="steps">
                <button class="button" type="submit" name="session" value={session.id}>
                  {session.isThis ? 'Sign out here' : 'Sign out there'}
                </button>
              </div>
            </form>
          </li>
        ))}
      </ul>
    </AccountPage>
  )
}
