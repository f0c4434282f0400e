import {
  ClientName,
  CsrfToken,
  displayText,
  Host,
  Page,
  type Stranger,
  StrangerMark,
  StrangersHosts,
} from '../../ui/index.js'

export interface LogoutPageProps {
  readonly csrfToken: string
  readonly account: { readonly name?: string | undefined; readonly email: string }
  /** Undefined where nobody said who asks. */
  readonly clientName: string | undefined
  /** Of one that registered itself. */
  readonly stranger?: Stranger | undefined
  /** Where the browser goes afterwards. */
  readonly redirectHost: string | undefined
}

/** Asks once more: a link on any page may have led here. RP-Initiated Logout §2. */
export function LogoutPage({ csrfToken, account, clientName, stranger, redirectHost }: LogoutPageProps) {
  const name = account.name === undefined ? '' : displayText(account.name, 80)
  return (
    <Page title="Do you want to sign out?">
      <div class="stack-s">
        <h1>Do you want to sign out?</h1>
        {clientName !== undefined && (
          <p class="lead">
            <ClientName name={clientName} />
            {stranger && <StrangersHosts {...stranger} />} asks to sign you out.
          </p>
        )}
        {clientName !== undefined && stranger && <StrangerMark {...stranger} />}
      </div>
      <section class="account" aria-label="Who is signed in">
        <p>
          {name !== '' && (
            <>
              <strong>
                <bdi>{name}</bdi>
              </strong>
              <br />
            </>
          )}
          <bdi>{displayText(account.email, 254)}</bdi>
        </p>
      </section>
      <p>
        Your sign-in in this browser ends, and with it what applications got by it. Those that can be told are told at
        once.
      </p>
      <form method="post">
        <CsrfToken value={csrfToken} />
        <div class="actions pair">
          <button id="logout-no" class="button" type="submit" name="action" value="no">
            Stay signed in
          </button>
          <button id="logout-yes" class="button primary" type="submit" name="action" value="yes">
            Sign out
          </button>
        </div>
      </form>
      {redirectHost !== undefined && (
        <p class="small muted">
          Afterwards you go to <Host host={redirectHost} />
        </p>
      )}
    </Page>
  )
}

export interface SignedOutPageProps {
  /** The address of /account. */
  readonly account: string
  /** Where the application wants its user to go. */
  readonly onward?: { readonly href: string; readonly host: string } | undefined
}

/** Its text is fixed: whoever tests a login by a program looks for it. */
export function SignedOutPage({ account, onward }: SignedOutPageProps) {
  return (
    <Page title="You have signed out">
      <h1 id="logout-done">You have signed out</h1>
      <p>Nobody is signed in here in this browser.</p>
      <nav class="actions" aria-label="Ways on">
        {onward && (
          <a id="logout-onward" class="button primary" href={onward.href} rel="noopener noreferrer">
            <span>
              Go on to <bdi dir="ltr">{displayText(onward.host, 253)}</bdi>
            </span>
          </a>
        )}
        <a class="button" href={account}>
          Sign in again
        </a>
      </nav>
    </Page>
  )
}

/** @param props.account the address of /account */
export function StillSignedInPage({ account }: { readonly account: string }) {
  return (
    <Page title="You are still signed in">
      <h1 id="logout-refused">You are still signed in</h1>
      <p>Nothing was ended. You can close this page, or go back to the application.</p>
      <a class="button" href={account}>
        Your account
      </a>
    </Page>
  )
}
