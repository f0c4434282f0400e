import { normaliseAddress } from './address.js'

/**
 * Whether the address lies in one of the networks, which are in CIDR notation. An address that is not known or cannot be read
 * lies in none.
 */
export function isInNetworks(address: string | undefined, networks: readonly string[]): boolean {
  const bits = bitsOf(normaliseAddress(address))
  return bits !== undefined && networks.some((network) => isIn(bits, network))
}

/** Whether the address is that of this very machine. */
export function isLoopbackAddress(address: string | undefined): boolean {
  return isInNetworks(address, ['127.0.0.0/8', '::1/128'])
}

function isIn(bits: string, network: string): boolean {
  const [, base, digits] = /^([^/]{1,45})\/(\d{1,3})$/.exec(network) ?? []
  const others = bitsOf(normaliseAddress(base))
  const length = Number(digits)
  return others?.length === bits.length && length <= bits.length && bits.startsWith(others.slice(0, length))
}

/** 32 or 128 zeros and ones. @param normalised as `normaliseAddress` gives it */
function bitsOf(normalised: string): string | undefined {
  const write = (value: number, width: number): string => value.toString(2).padStart(width, '0')
  if (!normalised.includes(':')) {
    const parts = normalised.split('.').map(Number)
    return parts.length === 4 ? parts.map((part) => write(part, 8)).join('') : undefined
  }
  const [before = [], after] = normalised.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const between = after ? Array<string>(8 - before.length - after.length).fill('0') : []
  return [...before, ...between, ...(after ?? [])].map((group) => write(Number.parseInt(group, 16), 16)).join('')
}
