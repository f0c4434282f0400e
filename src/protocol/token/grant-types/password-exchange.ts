import { Type } from '@sinclair/typebox'
import { authenticateClient, type Client, firstSecretEnd, type Place } from '../../../clients/index.js'
import type { Context, Origin } from '../../../context.js'
import { FieldedAnswer } from '../../../http/index.js'
import { countRequest } from '../../../limits/index.js'
import {
  compileParameters,
  InvalidClientError,
  InvalidRequestError,
  type Parameters,
  TemporarilyUnavailableError,
  TooManyRequestsError,
  UnauthorizedClientError,
} from '../../../oauth/index.js'
import { normaliseAddress, UNKNOWN_ADDRESS } from '../../../platform/network.js'
import type { GrantAnswer, GrantRequest } from '../grant-type.js'
import { clientCredentials } from './client-credentials.js'

/** The `subject_token_type` of what stands behind `Basic ` in the header of a service account. RFC 7617 §2. */
export const basicCredentialsType = 'urn:ostiary:params:oauth:token-type:basic-credentials'

const parse = compileParameters(
  Type.Object({
    subject_token: Type.String(),
    subject_token_type: Type.String(),
    /** Where the account is, as far as the API knows. */
    subject_address: Type.Optional(Type.String()),
  }),
)

/**
 * Exchanges the password that a service account showed to an API for a token of that account, for this API alone. RFC 8693
 * §2. The API proves who it is, and says from where the account sent it: whether it may be there is decided here, as at /token.
 * The answer says the networks all the same, and when a secret that was rotated ends, since the API remembers it. Failures count as
 * those of the API's own address: otherwise it could guess from as many as it makes up.
 *
 * @throws {UnauthorizedClientError} for a resource that has Basic off, whatever the password is: nothing is compared or counted
 * @throws {InvalidRequestError} for a password that is wrong, or whose client gets no tokens by itself. RFC 8693 §2.2.2
 */
export async function exchangePassword(
  ctx: Context,
  { client: api, parameters: sent, origin }: GrantRequest<Parameters>,
): Promise<GrantAnswer> {
  const audience = audienceOf(ctx, api, sent, origin)
  // After that, so that an API can ask without a password whether it may send any.
  const { subject_token, subject_address } = parse(sent)
  const place = { address: addressOf(subject_address) }
  // Before it is compared: one that ends meanwhile still has its end in the answer.
  const askedAt = ctx.clock.now()
  const account = await authenticateAccount(ctx, subject_token, origin, place)
  const { allowedNetworks, secrets } = account
  const limit = await countAccount(ctx, account, origin)
  const parameters = { grant_type: clientCredentials.name, resource: [audience] }
  // The API's address is none of the account's, in the audit as little as in its usage.
  const from = { ...origin, ip: place.address }
  const answer = await clientCredentials.handle(ctx, { client: account, parameters, sent: parameters, origin: from })
  const endsAt = firstSecretEnd(secrets, askedAt)
  const more = {
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    ...(allowedNetworks.length > 0 ? { allowed_networks: allowedNetworks } : {}),
    ...(endsAt ? { secret_expires_in: Math.floor((endsAt.getTime() - askedAt.getTime()) / 1000) } : {}),
  }
  const body = { ...(answer instanceof FieldedAnswer ? answer.body : answer), ...more }
  return limit ? new FieldedAnswer(body, limit) : (body as GrantAnswer)
}

/** The API that asks, where its resource has passwords switched on. */
function audienceOf(
  ctx: Context,
  { clientId, resourceServerOf: identifier }: Client,
  { subject_token: shown }: Parameters,
  { ip }: Origin,
): string {
  if (identifier === undefined) {
    throw new UnauthorizedClientError('Passwords are exchanged by APIs alone.', { reason: 'client_no_resource_server' })
  }
  const resource = ctx.resources.find(identifier)
  if (!resource) {
    const reason = 'resource_unknown'
    throw new TemporarilyUnavailableError('The server cannot answer now.', { reason, retryAfter: 5 })
  }
  if (resource.acceptsBasic) return identifier
  const reason = 'basic_off'
  const error = new UnauthorizedClientError('Basic is switched off for this resource.', { reason })
  // Nothing is compared, so nothing else says that somebody showed a password. An API that only asks shows none.
  if (shown !== undefined) {
    const event = { type: 'token.refused', actor: `client:${clientId}`, clientId, reason, ip }
    ctx.audit.count({ ...event, detail: { resource: identifier } })
    ctx.audit.told(error)
  }
  throw error
}

function addressOf(sent = ''): string | undefined {
  const address = normaliseAddress(sent)
  return address === UNKNOWN_ADDRESS ? undefined : address
}

/** As at /token; the API is told no more than whether it is right. */
async function authenticateAccount(ctx: Context, subjectToken: string, origin: Origin, place: Place): Promise<Client> {
  try {
    const account = await authenticateClient(ctx, `Basic ${subjectToken}`, {}, origin, {
      place,
      exact: true,
      strongSecrets: true,
    })
    if (account.grantTypes.includes(clientCredentials.name)) return account
  } catch (error) {
    if (!(error instanceof InvalidClientError)) throw error
    // What that event says is not said again.
    throw isInvalid(error.reason, error)
  }
  throw isInvalid('grant_type_not_registered')
}

/** Whoever asks is told that it is the tier of the account: then the password was right, and it is no guess that is refused. */
async function countAccount(ctx: Context, account: Client, origin: Origin) {
  if (account.rateTier === undefined) return undefined
  try {
    return await countRequest(ctx, account, account.rateTier, origin)
  } catch (error) {
    if (error instanceof TooManyRequestsError) error.exceeded = 'tier_of_subject'
    throw error
  }
}

function isInvalid(reason: string, cause?: InvalidClientError): InvalidRequestError {
  return new InvalidRequestError('The subject token is invalid.', { reason, cause })
}
