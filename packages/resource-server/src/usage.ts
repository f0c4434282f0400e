import { createBoundedMap } from './bounded-map.js'
import { messageOf, UnavailableError } from './errors.js'
import { fetchText } from './http.js'
import { networkOf, unknown } from './limits/address.js'
import type { Platform } from './platform.js'
import type { ServiceToken } from './service-token.js'

/** What a request showed, whose uses the server wants to know of. */
export interface CountedCredential {
  readonly kind: 'api_key' | 'client'
  /** Of the key, or the `client_id`. */
  readonly id: string
  /** The key has a successor. */
  readonly superseded: boolean
  /** How much it may be used here. */
  readonly tier?: string | undefined
  /** Who shares that: never the same text for two kinds of them. Default: nobody else. */
  readonly sharedBy?: string | undefined
}

export type Outcome = 'accepted' | 'insufficient_scope' | 'network' | 'origin' | 'rate_limited'

export interface Use {
  readonly outcome: Outcome
  /** What the route requires, each name separated by a space. */
  readonly scope: string
  /** Of whoever sent the request: of it nothing but the network leaves this process. */
  readonly address: string | undefined
}

/** Tells the server how credentials are used: counted here, and sent together. */
export interface Usage {
  /** Of a credential that was proved: what somebody only names is nobody's use. */
  readonly count: (credential: CountedCredential, use: Use) => void
  /**
   * A good key stood in an address: the server wants the whole of it, since its id is public.
   *
   * @returns whether the server took it; false where it refused it, or too many wait: it may be shown again
   */
  readonly expose: (text: string) => Promise<boolean>
  /** Sends what is left, once. */
  readonly close: () => Promise<void>
}

export interface UsageOptions {
  readonly platform: Platform
  readonly endpoint: string
  readonly serviceToken: ServiceToken
  readonly warn: (message: string) => void
}

/** Milliseconds between two reports, and to the first that says of an exposed key. */
const interval = { counts: 10_000, exposed: 1_000 }

/** Of one report: the server takes 200 uses and 64 KiB, which are up to three times the characters. */
const most = { lines: 100, characters: 16_000, exposed: 20 }

/** Lines, and exposed keys, that wait for the server at once. Past it uses are counted together, keys left to be shown again. */
const capacity = { lines: 5_000, exposed: 100 }

/** Reports that the server may refuse before a key is no longer in the next: something else in them may have been wrong. */
const mostRefusals = 3

/**
 * Networks of one credential that are told apart among what waits: whoever has a key and many addresses must not push out what
 * is counted of others.
 */
const mostNetworks = 100

/** Characters; of a route that requires more it is not said what. */
const longestScope = 1_000

interface Counted {
  count: number
  /** Of the last, in monotonic milliseconds. */
  at: number
}

interface Exposed {
  refusals: number
  readonly taken: Promise<boolean>
  readonly settle: (taken: boolean) => void
}

interface Report {
  readonly lines: readonly (readonly [line: string, counted: Counted])[]
  readonly exposed: readonly string[]
  readonly uncounted: number
}

