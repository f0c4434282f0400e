import type { ComponentChildren } from 'preact'
import { displayHost, displayName, timeText, webHref } from './display.js'

/**
 * Something failed. It can take the focus, since without script a live region that is there from the beginning is not
 * always read aloud.
 *
 * @param focused where there is no field that the reader should go to instead
 */
export function Alert({ id, focused = false, children }: AlertProps) {
  return (
    <p id={id} class="alert" role="alert" tabIndex={-1} autofocus={focused}>
      {children}
    </p>
  )
}

interface AlertProps {
  readonly id?: string
  readonly focused?: boolean
  readonly children: ComponentChildren
}

/** The name that a client gave itself, isolated so that its direction turns nothing around it. Attack 98. */
export function ClientName({ name }: { readonly name: string }) {
  return (
    <strong>
      <bdi>{displayName(name)}</bdi>
    </strong>
  )
}

export function Host({ host }: { readonly host: string }) {
  return (
    <strong>
      <bdi dir="ltr">{displayHost(host)}</bdi>
    </strong>
  )
}

/** A link to a page of somebody else, in a new tab so that the form stays. Without a web address: nothing. */
export function ExternalLink({ href, children }: { readonly href: string | undefined; readonly children: string }) {
  const target = href === undefined ? undefined : webHref(href)
  if (target === undefined) return null
  return (
    <a href={target} target="_blank" rel="noopener noreferrer nofollow">
      {children}
      <span class="hidden"> (opens in a new tab)</span>
    </a>
  )
}

/** A moment, in words and for machines. */
export function Time({ at }: { readonly at: Date }) {
  return <time dateTime={at.toISOString()}>{timeText(at)}</time>
}

/** The proof that the form was sent from our own page. Attacks 23 and 30. */
export function CsrfToken({ value }: { readonly value: string }) {
  return <input type="hidden" name="csrf_token" value={value} />
}
