import { lookup, Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { OutboundError } from './errors.js'
import { isPublicAddress } from './public-address.js'

/** All addresses of a name. @throws where there are none */
export type Resolve = (host: string) => Promise<readonly string[]>

/**
 * By the system's name servers alone, and outside of the thread pool: a name server of a stranger that does not answer must not
 * hold the threads that sign and read files.
 */
export const resolvePublicName: Resolve = async (host) => {
  const resolver = new Resolver({ timeout: 1_000, tries: 2 })
  const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  const addresses = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  if (addresses.length > 0) return addresses
  throw new OutboundError('outbound_name_unknown', 'The name of the host has no address.')
}

/** By all that the system knows, `/etc/hosts` included: for names that an administrator exempted. */
export const resolveExemptName: Resolve = async (host) => {
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => address)
}

/**
 * The addresses to connect to, and no others: whoever answers for the name may say something else the next time (attack 95). One
 * that is not public among them is reason enough to refuse them all.
 *
 * @throws {OutboundError}
 */
export async function pin(host: string, isExempt: boolean, resolve: Resolve): Promise<readonly string[]> {
  const addresses = isIP(host) === 0 ? await addressesOf(host, resolve) : [host]
  if (isExempt || addresses.every(isPublicAddress)) return addresses
  throw new OutboundError('outbound_not_public', 'The host is not one of the public internet.')
}

async function addressesOf(host: string, resolve: Resolve): Promise<readonly string[]> {
  try {
    return await resolve(host)
  } catch (error) {
    if (error instanceof OutboundError) throw error
    throw new OutboundError('outbound_name_unknown', 'The name of the host has no address.', { cause: error })
  }
}
