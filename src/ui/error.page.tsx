import { Alert } from './components.js'
import { displayText, webHref } from './display.js'
import { Page } from './page.js'

export interface ErrorPageProps {
  /** One or two plain sentences: what happened. */
  readonly message: string
  readonly requestId: string
  /** Ways on. The first is the one that most readers want. */
  readonly actions?: readonly { readonly href: string; readonly label: string }[]
  /** What the reader can do. */
  readonly advice?: string
  /** The status of the answer. */
  readonly status: number
}

const GENERAL_ADVICE =
  'Go back to the application that you came from and try again. If it happens again, tell the people who run it.'

/** A dead end, with a way on. It never repeats what came in with the request unless the route put it in the message. */
export function ErrorPage({ message, requestId, actions = [], advice = GENERAL_ADVICE, status }: ErrorPageProps) {
  const links = actions.filter((action) => webHref(action.href) !== undefined)
  return (
    <Page title="Something went wrong">
      <h1>Something went wrong</h1>
      <Alert>{displayText(message, 500)}</Alert>
      <section class="stack-s" aria-labelledby="advice">
        <h2 id="advice">What you can do</h2>
        <p>{displayText(advice, 500)}</p>
      </section>
      {links.length > 0 && (
        <nav class="actions" aria-label="Ways on">
          {links.map((action, index) => (
            <a
              key={action.href}
              class={index === 0 ? 'button primary' : 'button'}
              href={action.href}
              rel="noopener noreferrer"
            >
              {displayText(action.label, 80)}
            </a>
          ))}
        </nav>
      )}
      <dl class="facts small section">
        <div>
          <dt>Request id, for whoever helps you</dt>
          <dd>
            <code id="request-id" class="select">
              {displayText(requestId, 200)}
            </code>
          </dd>
        </div>
        <div>
          <dt>Status</dt>
          <dd>{status}</dd>
        </div>
      </dl>
    </Page>
  )
}
