import type { AccessToken } from '../access-token.js'
import { isFetchRequest } from '../body.js'
import { createBoundedMap } from '../bounded-map.js'
import { ConfigurationError, UnavailableError } from '../errors.js'
import { isStrings, parseObject } from '../json.js'
import { normaliseAddress, siteOf, unknown } from '../limits/address.js'
import { isInNetworks, isLoopbackAddress } from '../limits/network.js'
import { isUnavailable, type RateExceeded, type Reason, type UnavailableFor } from '../problems.js'
import { headerNames, headerValues, type RequestLike } from '../request.js'
import { basicOf, type Credentials } from '../service-token.js'
import { createTurns } from '../turns.js'
import { createGuesses } from './guesses.js'
import { createPasswordExchange, type PasswordExchange } from './password-exchange.js'
import type { Scheme } from './scheme.js'
import { perApi, type Tools } from './tools.js'

export interface BasicOptions {
  /** What clients are told that the password is for; default `API`. RFC 7235 §2.2. */
  readonly realm?: string
  /** TLS ends at a proxy, by which every request comes, and which lets none through that came without. */
  readonly behindProxy?: boolean
}

/**
 * `client_id` and `client_secret` of a service account with each request, for whoever can do nothing better. RFC 7617. What they
 * may do is what the server would let the same client do with a token: it is asked for one, which is kept here.
 *
 * @throws {ConfigurationError}
 */
