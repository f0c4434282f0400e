import { ConfigurationError } from './errors.js'
import { fetchText, requireTrusted } from './http.js'
import { parseObject } from './json.js'
import type { Platform } from './platform.js'

/** What the server says about itself. RFC 8414 §2. */
export interface ServerMetadata {
  readonly issuer: string
  readonly jwksUri: string
  readonly tokenEndpoint: string | undefined
  readonly introspectionEndpoint: string | undefined
  readonly rateLimitsEndpoint: string | undefined
  readonly usageEndpoint: string | undefined
  /** Undefined where the server has no feed. */
  readonly feed: { readonly stream: string; readonly snapshot: string } | undefined
}

/**
 * Asks the server who it is.
 *
 * @throws {ConfigurationError} where it is another one, or sends us where nothing can be relied on
 * @throws {UnavailableError}
 */
export async function fetchServerMetadata(platform: Platform, issuer: string): Promise<ServerMetadata> {
  const { text } = await fetchText(platform, metadataUrl(issuer), { accept: 'application/json', limit: 262_144 })
  const metadata = parseObject(text)
  if (!metadata) throw new ConfigurationError(`The metadata of ${issuer} are malformed`)
  // RFC 8414 §3.3: else one server could speak for another.
  if (metadata['issuer'] !== issuer) {
    throw new ConfigurationError(`The server at ${issuer} calls itself ${JSON.stringify(metadata['issuer'])}`)
  }
  const endpoint = (name: string): string | undefined => {
    const url = metadata[name]
    return url === undefined ? undefined : requireTrusted(url, `${name} of ${issuer}`)
  }
  const [stream, snapshot] = [endpoint('revocation_feed_endpoint'), endpoint('revocation_snapshot_endpoint')]
  return {
    issuer,
    jwksUri: endpoint('jwks_uri') ?? requireTrusted(undefined, `jwks_uri of ${issuer}`),
    tokenEndpoint: endpoint('token_endpoint'),
    introspectionEndpoint: endpoint('introspection_endpoint'),
    rateLimitsEndpoint: endpoint('rate_limits_endpoint'),
    usageEndpoint: endpoint('usage_endpoint'),
    feed: stream !== undefined && snapshot !== undefined ? { stream, snapshot } : undefined,
  }
}

/** The well-known part stands between host and path. RFC 8414 §3.1. */
function metadataUrl(issuer: string): string {
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`
}
