import { AccountPage } from '../layout.js'
import { KeyFacts, KeyName, KeyState, type KeyView } from './key-facts.js'

export interface ListPageProps {
  /** The address of /account. */
  readonly base: string
  /** Whether it is those that have ended or expired. */
  readonly over: boolean
  readonly keys: readonly KeyView[]
  /** Whether it is the first page of them. */
  readonly first: boolean
  /** Where the next page begins, if there is one. */
  readonly next?: string | undefined
}

/** A person's keys, oldest first. */
export function ListPage({ base, over, keys, first, next }: ListPageProps) {
  const list = `${base}/api-keys`
  const title = over ? 'Ended and expired API keys' : 'API keys'
  const query = over ? '?show=over&' : '?'
  return (
    <AccountPage title={title} base={base} part="api-keys">
      <div class="heading">
        <h1>{title}</h1>
        {!over && (
          <a class="button primary" href={`${list}/new`}>
            Make a key
          </a>
        )}
      </div>
      {keys.length === 0 && <Nothing over={over} first={first} />}
      {keys.length > 0 && (
        <ul class="keys">
          {keys.map((view) => (
            <li key={view.id} class="key">
              <div class="heading">
                <h2>
                  <a href={view.href}>
                    <KeyName name={view.name} />
                  </a>
                </h2>
                <KeyState {...view} />
              </div>
              <KeyFacts view={view} />
            </li>
          ))}
        </ul>
      )}
      <nav class="links section" aria-label="More API keys">
        {!first && <a href={over ? `${list}?show=over` : list}>First page</a>}
        {next !== undefined && <a href={`${list}${query}after=${next}`}>Next page</a>}
        <a href={over ? list : `${list}?show=over`}>{over ? 'Keys that can be used' : 'Ended and expired keys'}</a>
      </nav>
    </AccountPage>
  )
}

function Nothing({ over, first }: Pick<ListPageProps, 'over' | 'first'>) {
  if (!first) return <p>There are no more.</p>
  if (over) return <p>None of your keys has ended or expired.</p>
  return <p>You have no API key. A program of yours that calls an API without you needs one.</p>
}
