import type { FastifyInstance, FastifyReply } from 'fastify'
import type { VNode } from 'preact'
import type { OAuthError } from '../oauth/errors.js'
import type { Random } from '../platform/random.js'
import { renderPage } from '../ui/index.js'
import { noStore } from './security-headers.js'

/** What pages and cookies need of the server that they are sent by. */
export interface PageSettings {
  readonly random: Random
  readonly issuer: string
  /** For the audit. */
  readonly onRefusal?: ((error: OAuthError, ip: string | undefined) => void) | undefined
}

const SETTINGS = 'pageSettings'

export function decoratePages(app: FastifyInstance, settings: PageSettings): void {
  app.decorate(SETTINGS, settings)
}

export function pageSettings(reply: { readonly server: FastifyInstance }): PageSettings {
  return reply.server.getDecorator<PageSettings>(SETTINGS)
}

export interface SendPageOptions {
  /**
   * Where the page's forms may lead besides us, since browsers hold a redirect that follows a form to `form-action` too:
   * redirect URIs, in full.
   */
  readonly formAction?: readonly string[]
  /**
   * The page has `SubmitItself`, the one script that there is, and a form to another site alone: where that sends the browser
   * on is its own matter, so that there is no `form-action`.
   */
  readonly submitsItself?: boolean
}

/**
 * Sends a page with a policy of its own: nothing is loaded, no script runs but the one that a page may say it has, only the style with the nonce applies, and no
 * other site may frame it (RFC 9700 §4.16; attacks 24 and 127).
 *
 * @param page one whose outermost element is `Page`
 */
export function sendPage(
  reply: FastifyReply,
  status: number,
  page: VNode,
  { formAction = [], submitsItself = false }: SendPageOptions = {},
): FastifyReply {
  const nonce = pageSettings(reply).random.bytes(16).toString('base64url')
  const targets = ["'self'", ...new Set(formAction.map(formActionSource).filter((source) => source !== undefined))]
  const [scripts, forms] = submitsItself
    ? [`script-src 'nonce-${nonce}'; `, '']
    : ['', `form-action ${targets.join(' ')}; `]
  noStore(reply)
  return reply
    .code(status)
    .header(
      'Content-Security-Policy',
      `default-src 'none'; ${scripts}style-src 'nonce-${nonce}'; img-src 'self' data:; ${forms}frame-ancestors 'none'; base-uri 'none'`,
    )
    .type('text/html; charset=utf-8')
    .send(renderPage(page, { nonce }))
}

/** The part of a policy that permits a redirect URI: its origin, or its scheme where the grammar has no word for its host. */
function formActionSource(redirectUri: string): string | undefined {
  if (!URL.canParse(redirectUri)) return undefined
  const { protocol, host, hostname } = new URL(redirectUri)
  // CSP 3 §2.3.1 knows no IPv6 address, and an application's own scheme has no host.
  const source =
    /^https?:$/.test(protocol) && !hostname.startsWith('[') && host !== '' ? `${protocol}//${host}` : protocol
  return /^[a-z][a-z0-9+.-]*:(\/\/[a-z0-9.-]+(:\d+)?)?$/.test(source) ? source : undefined
}

/**
 * 303, so that the browser follows with GET and never posts a password on (RFC 9700 §4.12; attack 125).
 *
 * @param location what is no visible ASCII in it is percent-encoded, so that it cannot end the header field (attack 124)
 */
export function seeOther(reply: FastifyReply, location: string): FastifyReply {
  const safe = location.replace(/[^\x21-\x7e]+/g, (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
  noStore(reply)
  return reply.code(303).header('Location', safe).header('Content-Length', '0').send()
}
