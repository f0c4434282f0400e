import {
  ClientName,
  CsrfToken,
  displayHost,
  displayName,
  displayText,
  ExternalLink,
  Host,
  Lock,
  LockedTick,
  Page,
  scopeSentence,
  webHref,
} from '../../ui/index.js'

export interface ConsentScope {
  readonly name: string
  /** What it allows, in words for a person. */
  readonly sentence: string
  /** The name of the API that it belongs to; without: the user's account here. */
  readonly resource?: string
  /** Whether the user may leave it out. */
  readonly optional: boolean
  readonly checked: boolean
}

export interface ConsentPageProps {
  readonly clientName: string
  /** A host that was verified, such as that of the redirect URI. */
  readonly clientHost: string
  readonly clientUri?: string
  readonly policyUri?: string
  readonly tosUri?: string
  /** Where our own copy of its logo is. */
  readonly logo?: string
  /** Nobody who runs this server knows it: its host says more than its name. */
  readonly selfRegistered?: boolean
  /** It is answered on this device, by a port or a scheme that any app there can take: `clientHost` says nothing. */
  readonly hasNoHost?: boolean
  /** What is said of it stands in a document at `clientHost`. */
  readonly fromDocument?: boolean
  readonly account: { readonly name?: string; readonly email: string }
  readonly csrfToken: string
  /** An app on a device, which cannot prove which app it is. RFC 8252 §8.6. */
  readonly native: boolean
  readonly scopes: readonly ConsentScope[]
  /** Where the browser goes after either answer. */
  readonly redirectHost: string
}

const anApp = 'An app on this device'

/** Who asks, for what, in whose name, and where it leads. Both answers are one key away from each other. */
export function ConsentPage(props: ConsentPageProps) {
  const { clientName, clientHost, account, csrfToken, native, scopes, redirectHost, selfRegistered = false } = props
  const isStrangeApp = selfRegistered && native && props.hasNoHost === true
  const groups = groupByResource(scopes)
  const asks = scopes.length === 0 ? 'wants to sign you in' : 'wants access to your account'
  const accountName = account.name === undefined ? '' : displayText(account.name, 80)
  return (
    <Page
      title={`${isStrangeApp ? anApp : selfRegistered ? displayHost(clientHost) : displayName(clientName)} ${asks}`}
    >
      <div class="stack-s">
        {/* Without a description: where there is no image, nothing is shown. */}
        {props.logo !== undefined && <img class="logo" src={props.logo} alt="" />}
        {selfRegistered ? (
          <>
            <h1>
              {isStrangeApp ? anApp : <bdi dir="ltr">{displayHost(clientHost)}</bdi>} {asks}
            </h1>
            <p class="lead">
              {native && !isStrangeApp
                ? 'The request comes from an app on this device. It calls itself '
                : 'It calls itself '}
              <ClientName name={clientName} />
            </p>
          </>
        ) : (
          <>
            <h1>
              <bdi>{displayName(clientName)}</bdi> {asks}
            </h1>
            <p class="lead">
              {native ? 'The request comes from an app on this device: ' : 'The request comes from '}
              <Host host={clientHost} />
            </p>
          </>
        )}
        <ClientLinks {...props} />
      </div>
      {selfRegistered && (
        <p class="notice">
          {props.fromDocument ? 'This application describes itself. ' : 'This application registered itself. '}
          Nobody who runs this server has checked whose it is
          {isStrangeApp ? (
            '.'
          ) : (
            <>
              : allow it only if you know <Host host={clientHost} />.
            </>
          )}
        </p>
      )}
      {props.fromDocument && !native && redirectHost !== clientHost && (
        <p class="notice">
          What you allow goes to another address than the one that describes it: to <Host host={redirectHost} />.
        </p>
      )}
      {native && (
        <p class="notice">
          {props.fromDocument ? (
            <>
              What you allow goes to an app on this device, and any app here can say that it is{' '}
              <Host host={clientHost} />. Allow it only if you have just started to sign in from an app that you trust.
            </>
          ) : (
            'Any app can take this name. Allow it only if you have just started to sign in from an app that you trust.'
          )}
        </p>
      )}
      <section class="account" aria-label="Your account">
        <p>
          {accountName !== '' && (
            <>
              <strong>
                <bdi>{accountName}</bdi>
              </strong>
              <br />
            </>
          )}
          <bdi>{displayText(account.email, 254)}</bdi>
        </p>
        {/* A form of its own: the Enter key in the other one must not press this button. */}
        <form method="post">
          <CsrfToken value={csrfToken} />
          <button class="plain" type="submit" name="action" value="switch_account">
            Use another account
          </button>
        </form>
      </section>
      <form method="post">
        <CsrfToken value={csrfToken} />
        {groups.map(({ resource, scopes }) => (
          <fieldset key={resource}>
            <legend>
              {resource === undefined ? (
                'It asks to'
              ) : (
                <>
                  On <bdi>{displayText(resource, 80)}</bdi>, it asks to
                </>
              )}
            </legend>
            <ul class="scopes">
              {scopes.map((scope) => (
                <Scope key={scope.name} scope={scope} />
              ))}
            </ul>
          </fieldset>
        ))}
        <Choices scopes={scopes} />
        {/* Deny comes first: it is what the Enter key in a checkbox presses. */}
        <div class="actions pair">
          <button id="consent-deny" class="button" type="submit" name="action" value="deny">
            Deny
          </button>
          <button id="consent-allow" class="button primary" type="submit" name="action" value="allow">
            Allow
          </button>
        </div>
      </form>
      <p class="small muted">
        {native ? 'After either answer you go back to the app on this device: ' : 'After either answer you go back to '}
        <Host host={redirectHost} />
      </p>
    </Page>
  )
}

