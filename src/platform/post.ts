import { version } from './version.js'

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Ends the call. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for all of it. */
  readonly timeout: number
}

export interface Reply {
  readonly status: number
  readonly retryAfter: string | undefined
  /** As far as it was read. */
  readonly body: string
}

/** There is no answer. The message is a word for it, such as `timeout` or `econnrefused`. */
export class NoReplyError extends Error {
  override readonly name = 'NoReplyError'
}

/** Bytes of an answer that are read: more than a word of why is not asked for. */
const mostRead = 4_096

/**
 * A POST to an address that an administrator named: so it may be in a private network. It follows no redirect, since that
 * would let whoever answers choose who else hears of it, credential included.
 *
 * @throws {NoReplyError}
 */
export async function post(url: string, { headers, body, signal, timeout }: PostOptions): Promise<Reply> {
  const end = new AbortController()
  const timer = setTimeout(() => end.abort(new NoReplyError('timeout')), timeout)
  const breakOff = (): void => end.abort(new NoReplyError('aborted'))
  signal?.addEventListener('abort', breakOff)
  if (signal?.aborted) breakOff()
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'User-Agent': `ostiary/${version}`, ...headers },
      body,
      redirect: 'manual',
      signal: end.signal,
    })
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after') ?? undefined,
      body: await beginningOf(response),
    }
  } catch (error) {
    throw new NoReplyError(whyNot(error), { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', breakOff)
  }
}

async function beginningOf({ body }: Response): Promise<string> {
  if (!body) return ''
  const parts: Uint8Array[] = []
  let length = 0
  const reader = body.getReader()
  while (length < mostRead) {
    const { done, value } = await reader.read()
    if (done) return textOf(parts)
    parts.push(value)
    length += value.length
  }
  await reader.cancel()
  return textOf(parts)
}

function textOf(parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts).subarray(0, mostRead).toString('utf8')
}

/** `fetch` says why in its cause, or in the cause of that. */
function whyNot(error: unknown): string {
  if (!(error instanceof Error)) return 'unreachable'
  if (error instanceof NoReplyError) return error.message
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return code.toLowerCase()
  return error.cause === undefined ? 'unreachable' : whyNot(error.cause)
}

/**
 * Seconds that a Retry-After asks for, at least 1. RFC 9110 §10.2.3.
 *
 * @returns undefined for none, and what is none
 */
export function secondsToWait(retryAfter: string | undefined, now: Date): number | undefined {
  const text = retryAfter?.trim() ?? ''
  if (/^\d{1,9}$/.test(text)) return Math.max(1, Number(text))
  // A date begins with the name of its day: `Date.parse` takes many other things.
  const date = /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(1, Math.ceil((date - now.getTime()) / 1000))
}
