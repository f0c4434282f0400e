import { claimMeaning, durationText, headerMeaning, Page } from '../ui/index.js'

export interface DemoPageProps {
  readonly accessToken: {
    readonly header: Readonly<Record<string, unknown>>
    readonly claims: Readonly<Record<string, unknown>>
    /** Seconds, as the token response said. */
    readonly expiresIn: number
    readonly raw: string
  }
  readonly hasRefreshToken: boolean
  /** What was granted, space-separated. */
  readonly scope: string
  /** What to try next, ready to be pasted. */
  readonly commands: readonly { readonly title: string; readonly command: string }[]
  readonly issuer: string
}

/** The end of the demo login: what the demo client got, explained. Only the demo shows a token to a person. */
export function DemoPage({ accessToken, hasRefreshToken, scope, commands, issuer }: DemoPageProps) {
  const lifetime = durationText(accessToken.expiresIn)
  const scopes = scope.split(' ').filter((name) => name !== '')
  return (
    <Page title="You are signed in" wide>
      <div class="stack-s">
        <h1>You are signed in</h1>
        <p class="lead">
          The demo application sent you to <code>{issuer}</code>, you signed in and allowed it, and it exchanged the
          code that came back for {hasRefreshToken ? 'the two tokens' : 'the token'} below.
        </p>
      </div>

      <section class="section" aria-labelledby="scope">
        <h2 id="scope">What was granted</h2>
        {scopes.length === 0 ? (
          <p>No scope: the application knows that you signed in, and nothing more.</p>
        ) : (
          <>
            <p>The scope that the token response states, which may be less than was asked for:</p>
            <ul class="links">
              {scopes.map((name) => (
                <li key={name}>
                  <code>{name}</code>
                </li>
              ))}
            </ul>
          </>
        )}
      </section>

      <section class="section" aria-labelledby="access-token">
        <h2 id="access-token">The access token</h2>
        <p>
          The application sends it to the API with each request. It is a signed JWT (RFC 9068): the API checks it with
          the server’s public keys and asks nobody. It expires {lifetime} after it was issued, and whoever holds it can
          use it until then, so an application keeps it to itself.
        </p>
        <TokenPart caption="Header" entries={accessToken.header} meaningOf={headerMeaning} />
        <TokenPart caption="Claims" entries={accessToken.claims} meaningOf={claimMeaning} />
        <details>
          <summary>Show the token as it is sent</summary>
          <p class="block">
            <code id="access-token-value" class="select">
              {accessToken.raw}
            </code>
          </p>
        </details>
      </section>

      {hasRefreshToken && (
        <section class="section" aria-labelledby="refresh-token">
          <h2 id="refresh-token">The refresh token</h2>
          <p>
            With it the application gets the next access token without you. It is a random string that only this server
            can read, so there is nothing in it to show. Each use gives a new one and spends the old one; a spent one
            that appears again is taken for stolen, and ends all that came from it.
          </p>
        </section>
      )}

      {commands.length > 0 && (
        <section class="section" aria-labelledby="next">
          <h2 id="next">What to try next</h2>
          {commands.map(({ title, command }) => (
            <div key={title} class="stack-s">
              <h3>{title}</h3>
              <pre class="block">
                <code>{command}</code>
              </pre>
            </div>
          ))}
        </section>
      )}
    </Page>
  )
}

interface TokenPartProps {
  readonly caption: string
  readonly entries: Readonly<Record<string, unknown>>
  readonly meaningOf: (name: string) => string
}

function TokenPart({ caption, entries, meaningOf }: TokenPartProps) {
  return (
    <table>
      <caption>{caption}</caption>
      <colgroup>
        <col class="names" />
        <col />
      </colgroup>
      <thead class="hidden">
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Value and meaning</th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(entries).map(([name, value]) => (
          <tr key={name}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>
              <code class="value">{valueText(value)}</code>
              <span class="small muted">
                {isTime(name, value) && `${timeText(value)}. `}
                {meaningOf(name)}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value
  const line = JSON.stringify(value)
  return line.length <= 72 ? line : JSON.stringify(value, undefined, 2)
}

/** Claims that hold a NumericDate, seconds since 1970. RFC 7519 §2. */
function isTime(name: string, value: unknown): value is number {
  return typeof value === 'number' && ['exp', 'iat', 'nbf', 'auth_time'].includes(name)
}

const utc = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', dateStyle: 'long', timeStyle: 'long' })

function timeText(seconds: number): string {
  const milliseconds = seconds * 1000
  // Beyond this there is no date to format. ECMAScript §21.4.1.1.
  return Math.abs(milliseconds) <= 8.64e15 ? utc.format(milliseconds) : 'No date'
}
