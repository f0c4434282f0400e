import { ConfigurationError } from './errors.js'
import { requireTrusted } from './http.js'
import { checkLimits, type Limit } from './limits/count-request.js'
import { type Platform, systemPlatform } from './platform.js'
import { type AddressOf, addressOf } from './request.js'
import { bearer } from './schemes/bearer.js'
import type { Scheme } from './schemes/scheme.js'
import type { Credentials } from './service-token.js'

export interface ProtectOptions {
  /** The server's URL, letter by letter as it calls itself. https, or http on loopback. */
  readonly issuer: string
  /** The identifier of this API, as `ostiary resource create` registered it. */
  readonly audience: string
  /** From `ostiary resource create`. With them revocations are heard of at once, and opaque tokens are understood. */
  readonly credentials?: Credentials | undefined
  /**
   * What is verified: access tokens (the default), or what a gateway of the server passes on in their place. Each is refused
   * where the other is expected.
   */
  readonly tokens?: 'access' | 'gateway'
  /** Milliseconds that the knowledge of revocations may be old; default 10,000. */
  readonly tolerance?: number
  /** What is done past the tolerance: 503 (the default), or each token is introspected. */
  readonly onStale?: 'refuse' | 'introspect'
  /** Seconds that the clocks of server and API may differ; default 5, at most 10. */
  readonly clockSkew?: number
  /** Tokens that are remembered as verified; default 10,000. */
  readonly cacheSize?: number
  /** Milliseconds between two requests for a key that is not known; default 5,000. */
  readonly jwksInterval?: number
  /** Milliseconds that `protect` waits for the server before it returns and requests are answered 503; default 10,000. */
  readonly startTimeout?: number
  /** On all requests of this API together with its other instances. They need `credentials`. */
  readonly limits?: readonly Limit[]
  /** The address that a request comes from; default what the framework or Node.js says. Who may use a key depends on it. */
  readonly addressOf?: AddressOf
  /** Further members of the API's metadata, such as `resource_name`. RFC 9728 §2. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** How requests show who sent them, any one of these; default `bearer` alone. */
  readonly schemes?: readonly Scheme[]
  /** Names of schemes that each request must show all, of the same subject: two locks. Default: any one of them. */
  readonly require?: readonly string[]
  /** Told, in words, what an operator should know; default `console.warn`. No token is in it. */
  readonly warn?: (message: string) => void
  /** Time, timers and fetch, for tests and unusual runtimes. */
  readonly platform?: Partial<Platform>
}

export type Settings = Required<Omit<ProtectOptions, 'platform' | 'credentials'>> & {
  readonly credentials: Credentials | undefined
  readonly platform: Platform
}

/** @throws {ConfigurationError} */
export function readOptions(options: ProtectOptions): Settings {
  const { audience, credentials, onStale = 'refuse', require = [] } = options
  const schemes: readonly Scheme[] = options.schemes ?? [bearer]
  const issuer = requireTrusted(options.issuer, 'issuer')
  if (/[?#]/.test(issuer)) throw new ConfigurationError('issuer has a query or fragment')
  if (typeof audience !== 'string' || audience === '') throw new ConfigurationError('audience is missing')
  if (credentials && !(credentials.clientId && credentials.clientSecret)) {
    throw new ConfigurationError('credentials lack clientId or clientSecret')
  }
  const { tokens = 'access' } = options
  if (tokens !== 'access' && tokens !== 'gateway')
    throw new ConfigurationError("tokens is neither 'access' nor 'gateway'")
  if (tokens === 'gateway' && onStale === 'introspect') {
    throw new ConfigurationError("onStale 'introspect' is for access tokens: the server introspects no others")
  }
  const [other] = schemes.filter(({ name }) => name !== 'bearer')
  if (tokens === 'gateway' && other) {
    throw new ConfigurationError(`the scheme ${other.name} would go past the gateway: what it passes on is for bearer`)
  }
  if (onStale === 'introspect' && !credentials) throw new ConfigurationError("onStale 'introspect' needs credentials")
  const names = schemes.map(({ name }) => name)
  if (new Set(names).size !== names.length) throw new ConfigurationError('schemes has one twice')
  if (!require.every((name) => names.includes(name))) {
    throw new ConfigurationError(`require names what is none of the schemes: ${names.join(', ')}`)
  }
  const { limits = [] } = options
  checkLimits(limits)
  if (limits.length > 0 && !credentials) throw new ConfigurationError('limits need credentials')
  const [needy] = schemes.filter(({ needsCredentials }) => needsCredentials)
  if (needy && !credentials) throw new ConfigurationError(`the scheme ${needy.name} needs credentials`)
  return {
    issuer,
    audience,
    credentials,
    tokens,
    onStale,
    tolerance: bounded('tolerance', options.tolerance ?? 10_000, 250, 600_000),
    clockSkew: bounded('clockSkew', options.clockSkew ?? 5, 0, 10),
    cacheSize: bounded('cacheSize', options.cacheSize ?? 10_000, 1, 1_000_000),
    jwksInterval: bounded('jwksInterval', options.jwksInterval ?? 5_000, 1_000, 600_000),
    startTimeout: bounded('startTimeout', options.startTimeout ?? 10_000, 0, 600_000),
    limits,
    addressOf: options.addressOf ?? addressOf,
    metadata: options.metadata ?? {},
    schemes,
    require,
    warn: options.warn ?? ((message) => console.warn(`resource-server: ${message}`)),
    platform: { ...systemPlatform, ...options.platform },
  }
}

function bounded(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw new ConfigurationError(`${name} must be from ${least} to ${most}`)
}
