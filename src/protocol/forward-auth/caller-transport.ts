import type { IncomingMessage } from 'node:http'
import { isLoopbackHost } from '../../platform/network.js'
import { type CallerAddress, readGatewayField } from './caller-address.js'

/** Why a password is not taken that came so. */
export type TransportProblem = 'transport_insecure' | 'transport_not_said'

/**
 * Whether a caller came to the gateway in a way that a password may come: by https, or from the gateway's own machine, as
 * @ostiary/resource-server has it (RFC 7617 §4). Only the gateway can say so, behind its credential: X-Forwarded-Proto may be the
 * word of the caller, or of a proxy in front of this server.
 */
export function problemOfTransport(request: IncomingMessage, { ip }: CallerAddress): TransportProblem | undefined {
  const { proto } = readGatewayField(request)
  if (proto === 'https' || (ip !== undefined && isLoopbackHost(ip))) return undefined
  return proto === undefined ? 'transport_not_said' : 'transport_insecure'
}
