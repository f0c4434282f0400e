import { CsrfToken } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import { KeyFacts, KeyName, type KeyView } from './key-facts.js'

export interface EndKeyPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  readonly view: KeyView
}

/** Asks once more, since nothing brings a key back. */
export function EndKeyPage({ base, csrfToken, view }: EndKeyPageProps) {
  const lives = view.state === 'live' || view.state === 'rotated'
  return (
    <AccountPage title="End an API key" base={base} part="api-keys">
      <div class="stack-s">
        <h1>End an API key</h1>
        <p class="lead">
          <KeyName name={view.name} />
        </p>
      </div>
      <p>
        {lives
          ? 'Every program that uses it is refused from this second on, at every API. Nothing brings the key back.'
          : 'This key can be used no more: there is nothing to end.'}
      </p>
      <KeyFacts view={view} />
      {lives ? (
        <form method="post">
          <CsrfToken value={csrfToken} />
          <div class="steps">
            <button id="end-key" class="button danger" type="submit">
              End the key
            </button>
            <a class="button" href={view.href}>
              Keep it
            </a>
          </div>
        </form>
      ) : (
        <p>
          <a class="button" href={view.href}>
            See the key
          </a>
        </p>
      )}
    </AccountPage>
  )
}
