import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { createExposureWatch, type ExposureWatch, findApiKeys } from '../../api-keys/index.js'
import { authenticateClient } from '../../clients/index.js'
import type { Context, Origin } from '../../context.js'
import { acceptedNow, type Gateway } from '../../gateways/index.js'
import { type DirectReply, directAnswers } from '../../http/index.js'
import { InvalidClientError, InvalidRequestError, OAuthError } from '../../oauth/index.js'
import { within } from '../../platform/deadline.js'
import { addressesOf, basicOff, credentialInAddress, inAddress, readCaller, repeatedFields } from './caller.js'
import { type CallerAddress, callerAddressReader, credentialField, readGatewayField } from './caller-address.js'
import type { TransportProblem } from './caller-transport.js'
import { refuseCaller, refuseGateway } from './refusal.js'
import { createVerifiedCredentials } from './verified-credentials.js'

/** Milliseconds to an answer at the latest: the caller waits for two servers. */
const deadline = 5_000

/**
 * `/forward-auth/NAME`, and whatever stands below it, by every method: proxies send the method of their caller, or GET, and
 * some its path too. None of that says what is required, nor does any other word of the request: the registration of the
 * gateway does, which proves itself in a header that is its own.
 */
export function forwardAuthRoute(scope: FastifyInstance, ctx: Context): void {
  const verified = createVerifiedCredentials(ctx)
  const lookForKeys = createExposureWatch(ctx)
  // A proxy waits no longer; the look goes on.
  const look: ExposureWatch = (...seen) => within(deadline, lookForKeys(...seen)).catch(() => undefined)
  const addressOf = callerAddressReader(ctx)

  async function answer(request: IncomingMessage, rest: string, gateway: Gateway, requestId: string) {
    const accepted = acceptedNow(ctx, gateway)
    const caller = readCaller(request, { gateway, accepted, rest, requestId, address: addressOf(request, gateway) })
    const { token, deprecation, limit } = await verified.verify(gateway, caller)
    return { status: 200, headers: { Authorization: `Bearer ${token}`, ...limit, ...deprecation } }
  }

  directAnswers(scope).below(scope, '/forward-auth/', async (request, rest, origin): Promise<DirectReply> => {
    let gateway: Gateway
    try {
      gateway = await within(deadline, authenticateGateway(ctx, request, rest, origin))
    } catch (error) {
      // Whoever it was: our own address holds a key. What else the request says of addresses is not believed.
      const holdsKey = findApiKeys(rest).length > 0
      if (holdsKey) await look([rest], origin)
      if (error instanceof OAuthError && error.status < 429) ctx.audit.refused(error, { ip: origin.ip })
      return refuseGateway(ctx, holdsKey ? credentialInAddress() : error, origin.requestId)
    }
    try {
      return await within(deadline, answer(request, rest, gateway, origin.requestId))
    } catch (error) {
      if (error instanceof InvalidRequestError && error.reason === inAddress) {
        await look(addressesOf(request, rest), { requestId: origin.requestId })
      }
      if (error instanceof OAuthError)
        auditRefusal(ctx, gateway, error, { here: origin, caller: addressOf(request, gateway) })
      return refuseCaller(ctx, gateway, error, origin.requestId)
    }
  })
}

/** Why a password is refused without a look at it. */
const unlooked: ReadonlySet<string> = new Set<string>([
  basicOff,
  ...(['transport_insecure', 'transport_not_said'] satisfies TransportProblem[]),
])

/**
 * Once for each: what a look at the credential has written says more. Of what was not looked at nothing else says that a password
 * was shown.
 */
function auditRefusal(
  ctx: Context,
  { name, resource, clientId }: Gateway,
  error: OAuthError,
  { here, caller }: { readonly here: Origin; readonly caller: CallerAddress },
): void {
  const { reason, status } = error
  if (unlooked.has(reason)) {
    ctx.audit.told(error)
    const event = { type: 'token.refused', actor: `client:${clientId}`, clientId, reason, ip: here.ip }
    ctx.audit.count({ ...event, detail: { gateway: name, resource } })
  } else if (status < 429) ctx.audit.refused(error, { clientId, ip: caller.ip ?? here.ip })
}

/**
 * The gateway that asks, by its own credential: `Authorization` is its caller's.
 *
 * @throws {InvalidClientError} also where the credential is that of another gateway or client
 * @throws {TooManyRequestsError}
 */
async function authenticateGateway(
  ctx: Context,
  request: IncomingMessage,
  rest: string,
  origin: Origin,
): Promise<Gateway> {
  // Of two, one came from the caller (attack 123).
  if (repeatedFields(request).has(credentialField)) {
    throw new InvalidClientError(`${credentialField} is repeated.`, { reason: 'gateway_credential_repeated' })
  }
  const { credential } = readGatewayField(request)
  const client = await authenticateClient(ctx, credential, {}, origin)
  const [name = ''] = rest.split(/[/?]/, 1)
  const gateway = ctx.gateways.find(name)
  if (gateway?.clientId === client.clientId) return gateway
  throw new InvalidClientError('The credential is not that of this gateway.', { reason: 'gateway_of_another_name' })
}
