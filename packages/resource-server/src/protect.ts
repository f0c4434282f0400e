import { type Connection, connect } from './connect.js'
import { type Decision, type Refusal, refuse, refuseTooMany } from './decision.js'
import { ConfigurationError, messageOf } from './errors.js'
import {
  type Counted,
  countRequest,
  isBeforeToken,
  join,
  type Limit,
  ofAddress,
  ofKeys,
  ofToken,
  type Share,
} from './limits/count-request.js'
import { type ProtectOptions, readOptions } from './options.js'
import { sleep } from './platform.js'
import type { Reason } from './problems.js'
import { pathOf, type RequestLike } from './request.js'
import { checkedRequirement, problemOfRequirement, type Requirement } from './requirement.js'
import { createResourceMetadata } from './resource-metadata.js'
import { noKeyInAddress } from './schemes/exposure.js'
import { type Authenticated, authenticate, readShown, type Scheme } from './schemes/scheme.js'
import type { Outcome } from './usage.js'

/** The protection of one API. */
export interface Api {
  /** What comes of a request: the token, or the answer to send. */
  readonly check: (request: RequestLike, requirement?: Requirement) => Promise<Decision>
  /** A check for these scopes, all of them. @throws {TypeError} where one is none */
  readonly scopes: (...scopes: readonly string[]) => Check
  /** A check for whatever else a route requires. @throws {TypeError} */
  readonly require: (requirement: Requirement) => Check
  /** The metadata of this API, where the request asks for them; undefined for any other request. RFC 9728 §3.1. */
  readonly metadataFor: (request: RequestLike) => string | undefined
  /** Their path; undefined where the audience is no http(s) URL. */
  readonly metadataPath: string | undefined
  /** How it stands. What it lacks is asked for, so that an API which gets no requests for it comes back. */
  readonly health: () => Health
  /** Ends the connection to the server, which keeps the process alive. */
  readonly close: () => Promise<void>
}

export type Check = (request: RequestLike) => Promise<Decision>

export interface Health {
  /** `starting`: there are no keys, or no snapshot yet. `stale`: something is too old or cannot be had, as `lacks` says. */
  readonly state: 'starting' | 'ready' | 'stale' | 'closed'
  /** Empty where the state is another one. */
  readonly lacks: readonly Lack[]
  /** How it hears of revocations. `undecided`: it has not reached the server yet. */
  readonly revocation: 'feed' | 'status-list' | 'undecided'
  /** Milliseconds; undefined where nothing is followed. */
  readonly age: number | undefined
  readonly connected: boolean
  readonly position: string | undefined
  /** Entries of the list that is followed. */
  readonly revocations: number
  /** Whether limits hold over all instances, or by this one's share since the server is away. `off`: without credentials. */
  readonly limits: 'off' | 'shared' | 'share'
  /** Tokens that are remembered, and keys. */
  readonly tokens: number
  readonly keys: number
  /** What went wrong last with the server or its feed, and still does; or what the server refuses of what `schemes` name, or lacks of what limits name. */
  readonly problem: string | undefined
}

/**
 * `feed`: past the tolerance, so tokens are refused or introspected. `status-list`: one that a living token names, whose
 * requests are answered 503. `keys`: older than the server lets them be kept; those that are known go on verifying.
 */
export type Lack = 'feed' | 'status-list' | 'keys'

const nothing: readonly Share[] = []

/** Milliseconds between two attempts to reach the server at first: the most. */
const longestPause = 5_000

/**
 * Protects an API with the access tokens of a server. Returns when tokens can be checked; where the server is away for
 * longer than `startTimeout`, it returns all the same, answers 503, and goes on trying.
 *
 * @throws {ConfigurationError} where trying again would change nothing
 */
