/** What is looked at of a request: Node's, Fastify's and Express's, and those of the Fetch standard, are like this. */
export interface RequestLike {
  /** With path and query. */
  readonly url?: string | undefined
  readonly method?: string | undefined
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>
  /** Of Node.js: whose `headers` keep one of two `Authorization` and drop the other. */
  readonly rawHeaders?: readonly string[] | undefined
  /** Where it comes from, as a framework says, by its own setting for proxies. */
  readonly ip?: string | undefined
  /** Of Node.js. */
  readonly socket?: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean } | undefined
  /**
   * The bytes of the body as they were sent, or what reads them when they are needed: for signed requests alone. Its name is
   * not `body`, which is a stream in the Fetch standard and whatever was parsed in Express. A `Request` of the Fetch standard
   * needs none.
   */
  readonly rawBody?: Uint8Array<ArrayBuffer> | ReadBody | undefined
}

/** @param limit bytes: of a longer body no more is kept */
export type ReadBody = (limit: number) => Promise<Uint8Array<ArrayBuffer> | BodyProblem>

export type BodyProblem = 'body_too_large' | 'body_unavailable'

/** Every value of the header, as it was sent. @param name in lower case */
export function headerValues({ headers, rawHeaders }: RequestLike, name: string): readonly string[] {
  if (rawHeaders) {
    const found: string[] = []
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const raw = rawHeaders[index]!
      if (raw.length === name.length && raw.toLowerCase() === name) found.push(rawHeaders[index + 1]!)
    }
    return found
  }
  const value = isHeaders(headers) ? (headers.get(name) ?? undefined) : headers[name]
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

/** As they were sent, or in lower case. */
export function headerNames({ headers, rawHeaders }: RequestLike): readonly string[] {
  if (rawHeaders) return rawHeaders.filter((_, index) => index % 2 === 0)
  if (isHeaders(headers)) {
    const names: string[] = []
    headers.forEach((_, name) => {
      names.push(name)
    })
    return names
  }
  return Object.keys(headers).filter((name) => headers[name] !== undefined)
}

function isHeaders(headers: RequestLike['headers']): headers is Headers {
  return typeof headers.get === 'function'
}

/** Whether a token stands in the address, where it gets into logs and histories. RFC 9700 §4.3.2, RFC 6750 §5.3. */
export function hasTokenInQuery(request: RequestLike): boolean {
  const query = queryOf(request)
  return query !== undefined && new URLSearchParams(query).has('access_token')
}

/** As it was sent, without the question mark; undefined where there is none. */
export function queryOf({ url }: RequestLike): string | undefined {
  const at = url?.indexOf('?') ?? -1
  return url === undefined || at < 0 ? undefined : url.slice(at + 1)
}

/** Says where a request comes from; undefined where nobody knows. */
export type AddressOf = (request: RequestLike) => string | undefined

/** Where it comes from, as far as the framework or Node.js says. */
export function addressOf({ ip, socket }: RequestLike): string | undefined {
  return ip ?? socket?.remoteAddress
}

/** The path of a request, without its query. */
export function pathOf({ url = '/' }: RequestLike): string {
  if (!url.startsWith('/')) return URL.canParse(url) ? new URL(url).pathname : ''
  const query = url.indexOf('?')
  return query < 0 ? url : url.slice(0, query)
}
