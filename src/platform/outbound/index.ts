// Owns requests to addresses that a stranger named (a client's `jwks_uri`, a metadata document, a logo): https and public
// addresses alone, pinned once resolved, no redirects, bounded in time, bytes and number. Attacks 33, 95 and 96.

import { monotonicMilliseconds } from '../monotonic.js'
import { OutboundError } from './errors.js'
import { bareHost, type Exempt, hostAndPort, type OutboundProblem, outboundProblem } from './outbound-url.js'
import { type OutboundAnswer, send } from './request.js'
import { pin, type Resolve, resolveExemptName, resolvePublicName } from './resolve.js'

export { OutboundError, type OutboundReason } from './errors.js'
export { type FreshnessBounds, freshFor } from './freshness.js'
export type { OutboundProblem } from './outbound-url.js'
export type { OutboundAnswer } from './request.js'

/** Whose addresses: each has places of its own, so that what strangers named takes none of those that operators need. */
export type OutboundShare = keyof typeof places

export interface OutboundOptions {
  /** Default: that of strangers. */
  readonly share?: OutboundShare | undefined
  readonly accept?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Ends the call. */
  readonly signal?: AbortSignal | undefined
}

export interface OutboundPost extends OutboundOptions {
  readonly contentType: string
  readonly body: string
}

/** Asks addresses that a stranger named. */
export interface Outbound {
  /** What speaks against an address before it is asked; undefined: nothing. */
  readonly problemOf: (url: string) => OutboundProblem | undefined
  /**
   * The same for all addresses of one registration, with a look at where their names lead now: whoever calls it waits for one
   * before the next. A host is looked at once, in half of the time of a request at most, and all of them in the time of one: so
   * whoever names many, at a name server that is slow, holds one place and not all of them. A name that cannot be resolved is not
   * refused: it is looked at again whenever it is asked.
   *
   * @throws {OutboundError} also `outbound_busy` and `outbound_timeout`, where an address could not be looked at: it may be private
   */
  readonly checks: (share?: OutboundShare) => (url: string) => Promise<void>
  /** @throws {OutboundError} */
  readonly get: (url: string, options?: OutboundOptions) => Promise<OutboundAnswer>
  /** @throws {OutboundError} */
  readonly post: (url: string, options: OutboundPost) => Promise<OutboundAnswer>
}

export interface OutboundSettings {
  /** Hosts with port that are asked whatever their address and scheme. */
  readonly allow: readonly string[]
  /** Milliseconds for all of one request; default 3,000. */
  readonly timeout?: number
  /** Of names, for tests. */
  readonly resolve?: Resolve
  /** Asks, for tests. */
  readonly send?: typeof send
}

/** Milliseconds. */
const defaultTimeout = 3_000

/** Bytes of an answer. */
const limit = 65_536

/** Requests that are under way at once, in each share. Who comes on top is refused, since whoever waits holds others. */
const places = {
  /** What administrators registered. */
  operators: 64,
  /** As many as their lanes have (`jobs/deliver-outbox.ts`), which keep those of strangers apart. */
  logouts: 48,
  /** What clients registered themselves, and what documents name. */
  strangers: 24,
  /** Documents at a `client_id`: whoever opens a link names one. */
  documents: 8,
}

/** Of these to one host. */
const mostPerHost = 4

