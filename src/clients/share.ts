import type { OutboundShare } from '../platform/outbound/index.js'
import type { StoredClient } from '../store/index.js'

/** In which share an address is asked that a client has registered. A document is a stranger's, too. */
export function shareOf({ selfRegistered }: Pick<StoredClient, 'selfRegistered'>) {
  return (selfRegistered ? 'strangers' : 'operators') satisfies OutboundShare
}