export function basic({ realm = 'API', behindProxy = false }: BasicOptions = {}): Scheme {
  if (!/^[ !#-[\]-~]+$/.test(realm))
    throw new ConfigurationError('realm must be printable ASCII without quotation marks')
  const accountsOf = perApi(createAccounts)
  return {
    name: 'basic',
    challenge: `Basic realm="${realm}", charset="UTF-8"`,
    noun: 'password',
    needsCredentials: true,
    counts: ({ clientId: id }) => ({ kind: 'client', id, superseded: false }),
    begin: (tools) => accountsOf(tools).exchange.look(),
    problem: (tools) => accountsOf(tools).exchange.problem(),
    read(request) {
      const values = headerValues(request, 'authorization')
      const [value, ...more] = values.filter((each) => /^basic(?: |$)/i.test(each))
      if (value === undefined) return undefined
      if (!behindProxy && !isSecure(request)) return { problem: 'transport_insecure' }
      const credentials = readCredentials(value.slice('basic'.length).trim())
      if (!credentials || more.length > 0 || values.length > 1) return { problem: 'request_malformed' }
      return { authenticate: (tools) => accountsOf(tools).check(credentials, tools.addressOf(request)) }
    },
  }
}

/** What proxies, balancers and CDNs write, and no client has a reason to. */
const ofProxy =
  /^(?:forwarded|via|x-forwarded(?:-.+)?|x-original-.+|x-real-ip|(?:x-)?client-ip|x-cluster-client-ip|true-client-ip|(?:wl-)?proxy-client-ip|x-remote-(?:ip|addr)|x-(?:url-)?scheme|front-end-https|x-arr-.+|x-azure-.+|x-amzn-.+|x-envoy-.+|x-appengine-.+|x-vercel-.+|x-nginx-proxy|x-proxyuser-ip|cf-.+|cdn-loop|(?:fastly|fly|do)-(?:client|connecting)-ip)$/i

/** By what no client can write into a request; loopback never leaves the machine. */
function isSecure(request: RequestLike): boolean {
  const { url = '', ip, socket } = request
  if (socket?.encrypted === true) return true
  // An address of the Fetch standard is made by the runtime; in others the client may write one.
  if (isFetchRequest(request) && url.startsWith('https://')) return true
  // A proxy on this machine: from where it was sent, and how, the socket does not say.
  if (headerNames(request).some((name) => ofProxy.test(name))) return false
  const addresses = [ip, socket?.remoteAddress].filter((each) => each !== undefined)
  return addresses.length > 0 && addresses.every(isLoopbackAddress)
}

/** RFC 7617 §2: in UTF-8, up to the first colon, and without control characters. */
function readCredentials(encoded: string): Credentials | undefined {
  if (encoded.length > 1_024 || !/^[\w+/.~-]+={0,2}$/.test(encoded)) return undefined
  try {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const colon = text.indexOf(':')
    if (colon < 1 || colon === text.length - 1 || /\p{Cc}/u.test(text)) return undefined
    return { clientId: text.slice(0, colon), clientSecret: text.slice(colon + 1) }
  } catch {
    return undefined
  }
}

interface Accounts {
  readonly exchange: PasswordExchange
  /** @param address that the request comes from */
  readonly check: (
    credentials: Credentials,
    address: string | undefined,
  ) => Promise<AccessToken | Reason | UnavailableFor | RateExceeded>
}

/** Milliseconds that a password is remembered as wrong, or not as verifiable; and that a wrong one counts, as at the server. */
const refusedFor = { wrong: 5_000, limited: 1_000 }
const countedFor = 600_000

/** Milliseconds that the server's word for a password stands, as for a key. */
const longestAnswer = 60_000

/** The server may go on saying things while it is asked. */
const attempts = 3

/**
 * At once: each may cost the server a slow hash. Those that were right before have turns of their own, which no guess takes; and
 * of them no more wait than there are.
 */
const turnsOf = { first: { atOnce: 8, waiting: 64 }, again: { atOnce: 8, waiting: 1_000 } }

interface Right {
  readonly token: string
  /** That the account may be used from, in CIDR notation; empty: from anywhere. */
  readonly networks: readonly string[]
  /** When it was asked about, in monotonic milliseconds, and in moments of what the server says. */
  readonly at: number
  readonly moment: number
  /** When it may be another secret, in monotonic milliseconds. */
  readonly until: number
}

interface NotRight {
  readonly reason: 'password_wrong' | 'password_unverifiable' | 'passwords_off' | 'rate_exceeded'
  readonly until: number
  /** Of the tier of the account, as the server said it. */
  readonly limit?: Readonly<Record<string, string>>
  /** That it counts as a wrong guess, where the server was shown one. */
  readonly counts?: number
}

type Answer = Right | NotRight

/** Seconds of a secret that was not rotated. */
const lasting = Number.POSITIVE_INFINITY

/** Characters of a name in a map, and of an address beside it. */
const nameLength = 44
const addressLength = 46

/** Who shows a password, and from where. */
interface Caller {
  readonly credentials: Credentials
  /** Of the credentials. */
  readonly name: string
  /** Normalised; `unknown` where nobody knows it. */
  readonly address: string
}

function createAccounts(tools: Tools): Accounts {
  const { platform, credentials: own, verifier, revocations, cacheSize } = tools
  const good = createBoundedMap<Right>(cacheSize, cacheSize * nameLength)
  // Apart, so that made-up passwords drive no good one out.
  const bad = createBoundedMap<NotRight>(cacheSize, cacheSize * (nameLength + addressLength))
  const underWay = new Map<string, Promise<Answer>>()
  const turns = { first: createTurns(platform, turnsOf.first), again: createTurns(platform, turnsOf.again) }
  const nameOf = createNames()
  const guesses = createGuesses(platform)
  // Off is off for what was right before, too.
  const exchange = createPasswordExchange(tools, () => good.clear())

  /** Whether the password was right, and is so where the caller is. */
  function isRightHere({ name, address }: Caller): boolean {
    const right = good.get(name)
    return right !== undefined && isNear(right, address)
  }

  /** What is right is so for all who are near; what is not, for one address. */
  function slotOf(caller: Caller): string {
    return isRightHere(caller) ? caller.name : `${caller.name} ${caller.address}`
  }

  /**
   * RFC 8693 §2: the server compares the secret and the place, counts failures, and says what the client may do here, and from
   * where. It is this API that asks, and says where the client is: it is not where the API is.
   */
  async function fetchToken({ credentials, address }: Caller): Promise<Answer> {
    const askedAt = platform.monotonic()
    const moment = revocations.news.moment()
    try {
      const text = await exchange.ask({
        subject_token: basicOf(credentials).slice('Basic '.length),
        ...(address === unknown ? {} : { subject_address: address }),
      })
      const answer = parseObject(text) ?? {}
      const { access_token: token, allowed_networks: networks = [], secret_expires_in: life = lasting } = answer
      // What is not understood to the last word could be a restriction.
      if (typeof token === 'string' && isStrings(networks) && typeof life === 'number') {
        return { token, networks, at: askedAt, moment, until: askedAt + life * 1000 }
      }
    } catch (error) {
      // It compared nothing, so it was no guess.
      if (exchange.isOff()) return { reason: 'passwords_off', until: 0 }
      const { status, retryAfter: wait, error: said, limit } = error instanceof UnavailableError ? error : {}
      // Wrong, or right and of a client that may do nothing here, or not from there. 401 would be about the API itself.
      if (status === 400) {
        return {
          reason: 'password_wrong',
          until: askedAt + refusedFor.wrong,
          counts: platform.monotonic() + countedFor,
        }
      }
      // The password was right, and the account has to wait. What the server says of its tier is true for a moment.
      if (status === 429 && said?.exceeded === 'tier_of_subject') {
        return { reason: 'rate_exceeded', until: askedAt + refusedFor.limited, limit }
      }
      // The API itself has to wait: whoever shows a password did not guess.
      if (status === 429 && said?.exceeded !== undefined && wait !== undefined) {
        return { reason: 'password_unverifiable', until: askedAt + wait * 1000 }
      }
      // It takes no further attempts for now, and said for how long. Nor does it hear of ever new ones from here.
      if (status === 429 && wait !== undefined) {
        const until = askedAt + wait * 1000
        return { reason: 'password_unverifiable', until, counts: until }
      }
    }
    return { reason: 'password_unverifiable', until: askedAt + refusedFor.limited }
  }

  function refusalOfGuess({ credentials: { clientId }, address }: Caller): NotRight | undefined {
    const wait = guesses.wait({ clientId, address })
    if (wait === undefined) return undefined
    return { reason: 'password_unverifiable', until: platform.monotonic() + wait * 1000 }
  }

  async function fetchGuess(caller: Caller): Promise<Answer> {
    const { credentials, address } = caller
    const begun = guesses.begin({ clientId: credentials.clientId, address })
    let until: number | undefined
    try {
      const answer = await fetchToken(caller)
      until = 'reason' in answer ? answer.counts : undefined
      return answer
    } finally {
      begun.end(until)
    }
  }

  function keep(caller: Caller, wasRight: boolean, answer: Answer): Answer {
    // Refused elsewhere, it is as good as before where it was right.
    if (wasRight && 'reason' in answer && answer.reason === 'password_wrong') good.delete(caller.name)
    if (!('reason' in answer)) good.set(caller.name, answer)
    else if (answer.reason !== 'passwords_off') bad.set(slotOf(caller), answer)
    return answer
  }

  /** What was right before is no guess, and waits for none. */
  function takeTurn(caller: Caller): Promise<Answer> {
    if (isRightHere(caller)) return turns.again.take(async () => keep(caller, true, await fetchToken(caller)))
    const ask = async () => refusalOfGuess(caller) ?? keep(caller, false, await fetchGuess(caller))
    return turns.first.take(ask, siteOf(caller.address))
  }

  /** The client's secret was rotated since it was asked about: whether, and how long, this one is good, the server knows. */
  function isOutdated({ credentials: { clientId: id } }: Caller, { moment }: Right): boolean {
    return revocations.news.isOf([{ kind: 'client_secret', id }], moment)
  }

  /** One request for all who ask meanwhile. Past the bounds none but for what was right before. */
  async function ask(caller: Caller): Promise<Answer> {
    const slot = slotOf(caller)
    const known = underWay.get(slot)
    if (known) return known
    const refused = isRightHere(caller) ? undefined : refusalOfGuess(caller)
    if (refused) return refused
    const asking = takeTurn(caller)
      .catch((): Answer => ({ reason: 'password_unverifiable', until: 0 }))
      .finally(() => underWay.delete(slot))
    underWay.set(slot, asking)
    return asking
  }

  /**
   * One that is right and comes from elsewhere is asked about like a wrong one: the server counts and audits it, and whoever
   * sends it learns nothing from the time that it takes.
   *
   * @param ended a token that is good no more
   */
  function kept(caller: Caller, ended: string | undefined): Answer | undefined {
    const now = platform.monotonic()
    const right = good.get(caller.name)
    const standing = Math.min(longestAnswer, tools.standing())
    const stands = right !== undefined && now - right.at < standing && now < right.until && !isOutdated(caller, right)
    if (stands && right.token !== ended && isNear(right, caller.address)) return right
    const refused = bad.get(slotOf(caller))
    return refused && now < refused.until ? refused : undefined
  }

  /** The client is told the same of a wrong password and of one that is right elsewhere; logs and counts say which. */
  function refusalOf(
    { credentials, name, address }: Caller,
    { reason, until, limit = {} }: NotRight,
  ): Reason | UnavailableFor | RateExceeded {
    if (reason === 'passwords_off') return reason
    const right = good.get(name)
    const isElsewhere = right !== undefined && !isNear(right, address)
    const credential = { kind: 'client', id: credentials.clientId, superseded: false } as const
    if (isElsewhere) tools.usage?.count(credential, { outcome: 'network', scope: '', address })
    if (reason === 'rate_exceeded') {
      tools.usage?.count(credential, { outcome: 'rate_limited', scope: '', address })
      return { reason, headers: limit }
    }
    if (reason === 'password_wrong') return isElsewhere ? 'network_not_allowed' : reason
    return { reason, retryAfter: Math.max(1, Math.ceil((until - platform.monotonic()) / 1000)) }
  }

  return {
    exchange,
    async check(credentials, from) {
      if (exchange.isOff()) return 'passwords_off'
      // The server would count them as failures of this API itself, which is no service account.
      if (credentials.clientId === own?.clientId) return 'password_wrong'
      const caller = { credentials, name: await nameOf(credentials), address: normaliseAddress(from) }
      let reason: Reason = 'password_unverifiable'
      let ended: string | undefined
      for (let attempt = 0; attempt < attempts; attempt++) {
        const answer = kept(caller, ended) ?? (await ask(caller))
        if ('reason' in answer) return refusalOf(caller, answer)
        // Others may have asked, from elsewhere, or a server of the release before, which compares no places.
        if (!isNear(answer, caller.address)) return refusalOf(caller, { reason: 'password_wrong', until: 0 })
        if (isOutdated(caller, answer)) continue
        const known = await verifier.verify(answer.token)
        if (typeof known !== 'string') return known.token
        reason = known
        if (isUnavailable(reason)) return reason
        // It expired or was taken back; whether there is another one, the server says.
        ended = answer.token
      }
      return reason
    },
  }
}

function isNear({ networks }: Right, address: string): boolean {
  return networks.length === 0 || isInNetworks(address, networks)
}

/** Names credentials by what says nothing of them: HMAC-SHA-256, under a key that is drawn here and never leaves. */
function createNames(): (credentials: Credentials) => Promise<string> {
  const key = crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const encoder = new TextEncoder()
  return async ({ clientId, clientSecret }) => {
    const hash = await crypto.subtle.sign('HMAC', await key, encoder.encode(`${clientId}:${clientSecret}`))
    return btoa(String.fromCharCode(...new Uint8Array(hash)))
  }
}
