import { ConfigurationError, UnavailableError } from './errors.js'
import { createIntrospection, type Introspection, readTokenAnswer, standingOf } from './introspection.js'
import { createJwks, type Jwks } from './jwks.js'
import { createLimits, type Limits } from './limits/limits.js'
import type { Settings } from './options.js'
import { createRevocations, type Revocations } from './revocation/entries.js'
import { createFeed, type Feed } from './revocation/feed.js'
import { createStatusLists, type StatusLists } from './revocation/status-list.js'
import type { Tools } from './schemes/tools.js'
import { fetchServerMetadata } from './server-metadata.js'
import { createServiceToken, type ServiceToken } from './service-token.js'
import { createUsage, type Usage } from './usage.js'
import { createVerifier, type Verifier } from './verifier.js'

/** Everything that is known of the server and kept fresh. */
export interface Connection {
  readonly verifier: Verifier
  readonly jwks: Jwks
  readonly revocations: Revocations
  readonly feed: Feed | undefined
  readonly statusLists: StatusLists | undefined
  readonly introspection: Introspection | undefined
  readonly limits: Limits | undefined
  /** Undefined where nobody is told. */
  readonly usage: Usage | undefined
  /** For schemes that are no tokens. */
  readonly tools: Tools
}

/**
 * Asks the server who it is, fetches its keys, and begins to follow its feed.
 *
 * @param how `once`: nothing is followed
 * @throws {ConfigurationError} where it will not be otherwise the next time
 * @throws {UnavailableError}
 */
export async function connect(settings: Settings, how: 'once' | 'following' = 'following'): Promise<Connection> {
  const { platform, issuer, audience, credentials, tokens, tolerance, warn } = settings
  const { clockSkew: skew, cacheSize: capacity } = settings
  const metadata = await fetchServerMetadata(platform, issuer)
  const jwks = createJwks(metadata.jwksUri, { platform, interval: settings.jwksInterval, warn })
  await jwks.load()
  const revocations = createRevocations()
  const shared = { platform, jwks, revocations, issuer, audience, skew, warn }

  let feed: Feed | undefined
  let introspection: Introspection | undefined
  let limits: Limits | undefined
  let usage: Usage | undefined
  if (credentials) {
    const { introspectionEndpoint, tokenEndpoint } = metadata
    if (introspectionEndpoint !== undefined) {
      introspection = createIntrospection({
        ...{ platform, endpoint: introspectionEndpoint, credentials, capacity },
        hint: 'access_token',
        read: readTokenAnswer(shared),
      })
    }
    if (how === 'following' && metadata.feed && tokenEndpoint !== undefined) {
      const serviceToken = createServiceToken(platform, tokenEndpoint, credentials, 'revocations')
      await tryCredentials(serviceToken)
      limits = createLimits({ platform, endpoint: metadata.rateLimitsEndpoint, serviceToken, credentials, warn })
      const { usageEndpoint } = metadata
      usage =
        usageEndpoint === undefined ? undefined : createUsage({ platform, endpoint: usageEndpoint, serviceToken, warn })
      feed = createFeed({ ...shared, endpoints: metadata.feed, serviceToken, tolerance })
    } else if (how === 'following')
      warn(`${issuer} has no revocation feed: revocations are known by status list alone.`)
  }
  const statusLists = feed ? undefined : createStatusLists(shared)
  const { onStale } = settings
  const verifier = createVerifier({ ...shared, tokens, feed, statusLists, introspection, tolerance, onStale, capacity })
  const tools = { ...settings, usage, verifier, revocations, server: metadata, standing: standingOf(feed, tolerance) }
  return { tools, verifier, jwks, revocations, feed, statusLists, introspection, limits, usage }
}

async function tryCredentials(serviceToken: ServiceToken): Promise<void> {
  try {
    await serviceToken.get()
  } catch (error) {
    if (error instanceof UnavailableError && (error.status === 400 || error.status === 401)) {
      throw new ConfigurationError(
        'The server refuses the credentials, or their client is not that of a resource server',
        {
          cause: error,
        },
      )
    }
    throw error
  }
}
