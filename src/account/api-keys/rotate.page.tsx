import { Alert, Choices, CsrfToken } from '../../ui/index.js'
import { AccountPage } from '../layout.js'
import type { FormFailure } from './failure.js'
import { KeyFacts, KeyName, type KeyView } from './key-facts.js'

export interface RotateKeyPageProps {
  /** The address of /account. */
  readonly base: string
  readonly csrfToken: string
  readonly view: KeyView
  readonly failure?: FormFailure | undefined
}

/** How long the key before may stay good. */
export const overlaps = [
  { seconds: 7 * 86_400, label: '7 days' },
  { seconds: 86_400, label: '1 day' },
  { seconds: 3_600, label: '1 hour' },
  { seconds: 0, label: 'Not at all', hint: 'It ends now. Programs that still have it are refused at once.' },
] as const

/** Asks how long the key before stays good. A key that has a successor is told where that is. */
export function RotateKeyPage({ base, csrfToken, view, failure }: RotateKeyPageProps) {
  const { href, name, state, successorHref } = view
  return (
    <AccountPage title="Rotate an API key" base={base} part="api-keys">
      <div class="stack-s">
        <h1>Rotate an API key</h1>
        <p class="lead">
          <KeyName name={name} />
        </p>
      </div>
      {failure && !successorHref && <Alert focused>{failure.message}</Alert>}
      {successorHref !== undefined && (
        <p class="notice">
          This key was rotated already. <a href={successorHref}>Its successor</a> was shown once, and is not shown
          again. Did you not copy it? Then rotate the successor.
        </p>
      )}
      {state === 'live' && view.kind === 'signing' && <AnotherKeyPair id={view.id} href={href} />}
      {state === 'live' && view.kind !== 'signing' && <Form csrfToken={csrfToken} href={href} />}
      {state !== 'live' && (
        <>
          {successorHref === undefined && <p>This key can be used no more, so it gets no successor: make a new one.</p>}
          <KeyFacts view={view} />
          <p>
            <a class="button" href={href}>
              See the key
            </a>
          </p>
        </>
      )}
    </AccountPage>
  )
}

/** Who has the private half of the key before must not have that of its successor. */
function AnotherKeyPair({ id, href }: { readonly id: string; readonly href: string }) {
  return (
    <>
      <p class="notice">
        This is a signing key, so its successor needs the public key of a new key pair, which this page does not take.
        Make the pair where your program runs, and have the program that manages your keys send the public half, by{' '}
        <code>{`POST /api-keys/${id}/rotate`}</code>; or give it to the people who run this server, for{' '}
        <code>{`ostiary api-key rotate ${id} --public-key FILE`}</code>.
      </p>
      <p>
        <a class="button" href={href}>
          See the key
        </a>
      </p>
    </>
  )
}

function Form({ csrfToken, href }: { readonly csrfToken: string; readonly href: string }) {
  return (
    <>
      <p>
        You get a new key that may do the same. The one before stays good for a while, so that you can move your
        programs.
      </p>
      <form method="post">
        <CsrfToken value={csrfToken} />
        <Choices
          name="overlap"
          legend="The key before stays good for"
          choices={overlaps.map(({ seconds, label, ...rest }, index) => ({
            value: String(seconds),
            label,
            chosen: index === 0,
            ...rest,
          }))}
        />
        <div class="steps">
          <button id="rotate-key" class="button primary" type="submit">
            Rotate
          </button>
          <a class="button" href={href}>
            Cancel
          </a>
        </div>
      </form>
    </>
  )
}
