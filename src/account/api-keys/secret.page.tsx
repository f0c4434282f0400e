import { Time } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import { KeyFacts, KeyName, type KeyView } from './key-facts.js'

export interface SecretPageProps {
  /** The address of /account. */
  readonly base: string
  readonly view: KeyView
  /** The key itself; a signing key has none. */
  readonly text: string | undefined
  /** The key that it follows, and how long that is good. */
  readonly previous?: { readonly href: string; readonly expiresAt?: Date | undefined } | undefined
}

/** The only page that a key ever stands on. */
export function SecretPage({ base, view, text, previous }: SecretPageProps) {
  const title = previous ? 'Your API key has a successor' : 'Your API key is made'
  return (
    <AccountPage title={title} base={base} part="api-keys">
      <h1>{title}</h1>
      {text === undefined ? (
        <p>It is a signing key: programs prove that they have its private half, so there is nothing to copy here.</p>
      ) : (
        <section class="stack" aria-labelledby="key">
          <h2 id="key">
            <KeyName name={view.name} />
          </h2>
          <p class="notice">Copy the key now. It is shown this once and kept nowhere: if you lose it, rotate it.</p>
          <code id="new-key" class="secret select">
            {text}
          </code>
          <p class="small muted">
            One click or a long press selects all of it. Your program sends it as <code>Authorization: Bearer KEY</code>
            , never in an address.
          </p>
        </section>
      )}
      {previous && (
        <p>
          <a href={previous.href}>The key before</a>{' '}
          {previous.expiresAt ? (
            <>
              is good until <Time at={previous.expiresAt} />
            </>
          ) : (
            'has ended'
          )}
          .
        </p>
      )}
      <KeyFacts view={view} />
      <p>
        <a class="button" href={view.href}>
          I have copied it
        </a>
      </p>
    </AccountPage>
  )
}

/** What a form that is sent again is told: its key is there, and is not shown twice. */
export function MadeBeforePage({ base, view }: Pick<SecretPageProps, 'base' | 'view'>) {
  return (
    <AccountPage title="This key was made already" base={base} part="api-keys">
      <h1>This key was made already</h1>
      <p>
        <strong>
          <KeyName name={view.name} />
        </strong>{' '}
        was made when you sent the form the first time, and it was made once. A key is shown once, so it is not shown
        here again. Did you not copy it? Then rotate it, and copy the new one.
      </p>
      <KeyFacts view={view} />
      <nav class="steps" aria-label="Ways on">
        <a class="button" href={view.href}>
          See the key
        </a>
        {view.state === 'live' && (
          <a class="button" href={`${view.href}/rotate`}>
            Rotate it
          </a>
        )}
        <a class="button" href={`${base}/api-keys/new`}>
          Make another
        </a>
      </nav>
    </AccountPage>
  )
}