export function createOutbound(settings: OutboundSettings): Outbound {
  const { allow, timeout = defaultTimeout, resolve, send: ask = send } = settings
  const exempt: Exempt = new Set(allow)
  const underWay = new Map<string, number>()

  function addressesFor(url: URL): Promise<readonly string[]> {
    const isExempt = exempt.has(hostAndPort(url))
    return pin(bareHost(url), isExempt, resolve ?? (isExempt ? resolveExemptName : resolvePublicName))
  }

  /** @throws {OutboundError} */
  function checked(text: string): URL {
    const problem = outboundProblem(text, exempt)
    if (problem) throw new OutboundError(problem, messages[problem])
    return new URL(text)
  }

  function count(key: string, by: 1 | -1): void {
    const sum = (underWay.get(key) ?? 0) + by
    if (sum === 0) underWay.delete(key)
    else underWay.set(key, sum)
  }

  async function bounded<Result>(url: URL, share: OutboundShare, work: () => Promise<Result>): Promise<Result> {
    // By name: whoever owns many names of one address is bounded by the sum.
    const host = `${share} ${hostAndPort(url)}`
    if ((underWay.get(host) ?? 0) >= mostPerHost || (underWay.get(share) ?? 0) >= places[share]) {
      throw new OutboundError('outbound_busy', 'Too many requests are under way, to the host or in all.')
    }
    count(host, 1)
    count(share, 1)
    try {
      return await work()
    } finally {
      count(host, -1)
      count(share, -1)
    }
  }

  /** @param work what the signal breaks off; where it does not, it is left behind */
  async function inTime<Result>(
    breakingOff: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
    milliseconds = timeout,
  ): Promise<Result> {
    const end = new AbortController()
    const breakOff = (): void => end.abort()
    const timer = setTimeout(breakOff, milliseconds)
    breakingOff?.addEventListener('abort', breakOff)
    if (breakingOff?.aborted) breakOff()
    try {
      return await orAborted(work, end.signal)
    } finally {
      clearTimeout(timer)
      breakingOff?.removeEventListener('abort', breakOff)
    }
  }

  function call(text: string, method: 'GET' | 'POST', options: Partial<OutboundPost>) {
    const { share = 'strangers', accept, headers, signal, ...rest } = options
    const url = checked(text)
    const sent = {
      ...headers,
      ...(accept === undefined ? {} : { Accept: accept }),
      ...(rest.contentType === undefined ? {} : { 'Content-Type': rest.contentType }),
    }
    return bounded(url, share, () =>
      inTime(signal, async (end) => {
        const addresses = await addressesFor(url)
        end.throwIfAborted()
        return ask(url, addresses, { method, headers: sent, body: rest.body, limit, signal: end })
      }),
    )
  }

  return {
    problemOf: (url) => outboundProblem(url, exempt),
    checks(share = 'strangers') {
      const end = monotonicMilliseconds() + timeout
      const seen = new Set<string>()
      return async (text) => {
        const url = checked(text)
        if (seen.has(hostAndPort(url))) return
        const left = end - monotonicMilliseconds()
        if (left <= 0) throw new OutboundError('outbound_timeout', 'Not all names could be looked up in time.')
        try {
          await bounded(url, share, () => inTime(undefined, () => addressesFor(url), Math.min(left, timeout / 2)))
        } catch (error) {
          const isSeen =
            error instanceof OutboundError && !['outbound_not_public', 'outbound_busy'].includes(error.reason)
          if (!isSeen) throw error
        }
        seen.add(hostAndPort(url))
      }
    },
    get: async (url, options = {}) => call(url, 'GET', options),
    post: async (url, options) => call(url, 'POST', options),
  }
}

const messages: Readonly<Record<OutboundProblem, string>> = {
  outbound_url_malformed: 'The address is not a URL.',
  outbound_url_credentials: 'The address has a user name or password.',
  outbound_not_https: 'The address is not https.',
  outbound_not_public: 'The host is not one of the public internet.',
}

/**
 * Ends with the signal, whatever the work does: the name of a stranger may never resolve, and Node.js has ways to end a request
 * that say nothing to whoever waits for it. Who waited for ever would hold its place for ever.
 */
function orAborted<Result>(work: (signal: AbortSignal) => Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new OutboundError('outbound_timeout', 'There was no answer in time.'))
    if (signal.aborted) return late()
    signal.addEventListener('abort', late, { once: true })
    work(signal).then(resolve, reject)
  })
}
