import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { normaliseAddress } from '../network.js'

/** IANA's registry of special-purpose addresses (RFC 6890), with multicast and what is reserved. */
const special4 = blockList('ipv4', [
  ['0.0.0.0', 8], // "this network", and this machine to many systems
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT: also metadata services of clouds
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local: metadata services of most clouds
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
])

/** What is given out to the public (RFC 4291 §2.4): all else is loopback, local, multicast, mapped or translated. */
const global6 = blockList('ipv6', [['2000::', 3]])

/** Exceptions of it. Those that carry an IPv4 address inside would lead to any private one. */
const special6 = blockList('ipv6', [
  ['2001::', 23], // protocol assignments, Teredo among them
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
])

/**
 * Whether an address is one of the public internet. What is no address is none (attack 95).
 *
 * @param address in any spelling; an IPv4-mapped one is that of IPv4
 */
export function isPublicAddress(address: string): boolean {
  const normalised = normaliseAddress(address)
  if (isIPv4(normalised)) return !special4.check(normalised, 'ipv4')
  return isIPv6(normalised) && global6.check(normalised, 'ipv6') && !special6.check(normalised, 'ipv6')
}

function blockList(family: 'ipv4' | 'ipv6', networks: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [base, length] of networks) list.addSubnet(base, length, family)
  return list
}
