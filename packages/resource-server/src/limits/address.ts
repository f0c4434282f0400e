/** Stands for an address that could not be read: what cannot be told apart is counted together. */
export const unknown = 'unknown'

/**
 * One spelling for each address: IPv4-mapped IPv6 is IPv4, and IPv6 is as RFC 5952 has it, without zone, brackets or port.
 *
 * @returns `unknown` for what is no address
 */
export function normaliseAddress(address: string | undefined): string {
  if (address === undefined || address.length > 120) return unknown
  if (isIpv4(address)) return address
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(address) ?? []
  const bare = (bracketed ?? address).replace(/%.*$/s, '')
  const [, withoutPort = ''] = /^([\d.]+):\d{1,5}$/.exec(bare) ?? []
  if (isIpv4(withoutPort)) return withoutPort
  if (!/^[\da-f:.]+$/i.test(bare) || !bare.includes(':') || !URL.canParse(`http://[${bare}]/`)) return unknown
  // The URL parser writes groups of hexadecimal digits, also where the last two were written as IPv4.
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1)
  const [, high, low] = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(canonical) ?? []
  if (high === undefined || low === undefined) return canonical
  const [left, right] = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return `${left >> 8}.${left & 255}.${right >> 8}.${right & 255}`
}

/** The /24 of an IPv4 address, the /64 of an IPv6 one: whoever holds one address there usually holds them all. */
export function networkOf(address: string | undefined): string {
  return prefixOf(address, 4)
}

/** The same, but for IPv6 the /48, the most that one site is commonly given (RFC 6177 §2): it holds 65,536 such networks. */
export function siteOf(address: string | undefined): string {
  return prefixOf(address, 3)
}

/** @param length of an IPv6 prefix, in groups of 16 bits */
function prefixOf(address: string | undefined, length: 3 | 4): string {
  const normalised = normaliseAddress(address)
  if (normalised === unknown) return unknown
  if (!normalised.includes(':')) return `${normalised.slice(0, normalised.lastIndexOf('.'))}.0/24`
  const [head = '', tail] = normalised.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const all =
    tail === undefined ? groups : [...groups, ...Array<string>(8 - groups.length - rest.length).fill('0'), ...rest]
  return `${all.slice(0, length).join(':')}::/${length * 16}`
}

function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text)
}
