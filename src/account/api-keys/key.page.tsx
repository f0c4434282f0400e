import { displayName, displayText } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import { KeyFacts, KeyName, KeyState, type KeyView } from './key-facts.js'

export interface KeyPageProps {
  /** The address of /account. */
  readonly base: string
  readonly view: KeyView
}

/** One key: what it may do, how it is used, and what can be done about it. */
export function KeyPage({ base, view }: KeyPageProps) {
  const { href, name, description, state, successorHref, through, expiresAt, exposedAt } = view
  const lives = state === 'live' || state === 'rotated'
  return (
    <AccountPage title={`API key: ${displayText(name, 100)}`} base={base} part="api-keys">
      <div class="heading">
        <h1>
          <KeyName name={name} />
        </h1>
        <KeyState {...view} />
      </div>
      {description !== undefined && (
        <p>
          <bdi>{displayText(description, 500)}</bdi>
        </p>
      )}
      {successorHref !== undefined && (
        <p class="notice">
          {state === 'rotated'
            ? 'It has a successor, and ends by itself: move your programs to '
            : 'It was replaced by '}
          <a href={successorHref}>the key that took its place</a>.
        </p>
      )}
      {lives && exposedAt !== undefined && (
        <p class="notice">
          It was sent in the address of a request, where it gets into logs and histories, and whoever reads these can
          use it: {state === 'live' ? 'rotate it with a short overlap' : 'move your programs now'}, or end it. Have your
          program send the key in a header.
        </p>
      )}
      {state === 'live' && expiresAt === undefined && (
        <p class="notice">
          It never expires. Whoever finds a copy can use it until you end it: rotate it now and then.
        </p>
      )}
      <KeyFacts view={view} whole />
      {through !== undefined && (
        <p class="small muted">
          <bdi>{displayName(through)}</bdi> made this key for you and was shown it. The key stays good when you take
          back what you allowed that application: end the key here.
        </p>
      )}
      {lives && (
        <nav class="steps section" aria-label="What you can do">
          {state === 'live' && (
            <a class="button" href={`${href}/rotate`}>
              Rotate
            </a>
          )}
          <a class="button" href={`${href}/change`}>
            Rename or change
          </a>
          <a class="button end" href={`${href}/end`}>
            End
          </a>
        </nav>
      )}
    </AccountPage>
  )
}
