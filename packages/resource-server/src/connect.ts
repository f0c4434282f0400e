import { ConfigurationError, UnavailableError } from './errors.js'
import { createIntrospection, type Introspection } from './introspection.js'
import { createJwks, type Jwks } from './jwks.js'
import type { Settings } from './options.js'
import { createRevocations, type Revocations } from './revocation/entries.js'
import { createFeed, type Feed } from './revocation/feed.js'
import { createStatusLists, type StatusLists } from './revocation/status-list.js'
import { fetchServerMetadata } from './server-metadata.js'
import { createServiceToken, type ServiceToken } from './service-token.js'
import { createVerifier, type Verifier } from './verifier.js'

/** Everything that is known of the server and kept fresh. */
export interface Connection {
  readonly verifier: Verifier
  readonly jwks: Jwks
  readonly revocations: Revocations
  readonly feed: Feed | undefined
  readonly statusLists: StatusLists | undefined
  readonly introspection: Introspection | undefined
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
  if (credentials) {
    const { introspectionEndpoint, tokenEndpoint } = metadata
    if (introspectionEndpoint !== undefined) {
      introspection = createIntrospection({ ...shared, endpoint: introspectionEndpoint, credentials, capacity })
    }
    if (how === 'following' && metadata.feed && tokenEndpoint !== undefined) {
      const serviceToken = createServiceToken(platform, tokenEndpoint, credentials, 'revocations')
      await tryCredentials(serviceToken)
      feed = createFeed({ ...shared, endpoints: metadata.feed, serviceToken, tolerance })
    } else if (how === 'following')
      warn(`${issuer} has no revocation feed: revocations are known by status list alone.`)
  }
  const statusLists = feed ? undefined : createStatusLists(shared)
  const { onStale } = settings
  const verifier = createVerifier({ ...shared, tokens, feed, statusLists, introspection, tolerance, onStale, capacity })
  return { verifier, jwks, revocations, feed, statusLists, introspection }
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
