import { isIP } from 'node:net'

/** Hosts with port, in small letters, as `internal.example:8443` or `[::1]:3000`, that an administrator has exempted. */
export type Exempt = ReadonlySet<string>

/** Why an address that a stranger named is not asked. */
export type OutboundProblem =
  | 'outbound_url_malformed'
  | 'outbound_url_credentials'
  | 'outbound_not_https'
  | 'outbound_not_public'

/** Longer than any address that is meant. */
const longestUrl = 2_048

/**
 * What can be said of an address without asking anybody: for a registration, and before each request. That its name leads to a
 * public address is known only when it is asked.
 *
 * @returns undefined where nothing speaks against it
 */
export function outboundProblem(text: string, exempt: Exempt): OutboundProblem | undefined {
  if (text.length > longestUrl || !URL.canParse(text)) return 'outbound_url_malformed'
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'outbound_not_https'
  if (url.username !== '' || url.password !== '') return 'outbound_url_credentials'
  if (url.port === '0') return 'outbound_url_malformed'
  if (exempt.has(hostAndPort(url))) return undefined
  if (url.protocol !== 'https:') return 'outbound_not_https'
  return isLocalName(url.hostname) ? 'outbound_not_public' : undefined
}

/** As `Exempt` has them. The parser has written a number or `0x7f.1` as the IPv4 address that it is by now. */
export function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`
}

/** The name or address to connect to: that of IPv6 without its brackets. */
export function bareHost({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

/** Names of this machine and network are refused before anybody is asked. RFC 6761 §6.3, RFC 6762 §3, RFC 8375. */
const localSuffix = /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/

function isLocalName(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '')
  const bare = host.startsWith('[') ? host.slice(1, -1) : host
  // Nobody vouches for an address: a certificate names a host.
  if (isIP(bare) !== 0) return true
  return !host.includes('.') || localSuffix.test(host)
}
