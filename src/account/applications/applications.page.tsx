import {
  ClientName,
  CsrfToken,
  displayText,
  type Stranger,
  StrangerMark,
  StrangersHosts,
  scopeSentence,
  Time,
  webHref,
} from '../../ui/index.js'
import { AccountPage } from '../layout.js'

export interface ApplicationView {
  readonly clientId: string
  readonly name: string
  /** Of one that registered itself. */
  readonly stranger?: Stranger | undefined
  readonly scopes: readonly { readonly name: string; readonly sentence: string }[]
  /** As the APIs call themselves. */
  readonly resources: readonly string[]
  /** Also when its user is not signed in. */
  readonly offline: boolean
  /** It gets what it may again without a question. */
  readonly remembered?: boolean
  readonly since: Date
  /** Undefined where nothing of it is left but what is remembered. */
  readonly latest: Date | undefined
  /** Where a login there begins, if it has said so. */
  readonly openHref: string | undefined
}

export interface ApplicationsPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  /** Those used last first, and behind them those of which nothing is left but what is remembered. */
  readonly applications: readonly ApplicationView[]
}

/** What a person has allowed, to whom. */
export function ApplicationsPage({ base, csrfToken, applications }: ApplicationsPageProps) {
  return (
    <AccountPage title="Your applications" base={base} part="applications">
      <h1>Your applications</h1>
      {applications.length === 0 && <p>No application has access to your account now.</p>}
      {applications.length > 0 && (
        <ul class="keys">
          {applications.map((application) => (
            <li key={application.clientId} class="key">
              <Application {...{ csrfToken, application }} />
            </li>
          ))}
        </ul>
      )}
    </AccountPage>
  )
}

function Application({
  csrfToken,
  application,
}: {
  readonly csrfToken: string
  readonly application: ApplicationView
}) {
  const { clientId, name, stranger, scopes, resources, offline, remembered, since, latest, openHref } = application
  const sentences = scopes.map(scopeSentence)
  return (
    <>
      <h2>
        <ClientName name={name} />
        {stranger && <StrangersHosts {...stranger} />}
      </h2>
      {stranger && <StrangerMark {...stranger} />}
      <dl class="facts pairs small">
        <div>
          <dt>May</dt>
          <dd>
            {sentences.length === 0 ? (
              'Nothing but sign you in'
            ) : (
              <ul>
                {sentences.map((sentence) => (
                  <li key={sentence}>
                    <bdi>{displayText(sentence, 240)}</bdi>
                  </li>
                ))}
              </ul>
            )}
          </dd>
        </div>
        {resources.length > 0 && (
          <div>
            <dt>At</dt>
            <dd>{resources.map((resource) => displayText(resource, 200)).join(', ')}</dd>
          </div>
        )}
        <div>
          <dt>Allowed since</dt>
          <dd>
            <Time at={since} />
          </dd>
        </div>
        {latest !== undefined && (
          <div>
            <dt>Signed in last</dt>
            <dd>
              <Time at={latest} />
            </dd>
          </div>
        )}
        {latest !== undefined && (
          <div>
            <dt>Until</dt>
            <dd>{offline ? 'You end it, also when you are signed out' : 'You sign out'}</dd>
          </div>
        )}
        {remembered && (
          <div>
            <dt>Asks you again</dt>
            <dd>When you have ended it here, or it wants more</dd>
          </div>
        )}
      </dl>
      <form method="post">
        <CsrfToken value={csrfToken} />
        <div class="steps">
          {openHref !== undefined && webHref(openHref) !== undefined && (
            <a class="button" href={openHref} rel="noopener noreferrer">
              Open
            </a>
          )}
          <button class="button danger" type="submit" name="client_id" value={clientId}>
            End its access
          </button>
        </div>
      </form>
    </>
  )
}
