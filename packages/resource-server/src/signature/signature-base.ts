/** A request as its signer and its verifier see it alike. */
export interface SignedMessage {
  readonly method: string
  /** Scheme and authority under which clients reach the API, such as `https://orders.example`. */
  readonly origin: string
  /** Path and query as they were sent; or the whole address, of which scheme and authority are not looked at. */
  readonly url: string
  /** Every value of a header field. @param name in lower case */
  readonly field: (name: string) => readonly string[]
}

/** What of a request's control data can be covered. RFC 9421 §2.2. */
const derived: Readonly<Record<string, (message: SignedMessage) => string | undefined>> = {
  '@method': ({ method }) => method,
  '@target-uri': ({ origin, url }) => {
    const target = targetOf(url)
    return target && `${origin}${target.path}${target.query}`
  },
  '@authority': ({ origin }) => new URL(origin).host,
  '@path': ({ url }) => targetOf(url)?.path,
  // Where there is no query it is a question mark. RFC 9421 §2.2.7.
  '@query': ({ url }) => {
    const target = targetOf(url)
    return target && (target.query || '?')
  },
}

/** Whether this can be covered: part of the control data, or a header field in lower case. RFC 9421 §2.1. */
export function isComponent(name: string): boolean {
  return Object.hasOwn(derived, name) || /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)
}

/**
 * The value of a component, printable and on one line. The values of a field are joined as RFC 9421 §2.1 says.
 *
 * @returns undefined where the request has none, or one that could be read in two ways
 */
export function componentValue(name: string, message: SignedMessage): string | undefined {
  if (Object.hasOwn(derived, name)) {
    const value = derived[name]!(message)
    return value !== undefined && /^[!-~]+$/.test(value) ? value : undefined
  }
  const values = message.field(name)
  // Line ends, folded or not, and whatever is no ASCII: §2.5 has no place for them.
  if (values.length === 0 || !values.every((value) => /^[\t -~]*$/.test(value))) return undefined
  return values.map((value) => value.trim()).join(', ')
}

/**
 * The text that is signed. RFC 9421 §2.5.
 *
 * @param parameters the value of the last line: the inner list, serialized
 * @returns undefined where a component has no value
 */
export function signatureBase(
  components: readonly string[],
  message: SignedMessage,
  parameters: string,
): string | undefined {
  let base = ''
  for (const name of components) {
    const value = componentValue(name, message)
    if (value === undefined) return undefined
    base += `"${name}": ${value}\n`
  }
  return `${base}"@signature-params": ${parameters}`
}

/** As they were sent: nothing is decoded or resolved, so that routes see what was signed. RFC 9421 §2.2.6, §2.2.7. */
function targetOf(url: string): { readonly path: string; readonly query: string } | undefined {
  // Neither a fragment nor `*` nor the address of CONNECT.
  const before = url.startsWith('/') ? '' : /^https?:\/\/[^/?#]+/i.exec(url)?.[0]
  if (before === undefined || url.includes('#')) return undefined
  const target = url.slice(before.length)
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  return { path: path || '/', query: query < 0 ? '' : target.slice(query) }
}