export async function protect(options: ProtectOptions): Promise<Api> {
  const settings = readOptions(options)
  const { platform, schemes, warn, tolerance } = settings
  const readers = schemes.some(({ name }) => name === 'api-key') ? schemes : [...schemes, noKeyInAddress()]
  const resource = createResourceMetadata(settings)
  const scopes = new Set<string>()
  /** Tiers that limits of this API name. */
  const tiers = new Set(settings.limits.map(({ tier }) => tier))
  const closing = new AbortController()
  let connection: Connection | undefined
  let problem: string | undefined
  let saidUncounted = false

  async function start(): Promise<void> {
    for (let pause = 100; !connection && !closing.signal.aborted; pause = Math.min(pause * 2, longestPause)) {
      try {
        connection = await connect(settings)
        problem = undefined
      } catch (error) {
        if (error instanceof ConfigurationError) throw error
        if (problem === undefined) warn(`The server cannot be asked; requests are answered 503. ${messageOf(error)}`)
        problem = messageOf(error)
        await sleep(platform, pause * platform.random(), closing.signal)
      }
    }
    if (closing.signal.aborted) await Promise.all([connection?.feed?.close(), connection?.usage?.close()])
    else if (connection) {
      const { feed, tools } = connection
      await Promise.all([feed?.ready, ...schemes.map(({ begin }) => begin?.(tools))])
    }
  }

  const problemOf = ({ problem: problemOfScheme }: Scheme): string | undefined =>
    connection && !closing.signal.aborted ? problemOfScheme?.(connection.tools) : undefined

  /** Those that would do, as far as the server is concerned; undefined where nobody could be let in by them. */
  function servedSchemes(): readonly Scheme[] | undefined {
    const served = schemes.filter((scheme) => problemOf(scheme) === undefined)
    if (served.length === schemes.length) return schemes
    const names = served.map(({ name }) => name)
    const isEnough =
      settings.require.length > 0 ? settings.require.every((each) => names.includes(each)) : names.length > 0
    return isEnough ? served : undefined
  }

  function refusal(reason: Reason, requirement: Requirement, shown: readonly Scheme[], wait?: number): Refusal {
    const served = servedSchemes()
    const [noun = 'credential', ...others] = new Set(shown.map((scheme) => scheme.noun ?? 'credential'))
    const challenge = {
      schemes: served && [...new Set(served.flatMap(({ challenge: each }) => each ?? []))],
      requirement,
      resourceMetadata: resource.url,
      noun: others.length > 0 ? 'credential' : noun,
    }
    return refuse(reason, challenge, wait)
  }

  async function count(shares: readonly Share[]): Promise<Counted | undefined> {
    if (!connection || shares.length === 0) return undefined
    if (connection.limits) return countRequest(connection.limits, shares)
    if (!saidUncounted) warn('Limits are not counted: the server has no revocation feed, with which they come.')
    saidUncounted = true
    return undefined
  }

  async function check(request: RequestLike, requirement: Requirement): Promise<Decision> {
    const limits = requirement.limits ? [...settings.limits, ...requirement.limits] : settings.limits
    if (limits.length === 0) return decide(request, requirement)
    const before = await count(ofAddress(limits.filter(isBeforeToken), request, settings.addressOf))
    if (before && !before.accepted) return refuseTooMany(before.headers)
    const decision = await decide(
      request,
      requirement,
      limits.filter((limit) => !isBeforeToken(limit)),
    )
    return decision.ok && before ? { ...decision, headers: join(before.headers, decision.headers ?? {}) } : decision
  }

  /** @param limits on what the token says */
  async function decide(
    request: RequestLike,
    requirement: Requirement,
    limits: readonly Limit[] = [],
  ): Promise<Decision> {
    const shown = readShown(readers, settings.require, request)
    if ('problem' in shown) {
      if (connection) for (const report of shown.reports) report(connection.tools)
      return refusal(shown.problem, requirement, shown.schemes)
    }
    const shownBy = shown.map(({ scheme }) => scheme)
    if (!connection || closing.signal.aborted) return refusal('starting', requirement, shownBy)
    const found = await authenticate(shown, request, connection.tools)
    if (typeof found === 'string') return refusal(found, requirement, shownBy)
    if ('reason' in found) {
      const headers = 'headers' in found ? found.headers : {}
      if (found.reason === 'rate_exceeded') return refuseTooMany(headers)
      const wait = 'retryAfter' in found ? found.retryAfter : undefined
      const refused = refusal(found.reason, requirement, shownBy, wait)
      return { ...refused, headers: { ...headers, ...refused.headers } }
    }
    // Also what it is not good enough for costs its client something.
    const shares = sharesOf(found, limits)
    const counted = shares.length === 0 ? undefined : await count(shares)
    if (counted && !counted.accepted) {
      countUse(found, 'rate_limited', request, requirement)
      return refuseTooMany({ ...found.headers, ...counted.headers })
    }
    const problem = problemOfRequirement(found.token, requirement, platform.now() / 1000)
    countUse(found, problem === undefined ? 'accepted' : 'insufficient_scope', request, requirement)
    if (problem !== undefined) {
      const refused = refusal(problem, requirement, shownBy)
      // A key that has a successor says so at every use, also where it is not good enough.
      return { ...refused, headers: { ...found.headers, ...refused.headers } }
    }
    const { token } = found
    const headers = counted ? { ...found.headers, ...counted.headers } : found.headers
    return headers ? { ok: true, token, headers } : { ok: true, token }
  }

  /** What the server allows a key is told by it first. Most requests count for nothing. */
  function sharesOf({ counted, token }: Authenticated, limits: readonly Limit[]): readonly Share[] {
    if (limits.length === 0) return counted.length === 0 ? nothing : ofKeys(counted)
    return [...ofKeys(counted), ...ofToken(limits, token)]
  }

  /** One increment in memory: most requests show nothing that is counted. */
  function countUse({ counted }: Authenticated, outcome: Outcome, request: RequestLike, { scopes }: Requirement): void {
    if (counted.length === 0 || !connection?.usage) return
    const use = { outcome, scope: scopes?.join(' ') ?? '', address: settings.addressOf(request) }
    for (const credential of counted) connection.usage.count(credential, use)
  }

  function checkedHere(requirement: Requirement): Requirement {
    const checked = checkedRequirement(requirement)
    if (checked.limits && !settings.credentials) throw new TypeError('limits need credentials')
    for (const { tier } of checked.limits ?? []) tiers.add(tier)
    return checked
  }

  function require(requirement: Requirement): Check {
    const checked = checkedHere(requirement)
    for (const scope of checked.scopes ?? []) scopes.add(scope)
    return (request) => check(request, checked)
  }

  function lacksOf({ jwks, statusLists }: Connection, age: number | undefined): readonly Lack[] {
    const lacks: readonly (Lack | false)[] = [
      age !== undefined && age > tolerance && 'feed',
      statusLists?.missing() === true && 'status-list',
      jwks.outdated() && 'keys',
    ]
    return lacks.filter((each) => each !== false)
  }

  function standing(age: number | undefined): Pick<Health, 'state' | 'lacks'> {
    if (closing.signal.aborted) return { state: 'closed', lacks: [] }
    if (!connection || age === Number.POSITIVE_INFINITY) return { state: 'starting', lacks: [] }
    const lacks = lacksOf(connection, age)
    void connection.jwks.freshen()
    connection.statusLists?.freshen()
    return { state: lacks.length > 0 ? 'stale' : 'ready', lacks }
  }

  const api: Api = {
    check: async (request, requirement = {}) => check(request, checkedHere(requirement)),
    scopes: (...names) => require({ scopes: names }),
    require,
    metadataFor: (request) => {
      const isRead = request.method === undefined || request.method === 'GET' || request.method === 'HEAD'
      return resource.path !== undefined && isRead && pathOf(request) === resource.path
        ? resource.body(scopes)
        : undefined
    },
    metadataPath: resource.path,
    health() {
      const feed = connection?.feed
      const heard = feed?.health()
      const age = feed?.age()
      return {
        ...standing(age),
        revocation: !connection ? 'undecided' : feed ? 'feed' : 'status-list',
        age,
        connected: heard?.connected ?? false,
        position: heard?.position,
        revocations: connection?.revocations.size() ?? 0,
        limits: connection?.limits?.state() ?? 'off',
        tokens: connection?.verifier.size() ?? 0,
        keys: connection?.jwks.size() ?? 0,
        problem:
          heard?.problem ??
          problem ??
          schemes.map(problemOf).find((each) => each !== undefined) ??
          connection?.limits?.problem(tiers),
      }
    },
    async close() {
      closing.abort()
      await Promise.all([connection?.feed?.close(), connection?.usage?.close()])
    },
  }

  const starting = start()
  const timeout = new AbortController()
  try {
    await Promise.race([starting, sleep(platform, settings.startTimeout, timeout.signal)])
  } finally {
    timeout.abort()
  }
  // Whoever waited is gone: what is wrong stands in the log and in `health`.
  starting.catch((error: unknown) => {
    problem = messageOf(error)
    warn(problem)
  })
  return api
}
