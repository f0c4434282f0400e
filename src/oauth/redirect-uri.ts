import { InvalidRedirectUriError } from './errors.js'

/** RFC 7591 §2, OIDC Registration §2: `native` is what runs on the user's device and can keep no secret. */
export type ApplicationType = 'web' | 'native'

export type RegisteredRedirectUris = {
  readonly registered: readonly string[]
  readonly applicationType: ApplicationType
  /** A public client that a document at its client_id describes. */
  readonly isPublicDocument?: boolean
}

const maxLength = 2048

/** A port is digits without a leading zero: `:0`, `:080` and an empty one are other texts, not other ports. */
const loopback = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?(?=[/?]|$)/
const loopbackOrLocalhost = /^http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost)(?::([1-9][0-9]{0,4}))?(?=[/?]|$)/

/**
 * The redirect URI that an authorization request means, or undefined where it means none of the registered: then
 * nothing may be redirected. RFC 6749 §3.1.2.3, §3.1.2.4.
 *
 * Strings are compared, not URLs: no two spellings are the same (attacks 1 to 6). The one exception is the port of a
 * native client's `http://127.0.0.1` or `http://[::1]`, which the operating system chooses when the app starts to
 * listen (RFC 8252 §7.3, attack 8). `localhost` is none: another machine may answer to that name (§8.3).
 *
 * A document of a public client counts as one of an app there, whatever `application_type` it has: those of MCP clients have none,
 * and list loopback without a port, `localhost` too. §8.3 advises against that name and forbids it to nobody: where a document lists
 * it, the answer goes to that name with one port as with another, so a free port makes it no worse. PKCE binds the code to who asked
 * (always demanded of documents), and consent is asked for each time (§8.6).
 *
 * @param requested undefined means the only one registered, if there is only one (attack 10)
 */
export function findRedirectUri(
  { registered, applicationType, isPublicDocument = false }: RegisteredRedirectUris,
  requested: string | undefined,
): string | undefined {
  if (requested === undefined) return registered.length === 1 ? registered[0] : undefined
  if (registered.includes(requested)) return requested
  if (applicationType !== 'native' && !isPublicDocument) return undefined

  const names = isPublicDocument ? loopbackOrLocalhost : loopback
  const withoutPort = withoutLoopbackPort(requested, names)
  if (withoutPort === undefined) return undefined
  return registered.some((uri) => withoutLoopbackPort(uri, names) === withoutPort) ? requested : undefined
}

/**
 * Checks a redirect URI before it is registered. What passes has one spelling, so that whoever parses it later, a
 * browser included, finds the host that was meant. RFC 6749 §3.1.2, RFC 8252 §7 and §8.4, RFC 9700 §2.1 and §2.6.
 *
 * @throws {InvalidRedirectUriError} whose message says what is wrong
 */
export function checkRedirectUri(uri: string, applicationType: ApplicationType): void {
  if (uri.length > maxLength) throw invalid(`is longer than ${maxLength} characters`)
  if (uri.includes('#')) throw invalid('has a fragment')
  if (uri.includes('*')) throw invalid('has a wildcard: each URI is registered on its own')
  if (!/^[A-Za-z0-9._~:/?[\]@!$&'()+,;=%-]+$/.test(uri)) throw invalid('has a character that no URI may have')
  if (/%(?![0-9A-Fa-f]{2})/.test(uri)) throw invalid('has a malformed percent-encoding')
  if (/%(?:[01][0-9A-Fa-f]|7[Ff])/.test(uri)) throw invalid('has an encoded control character')

  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(uri)?.[1]
  if (scheme === undefined) throw invalid('is not absolute, or its scheme is not in lower case')

  const [beforeQuery = ''] = uri.split('?', 1)
  if (/%(?:2[EeFf]|5[Cc])/.test(beforeQuery)) throw invalid('has an encoded dot, slash or backslash in its path')
  if (/\/\.{1,2}(?:\/|$)/.test(beforeQuery)) throw invalid('has a dot segment')

  if (scheme === 'https' || scheme === 'http') checkWebUri(uri, scheme)
  else checkPrivateUseUri(uri, scheme, applicationType)
}

function checkWebUri(uri: string, scheme: 'https' | 'http'): void {
  const url = parse(uri)
  if (authorityOf(uri).includes('@')) throw invalid('has user information')
  if (url.hostname.endsWith('.')) throw invalid('has a host that ends with a dot')
  // Finds upper case, default ports, numeric forms of IPv4, `https:host`, `https:///host` and the like.
  const canonical = url.pathname === '/' ? [url.href, url.origin + url.search] : [url.href]
  if (!canonical.includes(uri)) throw invalid(`is not in its canonical form: write ${url.href}`)
  if (url.port === '0') throw invalid('has the port 0')
  if (scheme === 'http' && !isLoopbackHost(url.hostname)) {
    throw invalid('is http: only https is safe, except on localhost, 127.0.0.1 and [::1]')
  }
}

/** `com.example.app:/callback`. RFC 8252 §7.1. */
function checkPrivateUseUri(uri: string, scheme: string, applicationType: ApplicationType): void {
  // A scheme without a dot is somebody else's: javascript, data, vbscript and file (attack 7), or one that any app may
  // claim (attack 13).
  if (!/^[a-z][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+$/.test(scheme)) {
    throw invalid('has a scheme other than https, http on loopback, or the reversed domain name of a native app')
  }
  if (applicationType !== 'native') throw invalid('has a scheme that only a native application may have')
  if (!uri.startsWith('/', scheme.length + 1)) throw invalid('needs a slash after its scheme')
  if (authorityOf(uri).includes('@')) throw invalid('has user information')
  if (parse(uri).href !== uri) throw invalid('is not in its canonical form')
}

/**
 * For tokens in the address of the answer: https, and not this machine, where any program may listen. OIDC Registration §2
 * (`application_type`).
 *
 * @param uri that `checkRedirectUri` has passed
 * @throws {InvalidRedirectUriError}
 */
export function checkImplicitRedirectUri(uri: string): void {
  const { protocol, hostname } = new URL(uri)
  if (protocol !== 'https:') throw invalid('is not https, as the grant type implicit needs it')
  // RFC 6761 §6.3: so are all names below it.
  if (isLoopbackHost(hostname) || hostname.endsWith('.localhost')) {
    throw invalid('is at this machine, where the grant type implicit leads nowhere')
  }
}

/** http is acceptable on these three names alone, each in this spelling. RFC 8252 §7.3, §8.3. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
}

function withoutLoopbackPort(uri: string, names: RegExp): string | undefined {
  const match = names.exec(uri)
  if (!match) return undefined
  const [origin, port] = match
  if (port === undefined) return uri
  if (Number(port) > 65535) return undefined
  return origin.slice(0, -port.length - 1) + uri.slice(origin.length)
}

function authorityOf(uri: string): string {
  return /^[^:]+:\/\/([^/?]*)/.exec(uri)?.[1] ?? ''
}

function parse(uri: string): URL {
  try {
    return new URL(uri)
  } catch (cause) {
    throw invalid('is not a URI', cause)
  }
}

function invalid(what: string, cause?: unknown): InvalidRedirectUriError {
  return new InvalidRedirectUriError(`The redirect URI ${what}.`, {
    reason: 'redirect_uri_refused',
    field: 'redirect_uris',
    cause,
  })
}
