import { ConfigurationError, messageOf, type SaidError, UnavailableError } from './errors.js'
import { parseObject } from './json.js'
import { abortable, type Platform } from './platform.js'

export interface Fetched {
  readonly text: string
  readonly headers: Headers
  /** It is as it was when it had the given tag: then the text is empty. RFC 9110 §15.4.5. */
  readonly unchanged: boolean
}

export interface FetchOptions {
  readonly accept: string
  readonly headers?: Readonly<Record<string, string>>
  /** Makes it a POST of a form. */
  readonly form?: Readonly<Record<string, string>> | URLSearchParams
  /** Of the answer that is meant; default 200. */
  readonly status?: number
  /** Bytes of the answer, uncompressed. */
  readonly limit: number
  /** The `ETag` of what is there: the same is not sent again. RFC 9110 §13.1.2. */
  readonly etag?: string | undefined
  /** Aborts it from outside. */
  readonly signal?: AbortSignal
}

/** Milliseconds for an answer, all of it. */
const patience = 5_000

/**
 * The body of a 200, or of none where nothing has changed. Neither a redirect nor what is too slow or too long is followed to its end.
 *
 * @throws {UnavailableError} for everything else
 */
export async function fetchText(platform: Platform, url: string, options: FetchOptions): Promise<Fetched> {
  const controller = new AbortController()
  const { signal } = controller
  const abort = (): void => controller.abort(new Error(`there was no answer within ${patience / 1000} s`))
  const cancel = platform.setTimer(abort, patience)
  options.signal?.addEventListener('abort', abort)
  if (options.signal?.aborted) abort()
  try {
    const init: RequestInit = {
      ...(options.form ? { method: 'POST', body: new URLSearchParams(options.form) } : {}),
      headers: {
        accept: options.accept,
        ...(options.etag === undefined ? {} : { 'if-none-match': options.etag }),
        ...options.headers,
      },
      // Refused below, by its status: not every runtime knows a redirect that is an error.
      redirect: 'manual',
      signal,
    }
    const response = await abortable(platform.fetch(url, init), signal)
    const { headers } = response
    const unchanged = response.status === 304 && options.etag !== undefined
    if (unchanged) return { text: '', headers, unchanged }
    if (response.status !== (options.status ?? 200)) {
      const error = options.form && [400, 429].includes(response.status) ? await readError(response, signal) : undefined
      response.body?.cancel().catch(() => undefined)
      const [retryAfter] = /^\d{1,5}$/.exec(headers.get('retry-after') ?? '') ?? []
      throw new UnavailableError(`${url} answered ${response.status}`, {
        status: response.status,
        retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
        error,
        limit: limitOf(headers),
      })
    }
    return { text: await readText(response, options.limit, signal), headers, unchanged }
  } catch (error) {
    if (error instanceof UnavailableError) throw error
    throw new UnavailableError(`${url} cannot be reached: ${messageOf(error)}`, { cause: error })
  } finally {
    cancel()
    options.signal?.removeEventListener('abort', abort)
  }
}

/** RFC 6749 §5.2. @returns undefined for whatever is not of that form */
async function readError(response: Response, signal: AbortSignal): Promise<SaidError | undefined> {
  try {
    const {
      error: code,
      error_description: description = '',
      exceeded,
    } = parseObject(await readText(response, 4_096, signal)) ?? {}
    if (typeof code !== 'string' || typeof description !== 'string') return undefined
    return {
      code,
      description: description.slice(0, 200).replace(/[^ !#-[\]-~]/g, ''),
      exceeded: typeof exceeded === 'string' ? exceeded : undefined,
    }
  } catch {
    return undefined
  }
}

function limitOf(headers: Headers): Readonly<Record<string, string>> {
  const names = ['RateLimit', 'RateLimit-Policy', 'Retry-After']
  return Object.fromEntries(names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? '']] : [])))
}

async function readText(response: Response, limit: number, signal: AbortSignal): Promise<string> {
  if (!response.body) return ''
  const reader = response.body.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let size = 0
  let text = ''
  for (;;) {
    const { done, value } = await abortable(reader.read(), signal)
    if (done) return text + decoder.decode()
    size += value.length
    if (size > limit) {
      reader.cancel().catch(() => undefined)
      throw new UnavailableError(`${response.url} answers with more than ${limit} bytes`)
    }
    text += decoder.decode(value, { stream: true })
  }
}

/**
 * Whether whatever is read from this address can be relied on: TLS, or this very machine.
 *
 * @throws {ConfigurationError} for any other
 */
export function requireTrusted(url: unknown, what: string): string {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || typeof url !== 'string') throw new ConfigurationError(`${what} is no URL`)
  if (parsed.username !== '' || parsed.password !== '') throw new ConfigurationError(`${what} has credentials in it`)
  if (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback(parsed.hostname))) return url
  throw new ConfigurationError(`${what} must be https, or http on loopback: ${url}`)
}

/** As `URL` writes it: numbers in other bases are dotted, and case is folded. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
}
