import { Page } from '../ui/index.js'

/** @param props.base the address of /account */
export function SignedOutPage({ base }: { readonly base: string }) {
  return (
    <Page title="Signed out">
      <h1>You are signed out</h1>
      <p>
        Applications that you used in this browser may still know you: sign out there too, on a computer that others
        use.
      </p>
      <a class="button" href={base}>
        Sign in again
      </a>
    </Page>
  )
}