function Scope({ scope }: { readonly scope: ConsentScope }) {
  const sentence = <bdi>{displayText(scopeSentence(scope), 240)}</bdi>
  if (!scope.optional) {
    return (
      <li class="scope">
        <LockedTick />
        <span>
          {sentence}
          <span class="small required">
            <Lock />
            Required
          </span>
        </span>
      </li>
    )
  }
  return (
    <li>
      <label class="scope">
        <input type="checkbox" name="scope" value={scope.name} checked={scope.checked} />
        <span>{sentence}</span>
      </label>
    </li>
  )
}

/** What the ticks mean, where there are any. */
function Choices({ scopes }: { readonly scopes: readonly ConsentScope[] }) {
  const required = scopes.some((scope) => !scope.optional)
  const optional = scopes.some((scope) => scope.optional)
  if (!required && !optional) return null
  return (
    <p class="small muted">
      {optional && 'Untick what you do not want to allow. '}
      {required && 'What is required cannot be left out: to refuse it, choose Deny.'}
    </p>
  )
}

function ClientLinks({ clientUri, policyUri, tosUri }: ConsentPageProps) {
  const links = [
    { href: clientUri, label: 'Website' },
    { href: policyUri, label: 'Privacy policy' },
    { href: tosUri, label: 'Terms of service' },
  ].filter(({ href }) => href !== undefined && webHref(href) !== undefined)
  if (links.length === 0) return null
  return (
    <ul class="links small">
      {links.map(({ href, label }) => (
        <li key={label}>
          <ExternalLink href={href}>{label}</ExternalLink>
        </li>
      ))}
    </ul>
  )
}

/** In the order in which the resources first appear, the user's own account before them. */
function groupByResource(scopes: readonly ConsentScope[]) {
  const groups = new Map<string | undefined, ConsentScope[]>()
  for (const scope of scopes) groups.set(scope.resource, [...(groups.get(scope.resource) ?? []), scope])
  return [...groups]
    .map(([resource, members]) => ({ resource, scopes: members }))
    .sort((a, b) => Number(a.resource !== undefined) - Number(b.resource !== undefined))
}
