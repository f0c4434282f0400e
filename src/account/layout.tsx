import type { ComponentChildren } from 'preact'
import { Page } from '../ui/index.js'

export type AccountPart = 'overview' | 'sessions' | 'applications' | 'api-keys'

export interface AccountPageProps {
  readonly title: string
  /** The address of /account. */
  readonly base: string
  /** To which part it belongs. */
  readonly part: AccountPart
  readonly children: ComponentChildren
}

/** What all pages of the account share: where the others are. */
export function AccountPage({ title, base, part, children }: AccountPageProps) {
  const parts: readonly { readonly part: AccountPart; readonly href: string; readonly label: string }[] = [
    { part: 'overview', href: base, label: 'Overview' },
    { part: 'sessions', href: `${base}/sessions`, label: 'Sign-ins' },
    { part: 'applications', href: `${base}/applications`, label: 'Applications' },
    { part: 'api-keys', href: `${base}/api-keys`, label: 'API keys' },
  ]
  return (
    <Page title={title} wide>
      <nav class="tabs" aria-label="Your account">
        {parts.map((each) => (
          <a key={each.part} href={each.href} aria-current={each.part === part ? 'page' : undefined}>
            {each.label}
          </a>
        ))}
      </nav>
      {children}
    </Page>
  )
}
