import { type ComponentChildren, Fragment } from 'preact'
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

/** A client that nobody who runs this server knows. */
export interface Stranger {
  readonly hosts: readonly string[]
  /** It is answered on the user's own device too. */
  readonly onDevice?: boolean
  /** What is said of it stands in a document at its host. */
  readonly fromDocument?: boolean
}

/** Behind the name of a client: its hosts say more (attack 98). */
export function StrangersHosts({ hosts, onDevice = false }: Stranger) {
  return (
    <>
      {hosts.map((host, index) => (
        <Fragment key={host}>
          {index === 0 ? ' at ' : ', '}
          <Host host={host} />
        </Fragment>
      ))}
      {onDevice && `${hosts.length === 0 ? '' : ','} on this device`}
    </>
  )
}

/** How it came here. */
export function StrangerMark({ fromDocument = false }: Stranger) {
  return (
    <p class="small muted">
      {fromDocument ? 'It describes itself. ' : 'It registered itself. '}
      Nobody who runs this server has checked whose it is.
    </p>
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
