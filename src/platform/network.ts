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
  return address.length > 120 ? UNKNOWN_ADDRESS : normaliseOther(address)
}

const normaliseOther = remembering((address) => {
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
})

/** Addresses, or parts of them, that are not worked out anew: each request has one, and mostly one of few. */
const remembered = 1_000

function remembering(compute: (address: string) => string): (address: string) => string {
  let known = new Map<string, string>()
  return (address) => {
    let result = known.get(address)
    if (result === undefined) {
      result = compute(address)
      if (known.size >= remembered) known = new Map()
      known.set(address, result)
    }
    return result
  }
}

/**
 * The network that failures are counted for: the /24 of an IPv4 address, the /64 of an IPv6 one, since whoever holds one
 * address there usually holds them all (attack 101). Canonical, such as `192.0.2.0/24` or `2001:db8::/64`.
 */
export const networkOf: (address: string) => string = remembering((address) => {
  const normalised = normaliseAddress(address)
  if (isIPv4(normalised)) return `${normalised.slice(0, normalised.lastIndexOf('.'))}.0/24`
  const prefix = groupsOf(normalised).slice(0, 4)
  return `${canonicalIpv6(`${prefix.map((group) => group.toString(16)).join(':')}::`)}/64`
})

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

/** For messages: what `parseNetwork` takes. */
export const networkForm = 'such as 192.0.2.0/24 or 2001:db8:0:1::/64, with no bits behind its length'

/**
 * A network in CIDR notation, in one spelling: `192.0.2.0/24`, `2001:db8::/48`. A bare address is the network of itself, and one
 * of IPv4-mapped addresses is that of IPv4.
 *
 * @returns undefined for what is none, and for one whose address has bits behind its length: it may be a slip
 */
export function parseNetwork(text: string): string | undefined {
  const [, address = '', digits] = /^([0-9A-Fa-f.:]{2,45})(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const family = isIP(address)
  if (family === 0) return undefined
  const normalised = normaliseAddress(address)
  const isMapped = family === 6 && isIPv4(normalised)
  const most = isIPv4(normalised) ? 32 : 128
  const length = digits === undefined ? most : Number(digits) - (isMapped ? 96 : 0)
  if (length < 0 || length > most) return undefined
  const bytes = bytesOf(normalised)
  const isWhole = bytes.every((byte, at) => (byte & (0xff >> Math.min(8, Math.max(0, length - at * 8)))) === 0)
  return isWhole ? `${normalised}/${length}` : undefined
}

/** @param network as `parseNetwork` gives it */
export function isInNetwork(address: string, network: string): boolean {
  return beginsLike(bytesOf(normaliseAddress(address)), bitsOf(network))
}

interface NetworkBits {
  readonly bytes: readonly number[]
  readonly length: number
}

function bitsOf(network: string): NetworkBits {
  const [base = '', digits = ''] = network.split('/')
  return { bytes: bytesOf(base), length: Number(digits) }
}

function beginsLike(bytes: readonly number[], { bytes: others, length }: NetworkBits): boolean {
  if (bytes.length !== others.length) return false
  return bytes.every((byte, at) => {
    const shift = 8 - Math.min(8, Math.max(0, length - at * 8))
    return byte >> shift === others[at]! >> shift
  })
}

/**
 * Whether whoever comes from an address is let in by a list of networks; an empty list lets everybody in. An address that is
 * not known, or could not be read, is in no network.
 *
 * @param networks as `parseNetwork` gives them
 */
export function isLetIn(address: string | undefined, networks: readonly string[]): boolean {
  if (networks.length === 0) return true
  if (address === undefined || normaliseAddress(address) === UNKNOWN_ADDRESS) return false
  return networks.some((network) => isInNetwork(address, network))
}

/**
 * Who is let in by both of two lists.
 *
 * @param some as `parseNetwork` gives them, as are `others`
 * @returns a list for `isLetIn`; undefined where nobody is: an empty list would let in everybody
 */
export function commonNetworks(some: readonly string[], others: readonly string[]): readonly string[] | undefined {
  if (some.length === 0) return others
  if (others.length === 0) return some
  // Of two networks one lies in the other, or they have nothing in common.
  const common = [...new Set([...partsWithin(some, others), ...partsWithin(others, some)])]
  return common.length > 0 ? common : undefined
}

/**
 * Whether a list lets in nobody whom another one does not. Network by network: that two halves are the whole is not seen, so
 * a list that is no wider may be taken for one, and never the other way round.
 */
export function isNoWider(networks: readonly string[], others: readonly string[]): boolean {
  if (others.length === 0) return true
  return networks.length > 0 && partsWithin(networks, others).length === networks.length
}

/** Those that lie in one of the others. */
function partsWithin(networks: readonly string[], others: readonly string[]): readonly string[] {
  const around = others.map(bitsOf)
  return networks.filter((network) => {
    const { bytes, length } = bitsOf(network)
    return around.some((each) => length >= each.length && beginsLike(bytes, each))
  })
}

/** Of a normalised address: four, or sixteen. */
function bytesOf(address: string): readonly number[] {
  if (isIPv4(address)) return address.split('.').map(Number)
  return groupsOf(address).flatMap((group) => [group >> 8, group & 255])
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
