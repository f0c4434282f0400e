import { isIP, isIPv4, isIPv6 } from 'node:net'

/** Stands for an address that could not be read. RFC 1122 §3.2.1.3: never the source of a real packet. */
export const UNKNOWN_ADDRESS = '0.0.0.0'

/**
 * One spelling per address, so that a counter cannot be dodged by writing an address differently: IPv4 dotted, IPv6 by
 * RFC 5952, IPv4-mapped IPv6 as IPv4, without zone, brackets or port. What is no address becomes `UNKNOWN_ADDRESS`:
 * a forwarded header may hold anything, and what cannot be told apart is counted together.
 */
export function normaliseAddress(address: string): string {
  if (isIPv4(address)) return address
  // Longer than any address with zone and port can be: not worth parsing.
  if (address.length > 120) return UNKNOWN_ADDRESS

  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(address) ?? []
  const bare = (bracketed ?? address).replace(/%.*$/s, '')
  if (isIPv6(bare)) {
    const groups = groupsOf(bare)
    const [high, low] = groups.slice(6)
    const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
    if (mapped && high !== undefined && low !== undefined) {
      return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
    }
    return canonicalIpv6(bare)
  }

  const [, withoutPort] = /^([\d.]+):\d{1,5}$/.exec(bare) ?? []
  return withoutPort !== undefined && isIPv4(withoutPort) ? withoutPort : UNKNOWN_ADDRESS
}

/**
 * The network that failures are counted for: the /24 of an IPv4 address, the /64 of an IPv6 one, since whoever holds one
 * address there usually holds them all (attack 101). Canonical, such as `192.0.2.0/24` or `2001:db8::/64`.
 */
export function networkOf(address: string): string {
  const normalised = normaliseAddress(address)
  if (isIPv4(normalised)) return `${normalised.slice(0, normalised.lastIndexOf('.'))}.0/24`

  const prefix = groupsOf(normalised).slice(0, 4)
  return `${canonicalIpv6(`${prefix.map((group) => group.toString(16)).join(':')}::`)}/64`
}

/**
 * The /48 of an IPv6 address, the most that one site is commonly given (RFC 6177 §2), which holds 65,536 networks of the
 * kind above: whoever has one must not have as many bounds (attack 101). Undefined for IPv4.
 */
export function siteOf(address: string): string | undefined {
  const normalised = normaliseAddress(address)
  if (isIPv4(normalised)) return undefined
  const prefix = groupsOf(normalised).slice(0, 3)
  return `${canonicalIpv6(`${prefix.map((group) => group.toString(16)).join(':')}::`)}/48`
}

/** Whether a host, as it stands in a URL or is listened on, can be reached from this machine alone. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  if (bare.toLowerCase() === 'localhost') return true
  if (isIP(bare) === 0) return false
  const address = normaliseAddress(bare)
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'))
}

/** RFC 5952: the URL parser of the WHATWG writes exactly that form. */
function canonicalIpv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

/** The eight 16-bit groups of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = '', tail] = canonicalIpv6(address).split('::')
  const parse = (text: string | undefined) => (text ? text.split(':').map((group) => Number.parseInt(group, 16)) : [])
  const before = parse(head)
  const after = parse(tail)
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}