export function createUsage({ platform, endpoint, serviceToken, warn }: UsageOptions): Usage {
  const lines = new Map<string, Counted>()
  const exposed = new Map<string, Exposed>()
  const networks = createBoundedMap<string>(1_000, 64_000)
  /** Of each credential, those that stand in `lines`. */
  const seen = new Map<string, Set<string>>()
  let uncounted = 0
  let cancel: (() => void) | undefined
  let soon = false
  let sending: Promise<void> | undefined
  let away = false
  let closed = false

  function arm(milliseconds: number): void {
    if (cancel || closed) return
    cancel = platform.setTimer(() => {
      cancel = undefined
      soon = false
      void flush()
    }, milliseconds)
  }

  function networkFor(address: string | undefined): string {
    if (address === undefined) return '-'
    const known = networks.get(address)
    if (known !== undefined) return known
    const network = networkOf(address)
    const written = network === unknown ? '-' : network
    networks.set(address, written)
    return written
  }

  function networkOfUse(credential: string, address: string | undefined): string {
    const network = networkFor(address)
    if (network === '-') return network
    const known = seen.get(credential)
    if (known?.has(network)) return network
    if (known && known.size >= mostNetworks) return '-'
    // Nothing new is told apart now.
    if (lines.size >= capacity.lines) return network
    if (known) known.add(network)
    else seen.set(credential, new Set([network]))
    return network
  }

  function add(line: string, count: number, at: number): void {
    const known = lines.get(line)
    if (known) {
      known.count += count
      if (at > known.at) known.at = at
    } else if (lines.size < capacity.lines) lines.set(line, { count, at })
    else uncounted += count
  }

  /** The next one, taken out of what waits. */
  function take(): Report {
    const taken: (readonly [string, Counted])[] = []
    let characters = 0
    for (const [line, counted] of lines) {
      characters += line.length
      if (taken.length === most.lines || (taken.length > 0 && characters > most.characters)) break
      taken.push([line, counted])
    }
    for (const [line] of taken) lines.delete(line)
    // These stay where they are until the server has taken them.
    const report = { lines: taken, exposed: [...exposed.keys()].slice(0, most.exposed), uncounted }
    uncounted = 0
    return report
  }

  async function send(report: Report): Promise<void> {
    const now = platform.monotonic()
    const form = new URLSearchParams()
    for (const [line, { count, at }] of report.lines) {
      const [who, rest] = line.split('\n') as [string, string]
      const ago = Math.min(Math.floor((now - at) / 1000), 86_400)
      form.append('use', `${who} ${Math.min(count, 999_999_999)} ${ago} ${rest}`)
    }
    for (const text of report.exposed) form.append('exposed', text)
    if (report.uncounted > 0) form.append('uncounted', String(Math.min(report.uncounted, 999_999_999)))
    const headers = { authorization: `Bearer ${await serviceToken.get()}` }
    await fetchText(platform, endpoint, { accept: 'application/json', headers, form, limit: 65_536, status: 202 })
  }

  /** What may not have arrived is sent again: a use may be counted twice, and is not lost. */
  function putBack(report: Report): void {
    for (const [line, { count, at }] of report.lines) add(line, count, at)
    uncounted += report.uncounted
  }

  function settle(text: string, taken: boolean): void {
    exposed.get(text)?.settle(taken)
    exposed.delete(text)
  }

  function countRefusal(text: string): void {
    const known = exposed.get(text)
    if (known && ++known.refusals >= mostRefusals) settle(text, false)
  }

  async function sendAll(): Promise<void> {
    while (lines.size > 0 || exposed.size > 0 || uncounted > 0) {
      const report = take()
      try {
        await send(report)
        for (const text of report.exposed) settle(text, true)
        away = false
      } catch (error) {
        const status = error instanceof UnavailableError ? error.status : undefined
        if (status === 401) serviceToken.drop()
        // It will not be taken at any later time, either; but for a key, with which nothing may have been wrong.
        if (status === 400 || status === 404) for (const text of report.exposed) countRefusal(text)
        else putBack(report)
        if (!away) warn(`The server does not hear how keys are used. ${messageOf(error)}`)
        away = true
        arm(interval.counts)
        return
      }
    }
    seen.clear()
  }

  function flush(): Promise<void> {
    sending ??= sendAll().finally(() => {
      sending = undefined
      // What came while it was sent, and after it had ended.
      if (lines.size > 0 || exposed.size > 0) arm(interval.counts)
    })
    return sending
  }

  return {
    count({ kind, id, superseded }, { outcome, scope, address }) {
      const named = scope === '' || scope.length > longestScope ? '' : ` ${scope}`
      const network = networkOfUse(`${kind} ${id}`, address)
      const rest = `${superseded ? 1 : 0} ${network}${named}`
      add(`${kind} ${id} ${outcome}\n${rest}`, 1, platform.monotonic())
      arm(interval.counts)
    },
    expose(text) {
      const known = exposed.get(text)
      if (known) return known.taken
      if (closed || exposed.size >= capacity.exposed) return Promise.resolve(false)
      let end: (taken: boolean) => void = () => undefined
      const taken = new Promise<boolean>((resolve) => {
        end = resolve
      })
      exposed.set(text, { refusals: 0, taken, settle: end })
      if (soon) return taken
      cancel?.()
      cancel = undefined
      soon = true
      arm(interval.exposed)
      return taken
    },
    async close() {
      closed = true
      cancel?.()
      cancel = undefined
      await sending
      await sendAll()
      for (const text of [...exposed.keys()]) settle(text, false)
    },
  }
}
