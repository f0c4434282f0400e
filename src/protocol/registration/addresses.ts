import type { ClientMetadata } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { InvalidClientMetadataError, TemporarilyUnavailableError } from '../../oauth/index.js'
import { type Outbound, OutboundError, type OutboundShare } from '../../platform/outbound/index.js'
import type { StoredClient } from '../../store/index.js'

/**
 * Looks at every address that we, or a browser that we send on, would be led to: none may be of a private network (attack 95).
 * They are looked at again whenever they are asked.
 *
 * @throws {InvalidClientMetadataError} {TemporarilyUnavailableError}
 */
export async function checkAddresses(ctx: Context, metadata: ClientMetadata, share: OutboundShare): Promise<void> {
  const { jwksUri, logoUri, backchannelLogoutUri, initiateLoginUri, sectorIdentifierUri, requestUris } = metadata
  if (initiateLoginUri !== undefined && ctx.outbound.problemOf(initiateLoginUri) !== undefined) {
    throw refused('initiate_login_uri', 'names no public host', 'address_refused')
  }
  const check = ctx.outbound.checks(share)
  const named: readonly (readonly [name: string, url: string | undefined])[] = [
    ['jwks_uri', jwksUri],
    ['logo_uri', logoUri],
    ['backchannel_logout_uri', backchannelLogoutUri],
    ...requestUris.map((uri) => ['request_uris', uri] as const),
  ]
  for (const [name, url] of named) if (url !== undefined) await checkAddress(check, name, url)
  if (sectorIdentifierUri !== undefined) await checkSector(ctx, sectorIdentifierUri, metadata.redirectUris, share)
}

/**
 * The document behind `sector_identifier_uri` alone, where it or what it must list is new: for whoever is believed in all else.
 *
 * @throws {InvalidClientMetadataError} {TemporarilyUnavailableError}
 */
export async function checkNewSector(ctx: Context, metadata: ClientMetadata, before?: StoredClient): Promise<void> {
  const { sectorIdentifierUri, redirectUris } = metadata
  if (sectorIdentifierUri === undefined) return
  const isKnown = before?.sectorIdentifierUri === sectorIdentifierUri
  if (isKnown && redirectUris.every((uri) => before?.redirectUris.includes(uri))) return
  await checkSector(ctx, sectorIdentifierUri, redirectUris, 'operators')
}

async function checkAddress(check: ReturnType<Outbound['checks']>, name: string, url: string): Promise<void> {
  try {
    await check(url)
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    // What was not looked at must not pass for what was.
    if (error.reason === 'outbound_busy' || error.reason === 'outbound_timeout') throw unavailable(error)
    throw refused(name, 'names no public host', error.reason, error)
  }
}

/**
 * OIDC Registration §5: the document is a JSON array that has every redirect URI. Without the look, a client could claim the
 * sector of another and learn under which subjects its users are known there.
 */
async function checkSector(
  ctx: Context,
  url: string,
  redirectUris: readonly string[],
  share: OutboundShare,
): Promise<void> {
  const name = 'sector_identifier_uri'
  const listed = await fetchList(ctx, name, url, share)
  if (redirectUris.every((uri) => listed.includes(uri))) return
  throw refused(name, 'does not list all of redirect_uris', 'sector_incomplete')
}

async function fetchList(ctx: Context, name: string, url: string, share: OutboundShare): Promise<readonly unknown[]> {
  try {
    const { status, body } = await ctx.outbound.get(url, { share, accept: 'application/json' })
    const document: unknown = status === 200 ? JSON.parse(body.toString('utf8')) : undefined
    if (Array.isArray(document)) return document
  } catch (error) {
    if (error instanceof OutboundError) {
      if (error.reason === 'outbound_busy') throw unavailable(error)
      throw refused(name, 'could not be fetched', error.reason, error)
    }
    if (!(error instanceof SyntaxError)) throw error
  }
  throw refused(name, 'is not answered with a JSON array', 'sector_malformed')
}

/** Nothing is wrong with the registration: too much is asked now, or name servers are slow. */
function unavailable(cause: OutboundError): TemporarilyUnavailableError {
  const { reason } = cause
  return new TemporarilyUnavailableError('The addresses in the metadata cannot be looked at now. Try again later.', {
    ...{ reason, cause, retryAfter: 5 },
  })
}

function refused(name: string, what: string, reason: string, cause?: unknown): InvalidClientMetadataError {
  return new InvalidClientMetadataError(`${name} ${what}.`, { reason, field: name, cause })
}
