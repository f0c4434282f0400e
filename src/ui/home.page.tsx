import { webHref } from './display.js'
import { Page } from './page.js'

export interface HomePageProps {
  readonly issuer: string
  readonly version: string
  /** Where the demo login starts; only an installation in demo mode has one. */
  readonly demo?: { readonly url: string }
}

/** What `/` shows: that the server runs and where the rest is. */
export function HomePage({ issuer, version, demo }: HomePageProps) {
  const demoHref = demo && webHref(demo.url)
  const metadata = metadataUrl(issuer)
  const jwks = `${issuer.replace(/\/$/, '')}/jwks`
  return (
    <Page title="Ostiary is running">
      <h1>Ostiary is running</h1>
      <p class="lead">This is an OAuth 2.0 authorization server: applications send people here to sign in.</p>
      {demoHref !== undefined && (
        <section class="stack" aria-labelledby="demo">
          <div class="stack-s">
            <h2 id="demo">See it work</h2>
            <p>Sign in as the demo user, allow the demo application, and look at the tokens that it gets.</p>
          </div>
          <a class="button primary" href={demoHref}>
            Start the demo login
          </a>
        </section>
      )}
      <dl class="facts section">
        <div>
          <dt>Issuer</dt>
          <dd>
            <code class="select">{issuer}</code>
          </dd>
        </div>
        <div>
          <dt>Metadata, for clients</dt>
          <dd>
            <a href={metadata}>
              <code>{metadata}</code>
            </a>
          </dd>
        </div>
        <div>
          <dt>Signing keys, for APIs</dt>
          <dd>
            <a href={jwks}>
              <code>{jwks}</code>
            </a>
          </dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd>{version}</dd>
        </div>
      </dl>
      <p class="small muted">
        Did you come here to sign in to an application? Go back to it: signing in starts there, and it sends you here.
        What is yours on this server is in <a href={`${issuer.replace(/\/$/, '')}/account`}>your account</a>.
      </p>
    </Page>
  )
}

/** The well-known part goes between host and path. RFC 8414 §3.1. */
function metadataUrl(issuer: string): string {
  const url = new URL(issuer)
  return `${url.origin}/.well-known/oauth-authorization-server${url.pathname.replace(/\/$/, '')}`
}
