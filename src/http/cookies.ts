import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { pageSettings } from './pages.js'

/**
 * `browser` tells browsers apart before anybody signed in; `session` is the login; `device` says who signed in here before;
 * `demo` is the demo client's own.
 */
export type BrowserCookie = 'browser' | 'session' | 'device' | 'demo'

/** What we ever put into a cookie; anything else is somebody else's. */
const VALUE = /^[A-Za-z0-9._~-]{1,256}$/

/**
 * The value of our cookie, or undefined where it is absent, oversize or garbage, or where two have its name: one of the two
 * was tossed in by a sibling domain, and the header does not say which (attack 128).
 */
export function readCookie(request: FastifyRequest, cookie: BrowserCookie): string | undefined {
  const header = request.headers.cookie
  if (header === undefined) return undefined
  const name = cookieName(cookie, isHttps(request))
  const values = header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  const [value] = values
  return values.length === 1 && value !== undefined && VALUE.test(value) ? value : undefined
}

/**
 * Sets our cookie on the answer. A route of `browserScope`.
 *
 * @param maxAge seconds; without it the cookie ends with the browser
 */
export function writeCookie(
  reply: FastifyReply,
  cookie: BrowserCookie,
  value: string,
  { maxAge }: { readonly maxAge?: number } = {},
): void {
  if (!VALUE.test(value)) throw new TypeError('this would not be read back from a cookie')
  const https = isHttps(reply)
  reply.setCookie(cookieName(cookie, https), value, { ...attributes(https), maxAge })
}

export function clearCookie(reply: FastifyReply, cookie: BrowserCookie): void {
  const https = isHttps(reply)
  reply.setCookie(cookieName(cookie, https), '', { ...attributes(https), maxAge: 0 })
}

/** Lax, not Strict: the way here is a link on the application's site. The prefix demands Secure, Path=/ and no Domain. */
function attributes(https: boolean): CookieSerializeOptions {
  return { httpOnly: true, sameSite: 'lax', secure: https, path: '/' }
}

/** RFC 6265bis §4.1.3.2: a browser takes `__Host-` only from this very host, by https. */
function cookieName(cookie: BrowserCookie, https: boolean): string {
  return `${https ? '__Host-' : ''}ostiary_${cookie}`
}

function isHttps(from: Parameters<typeof pageSettings>[0]): boolean {
  return pageSettings(from).issuer.startsWith('https:')
}
