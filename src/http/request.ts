import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { all, compile } from '@fastify/proxy-addr'
import type { FastifyRequest } from 'fastify'
import type { Origin } from '../context.js'
import { isInNetwork, normaliseAddress, UNKNOWN_ADDRESS } from '../platform/network.js'

/** What the parsers leave of a query or a form: its text, for `readParameters` to read by the rules of OAuth. */
export type Encoded = { readonly encoded: string }

/** The query as it came, without its `?`; empty where there is none. For `readParameters`. */
export function encodedQuery(request: FastifyRequest): string {
  return encodedText(request.query)
}

/** The form as it came; empty where there is no body. For `readParameters`. */
export function encodedBody(request: FastifyRequest): string {
  return encodedText(request.body)
}

function encodedText(value: unknown): string {
  return typeof value === 'object' && value !== null && 'encoded' in value && typeof value.encoded === 'string'
    ? value.encoded
    : ''
}

/** Whether an address is a proxy whose X-Forwarded-For is believed. */
export type TrustedProxies = (address: string, hop: number) => boolean

/** @param proxies addresses, networks and names as in TRUST_PROXY */
export function trustedProxies(proxies: readonly string[]): TrustedProxies {
  return compile([...proxies])
}

/**
 * The address that the request came from, in one spelling: the peer's, or what a proxy named in TRUST_PROXY says. A
 * proxy that says nonsense is the address itself (attack 101).
 */
export function clientAddress(request: FastifyRequest): string {
  return addressOf(request.ip, request.socket.remoteAddress)
}

/** The same for a request that did not go through Fastify. */
export function peerAddress(request: IncomingMessage, trusted: TrustedProxies | undefined): string {
  const { remoteAddress } = request.socket
  return addressOf(trusted ? all(request, trusted).at(-1) : remoteAddress, remoteAddress)
}

/**
 * Whom the sender of a request says that it is from: one that sends for others, and wrote the last address into X-Forwarded-For
 * before the proxies in front of this server wrote theirs. These are skipped from the right, as far as TRUST_PROXY names them;
 * the next one is the sender itself, and the one behind it what it wrote.
 *
 * @param by the network of the sender, where that is known: it may be one of those that TRUST_PROXY names
 * @returns as it was written; undefined where the field does not reach so far, or a proxy wrote something else than an address
 */
export function hopBehind(
  { socket, headers }: IncomingMessage,
  trusted: TrustedProxies | undefined,
  by?: string,
): string | undefined {
  const forwarded = headers['x-forwarded-for']?.toString().split(',').reverse() ?? []
  const hops = [socket.remoteAddress ?? '', ...forwarded.map((hop) => hop.trim())]
  for (const [index, hop] of hops.entries()) {
    const address = normaliseAddress(hop)
    if (address === UNKNOWN_ADDRESS) return undefined
    if (by !== undefined && isInNetwork(address, by)) return hops[index + 1]
    if (trusted?.(address, index)) continue
    return by === undefined ? hops[index + 1] : undefined
  }
  return undefined
}

function addressOf(claimed: string | undefined, peer: string | undefined): string {
  // Nearly always plain IPv4: nothing to normalise.
  if (claimed !== undefined && isIP(claimed) === 4) return claimed
  const address = normaliseAddress(claimed ?? '')
  return address === UNKNOWN_ADDRESS && peer !== undefined ? normaliseAddress(peer) : address
}

/** Who asks, for limits and audit. */
export function originOf(request: FastifyRequest): Origin {
  return { ip: clientAddress(request), requestId: request.id }
}

/** Whether a browser asked for a page, rather than a program for a document. */
export function wantsPage(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('text/html') ?? false
}
