import type { IncomingMessage } from 'node:http'
import type { Context } from '../../context.js'
import type { Gateway } from '../../gateways/index.js'
import { hopBehind, trustedProxies } from '../../http/index.js'
import { InvalidClientError } from '../../oauth/index.js'
import { normaliseAddress, parseNetwork, UNKNOWN_ADDRESS } from '../../platform/network.js'

/** Where a caller is, or the reason why nobody knows. Without an address they are in no network. */
export type CallerAddress =
  | { readonly ip: string; readonly unknown?: undefined }
  | { readonly ip?: undefined; readonly unknown: AddressProblem }

export const addressProblems = [
  'address_not_forwarded',
  'address_missing',
  'address_unreadable',
  'address_of_proxy',
] as const

export type AddressProblem = (typeof addressProblems)[number]

export const credentialField = 'x-gateway-authorization'

/** What stands in the field of a gateway. */
interface Said {
  readonly credential: string | undefined
  /** Where the caller is. */
  readonly from: string | undefined
  /** Where the gateway itself is, an address or a network. */
  readonly by: string | undefined
  /** By what the caller came to it. */
  readonly proto: string | undefined
}

const nothing: Said = { credential: undefined, from: undefined, by: undefined, proto: undefined }

/**
 * The credential of the gateway and, behind it, `; for=ADDRESS` or `; by=ADDRESS`, and `; proto=SCHEME` (the words of RFC 7239 §5).
 * They stand in the field of the credential, since nobody who lacks that can write them there, whatever else of their header a
 * gateway lets through; and no proxy between the gateway and this server has a reason to touch it, as each has with X-Forwarded-For.
 *
 * @throws {InvalidClientError} where anything else stands there
 */
export function readGatewayField({ headers }: Pick<IncomingMessage, 'headers'>): Said {
  const field = headers[credentialField]?.toString()
  if (field === undefined) return nothing
  const [, credential = '', where, place, proto] =
    /^([^;]*)(?:; *(for|by)=([^;]*))?(?:; *proto=([^;]*))?$/.exec(field) ?? []
  const by = where === 'by' ? parseNetwork(place!.trim()) : undefined
  if (credential === '' || (where === 'by' && by === undefined)) {
    throw new InvalidClientError(`${credentialField} is malformed.`, { reason: 'gateway_credential_malformed' })
  }
  const from = where === 'for' ? place!.trim() : undefined
  return { credential: credential.trimEnd(), from, by, proto: proto?.trim() }
}

export type ReadCallerAddress = (request: IncomingMessage, gateway: Gateway) => CallerAddress

/**
 * Where the caller of a gateway is that was registered to say so: in the field of its credential or, for one that can write nothing
 * there, in X-Forwarded-For. In that, TRUST_PROXY alone decides which addresses are those of proxies in front of this server;
 * behind them stands the gateway, and behind that what it wrote itself: that one, and none further.
 */
export function callerAddressReader({ config }: Context): ReadCallerAddress {
  const { trustProxy } = config.server
  const trusted = trustProxy ? trustedProxies(trustProxy) : undefined
  return (request, { forwardsAddress }) => {
    if (!forwardsAddress) return { unknown: 'address_not_forwarded' }
    const { from, by } = readGatewayField(request)
    const address = from ?? hopBehind(request, trusted, by)
    if (address === undefined) return { unknown: 'address_missing' }
    const ip = normaliseAddress(address)
    if (ip === UNKNOWN_ADDRESS) return { unknown: 'address_unreadable' }
    // A proxy asks for somebody else, whom the gateway has to know: past its own word nothing is believed.
    return from === undefined && trusted?.(ip, 0) ? { unknown: 'address_of_proxy' } : { ip }
  }
}
